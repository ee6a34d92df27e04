"""Boosted decision trees over integers: the same sums on every machine."""

import numpy as np

from curate.kernels import kernel

LEVELS = 6
"""Tests on the way to a leaf; where a tree has fewer, leaves repeat."""
NODES, LEAVES = 2**LEVELS - 1, 2**LEVELS
HIGH, LOW = 16, 0xFFFF
"""Bits of a node: the feature in the upper ones, the bound in the lower."""


def packed(feature: np.ndarray, bound: np.ndarray) -> np.ndarray:
    """Nodes, uint32, of the features that they test and their bounds, 0 to 32,767."""
    return feature.astype(np.uint32) << HIGH | bound.astype(np.uint32)


@kernel
def sums_of_trees(features, nodes, values):
    """The sum of the leaves that each row reaches.

    features  int16 of shape (rows, features)
    nodes     uint32 of shape (trees, NODES), see `packed`, level by level: behind node ``k`` comes ``2k + 1`` where the
              feature is at most the bound, else ``2k + 2``
    values    int16 of shape (trees, LEAVES)

    Gives int64 of shape (rows,).
    """
    n = len(features)
    sums = np.zeros(n, np.int64)
    for number in range(len(nodes)):
        tree, leaves = nodes[number], values[number]
        row = 0
        while row + 4 <= n:  # four at once: each waits for its own memory
            a, b, c, d = 0, 0, 0, 0
            first, second, third, fourth = features[row], features[row + 1], features[row + 2], features[row + 3]
            for _ in range(LEVELS):
                node = tree[a]
                a = 2 * a + 1 + (first[node >> HIGH] > (node & LOW))
                node = tree[b]
                b = 2 * b + 1 + (second[node >> HIGH] > (node & LOW))
                node = tree[c]
                c = 2 * c + 1 + (third[node >> HIGH] > (node & LOW))
                node = tree[d]
                d = 2 * d + 1 + (fourth[node >> HIGH] > (node & LOW))
            sums[row] += leaves[a - NODES]
            sums[row + 1] += leaves[b - NODES]
            sums[row + 2] += leaves[c - NODES]
            sums[row + 3] += leaves[d - NODES]
            row += 4
        while row < n:
            a = 0
            for _ in range(LEVELS):
                node = tree[a]
                a = 2 * a + 1 + (features[row, node >> HIGH] > (node & LOW))
            sums[row] += leaves[a - NODES]
            row += 1
    return sums
