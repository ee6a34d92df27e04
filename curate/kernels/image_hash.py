"""Perceptual hashes of pictures, and how to find all within a distance.

The hash of a picture says, for each of 8 x 8 points, whether the point to its right is brighter (Krawetz 2013, "Kind
of like that"). To find hashes that differ in at most d bits, a hash is cut into d + 2 blocks: the bits that differ lie
in d of them at most, so that two blocks are equal, and the hashes meet under the key of these two.
"""

import numpy as np

from curate.kernels import device, kernel
from curate.kernels.hash_table import draw_secret, slot_of
from curate.kernels.hashing import mix64

_ONE = np.uint64(1)
_STEP = np.uint64(0x9E3779B97F4A7C15)

MOST_DISTANCE = 8
"""Bits: beyond it blocks are so short that all hashes would meet."""


@kernel
def difference_hashes(points):
    """uint64[n] of pictures in gray, scaled down to 8 rows of 9 points: uint8[n, 8, 9]. The first point is the highest
    bit."""
    out = np.zeros(len(points), np.uint64)
    for i in range(len(points)):
        found = np.uint64(0)
        for row in range(8):
            for column in range(8):
                found = found << _ONE | np.uint64(points[i, row, column + 1] > points[i, row, column])
        out[i] = found
    return out


@device
def bits(x):
    """How many bits of a uint64 are set."""
    x -= x >> _ONE & np.uint64(0x5555555555555555)
    x = (x & np.uint64(0x3333333333333333)) + (x >> np.uint64(2) & np.uint64(0x3333333333333333))
    x = x + (x >> np.uint64(4)) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64(x * np.uint64(0x0101010101010101) >> np.uint64(56))


@kernel
def bit_counts(hashes):
    """How many bits of each hash (uint64[n]) are set: int64[n]."""
    out = np.empty(len(hashes), np.int64)
    for i in range(len(hashes)):
        out[i] = bits(hashes[i])
    return out


@device
def _block(number, blocks):
    """The bits of a block of a hash: uint64."""
    low, high = 64 * number // blocks, 64 * (number + 1) // blocks
    mask = ~np.uint64(0) if high - low == 64 else (_ONE << np.uint64(high - low)) - _ONE
    return mask << np.uint64(low)


@kernel
def meeting_keys(hashes, distance):
    """Keys under which hashes (uint64[n]) that differ in at most ``distance`` bits meet: uint64[n, keys], one for each
    two of ``distance + 2`` blocks."""
    blocks = distance + 2
    keys = np.empty((len(hashes), blocks * (blocks - 1) // 2), np.uint64)
    for i in range(len(hashes)):
        place = 0
        for one in range(blocks):
            for other in range(one):
                held = hashes[i] & (_block(one, blocks) | _block(other, blocks))
                keys[i, place] = mix64(held ^ _STEP * np.uint64(place + 1))
                place += 1
    return keys


@device
def _root(parent, i):
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@kernel
def near_edges(keys, hashes, docs, number, distance):
    """Edges between documents of which pictures are within ``distance`` bits, as few as join all that are joined.

    keys, hashes, docs  of the pictures, sorted by key, then hash, then document: uint64[n], uint64[n], any integer[n]
    number              int64[n], the place of each document among the distinct ones

    Returns (first, other) of the type of docs, fewer than there are documents. Of equal hashes each meets the first
    alone; distinct ones under a key are compared with each other, unless they are joined already.
    """
    parent = np.arange(len(docs))
    first, other, count, begin = np.empty_like(docs), np.empty_like(docs), 0, 0
    heads = np.empty(len(docs), np.int64)
    while begin < len(keys):
        end, distinct = begin, 0
        while end < len(keys) and keys[end] == keys[begin]:
            same = end > begin and hashes[end] == hashes[end - 1]
            if not same:
                heads[distinct] = end
                distinct += 1
            for place in range(distinct - 1, distinct) if same else range(distinct - 1):
                head = heads[place]
                x, y = _root(parent, number[head]), _root(parent, number[end])
                if x != y and bits(hashes[head] ^ hashes[end]) <= distance:
                    parent[max(x, y)] = min(x, y)
                    first[count], other[count] = docs[head], docs[end]
                    count += 1
            end += 1
        begin = end
    return first[:count].copy(), other[:count].copy()


@device
def _find(table_keys, table_heads, key, secret):
    """Slot of ``key`` in an open-addressed table, or the free slot (head 0) where it belongs."""
    slot = np.int64(slot_of(key, np.uint64(len(table_keys) - 1), secret))
    while table_heads[slot] and table_keys[slot] != key:
        slot = (slot + 1) & (len(table_keys) - 1)
    return slot


@kernel
def first_kept(offsets, copies, hashes, known, distance):
    """Which documents go because all their pictures are like those of documents kept before.

    offsets   int64[docs + 1], the pictures of each document, in keep order
    copies    int64[pictures], equal for pictures of the same bytes; below the number of pictures
    hashes    uint64[pictures]; known: bool[pictures], false for one that is compared by its bytes alone
    distance  bits in which two hashes may differ

    Returns (kept, bits), int64[docs] each: the place of the kept document that has the first picture, or what is most
    like it, of several the earliest; -1 for a document that stays. bits: the most that one of its pictures differs in,
    -1 where all have the same bytes.
    """
    blocks = distance + 2
    width, secret, docs = blocks * (blocks - 1) // 2, draw_secret(), len(offsets) - 1
    keys = meeting_keys(hashes, distance)
    slots = 2
    while slots < 2 * len(hashes) * width:
        slots *= 2
    table_keys, table_heads = np.zeros(slots, np.uint64), np.zeros(slots, np.int64)
    links, owner = np.zeros(len(hashes) * width, np.int64), np.zeros(len(hashes), np.int64)
    holder = np.full(len(copies), -1, np.int64)
    kept, differ = np.full(docs, -1, np.int64), np.full(docs, -1, np.int64)
    for doc in range(docs):
        seen, of_first, most = offsets[doc + 1] > offsets[doc], np.int64(-1), np.int64(-1)
        for picture in range(offsets[doc], offsets[doc + 1]):
            best, place = np.int64(-1), holder[copies[picture]]
            if place < 0 and known[picture]:
                best = np.int64(distance + 1)
                for column in range(width):
                    entry = table_heads[_find(table_keys, table_heads, keys[picture, column], secret)]
                    while entry:
                        met = (entry - 1) // width
                        entry = links[entry - 1]
                        found = bits(hashes[met] ^ hashes[picture])
                        if found < best or (found == best and found <= distance and owner[met] < place):
                            best, place = found, owner[met]
            if place < 0:
                seen = False
                break
            most = max(most, best)
            if picture == offsets[doc]:
                of_first = place
        if seen:
            kept[doc], differ[doc] = of_first, most
            continue
        for picture in range(offsets[doc], offsets[doc + 1]):
            if holder[copies[picture]] >= 0:
                continue  # what is like it is known by the one that has it already
            holder[copies[picture]] = doc
            owner[picture] = doc
            if known[picture]:
                for column in range(width):
                    key = keys[picture, column]
                    slot = _find(table_keys, table_heads, key, secret)
                    links[picture * width + column] = table_heads[slot]
                    table_keys[slot], table_heads[slot] = key, 1 + picture * width + column
    return kept, differ
