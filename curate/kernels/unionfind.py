"""Connected components over a flat array, fed with batches of edges.

``parent`` holds one integer a document: a document on the way to the least one of its component, which is its
own parent. A parent is never greater than its child.
"""

import numpy as np

from curate.kernels import device, kernel


def singletons(docs: int) -> np.ndarray:
    """Parents of ``docs`` documents without an edge: uint32[docs], uint64[docs] where 32 bits do not do."""
    return np.arange(docs, dtype=np.uint32 if docs <= 1 << 32 else np.uint64)


@device
def _root(parent, i):
    """Least document that i is joined to so far; halves the path on the way (Tarjan and van Leeuwen 1984)."""
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@kernel
def union_edges(parent, a, b):
    """Join the documents ``a[i]`` and ``b[i]`` for all i; ``parent`` changes in place.

    ``a`` and ``b`` are integers[n] of parent's type. The result depends neither on the order of the edges
    nor on how they are cut into batches.
    """
    for i in range(len(a)):
        x, y = _root(parent, a[i]), _root(parent, b[i])
        if x < y:
            parent[y] = x
        elif y < x:
            parent[x] = y


@kernel
def components(parent):
    """Replace every parent by the least document of the component, in place."""
    for i in range(len(parent)):
        parent[i] = parent[parent[i]]  # that of a lesser document, so already final
