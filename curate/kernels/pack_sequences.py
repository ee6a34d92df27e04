"""Pack pieces of documents into sequences of tokens, and copy the tokens."""

import numpy as np

from curate.kernels import kernel


@kernel
def best_fit(length, capacity):
    """Best-fit decreasing: each piece goes to the sequence with the least room that fits it, else opens one.

    length    int32[n], tokens of each piece, 1 to `capacity`, in descending order
    capacity  tokens of a sequence

    Returns int32[n], the sequence of each piece, and int32[m], the piece that opened each sequence. Of sequences with
    the same room the one that came to it last is taken. O(n log capacity): a binary tree over the rooms 0..capacity
    says where any sequence has such a room, as Ding et al. 2024 (arXiv:2404.10830) do it.
    """
    leaves = 1
    while leaves <= capacity:
        leaves *= 2
    any_below = np.zeros(2 * leaves, np.bool_)
    last = np.full(capacity + 1, -1, np.int32)  # the sequence that came to this room last
    before = np.empty(len(length), np.int32)  # and for each sequence the one that came to the same room before it
    sequence = np.empty(len(length), np.int32)
    opener = np.empty(len(length), np.int32)
    opened = 0
    for piece in range(len(length)):
        node = leaves + length[piece]
        while node > 1 and not any_below[node]:
            while node > 1 and node & 1:  # up, until there is a neighbour with more room
                node >>= 1
            if node > 1:
                node += 1
        if node > 1:
            while node < leaves:  # down, to the least room below it
                node = 2 * node if any_below[2 * node] else 2 * node + 1
            room = node - leaves
            taken = last[room]
            last[room] = before[taken]
            if last[room] < 0:
                while node:
                    any_below[node] = node < leaves and (any_below[2 * node] or any_below[2 * node + 1])
                    node >>= 1
        else:
            room, taken = capacity, opened
            opener[opened] = piece
            opened += 1
        sequence[piece] = taken
        room -= length[piece]
        before[taken] = last[room]
        last[room] = taken
        node = leaves + room
        while node >= 1 and not any_below[node]:
            any_below[node] = True
            node >>= 1
    return sequence, opener[:opened]


@kernel
def copy_pieces(source, begin, target, to, length):
    """Copy `length[i]` values from `source[begin[i]]` on to `target[to[i]]` on, for each i.

    source, target        one-dimensional arrays of one type
    begin, to, length     int64[n], all within them
    """
    for piece in range(len(length)):
        for step in range(length[piece]):
            target[to[piece] + step] = source[begin[piece] + step]
