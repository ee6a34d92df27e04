"""Passages that occur more than once, found exactly and in linear time.

A *window* is the shortest run of whole characters from some position on that has at least ``length`` bytes. It is a
repeat if the same bytes are a window at an earlier position, in an earlier document or in the same one. What a suffix
array finds by sorting all positions is found here by *anchors*: of all grams (short runs of bytes) of a window, the
leftmost with the least hash. Equal windows have equal anchors at the same distance, so windows need comparing only
where anchors are equal, and neighboring windows have one anchor: there is one in some 200 positions of text. The
windows of an anchor, one after the other, and the bytes that they cover are its *context*.

Anchors are those of Schleimer, Wilkerson and Aiken 2003, "Winnowing: local algorithms for document fingerprinting". In
one short pattern that repeats, such as a ruled line, each position would be an anchor; so grams of a short period
come after all others.
"""

import numpy as np

from curate.kernels import device, kernel
from curate.kernels.hash_table import BASE, append_byte, draw_secret, slot_of, table_size
from curate.kernels.hashing import mix64
from curate.kernels.word_break import next_break

_ONE = np.uint64(1)
_LAST = np.uint64(1 << 63)
_NEWLINE = np.uint8(10)


@device
def _gram(length):
    """Bytes of a gram: fewer are shared by chance, more make anchors denser."""
    return max(length // 4, 1)


@device
def _period(length):
    """The longest period, in bytes, of grams that come after all others. Their value depends on as many bytes more."""
    return min(length // 4, 16)


@device
def _begins(data, i):
    """Whether a character begins at ``i``."""
    return data[i] & 0xC0 != 0x80


@device
def _character_at(data, i):
    """Where the character begins that holds the byte at ``i``."""
    while not _begins(data, i):
        i -= 1
    return i


@device
def _character_from(data, i, end):
    """Where the first character from ``i`` on begins, or ``end``."""
    while i < end and not _begins(data, i):
        i += 1
    return i


@device
def _least(values, first, past):
    """Where the least of the values from ``first`` on stands, the first of several."""
    place, least = first, values[first]
    for i in range(first + 1, past):
        if values[i] < least:
            place, least = i, values[i]
    return place


@device
def _window(data, i, end, length):
    """Where the window at ``i`` ends; beyond ``end`` if there is none."""
    return _character_from(data, i + length, end)


@device
def _order(data, start, end, gram, period, values):
    """Fill ``values`` (uint64), one a gram, with what orders them: hashes, the highest bit set for a short period."""
    power = _ONE
    for _ in range(gram - 1):
        power *= BASE
    h = np.uint64(0)
    for i in range(start, start + gram - 1):
        h = append_byte(h, data[i])
    for i in range(len(values)):
        h = append_byte(h, data[start + i + gram - 1])
        values[i] = mix64(h) & ~_LAST
        h -= (np.uint64(data[start + i]) + _ONE) * power
    block = (gram + 1) // 2  # of any ``gram`` bytes in a row, this many that begin at a multiple of it are whole
    for distance in range(1, period + 1):
        at = start
        while at + block + distance <= end:
            same = 0
            while same < block and data[at + same] == data[at + same + distance]:
                same += 1
            if same < block:
                at += block
                continue
            first, last = at, at + block
            while first > start and data[first - 1] == data[first - 1 + distance]:
                first -= 1
            while last + distance < end and data[last] == data[last + distance]:
                last += 1
            for i in range(first - start, min(last - gram - start + 1, len(values))):
                values[i] |= _LAST
            at = start + ((last - start) // block + 1) * block


@kernel
def _longer(found, keys):
    """The same with room for as much again."""
    more, longer = np.empty((2 * len(found), 4), np.int64), np.empty(2 * len(keys), np.uint64)
    more[: len(found)], longer[: len(keys)] = found, keys
    return more, longer


@kernel
def anchors(data, offsets, length):
    """The anchors of documents, in order.

    length  least bytes of a window

    Returns (docs int64[n], starts int64[n], lasts int64[n], stops int64[n], values uint64[n]): the document of each
    anchor, the first byte in it of the first and of the last of its windows, where the last one ends, and what equal
    anchors have in common. Documents shorter than a window have none.
    """
    gram, period = _gram(length), _period(length)
    longest = 0
    for doc in range(len(offsets) - 1):
        longest = max(longest, offsets[doc + 1] - offsets[doc])
    scratch = np.empty(longest, np.uint64)
    found, keys, count = np.empty((1024, 4), np.int64), np.empty(1024, np.uint64), 0
    for doc in range(len(offsets) - 1):
        start, end = offsets[doc], offsets[doc + 1]
        if end - start < length:
            continue
        values = scratch[: end - start - gram - period + 1]
        _order(data, start, end, gram, period, values)
        final = _character_at(data, end - length) - start  # where the last window begins
        begin, seen = 0, _window(data, start, end, length) - start - gram - period + 1
        anchor = _least(values, 0, seen)
        while begin <= final:
            last = min(_character_at(data, start + anchor) - start, final)  # window of this anchor, so far
            stop = _window(data, start + last, end, length) - start
            past, least = stop - gram - period + 1, values[anchor]
            while seen < past and values[seen] >= least:
                seen += 1
            if seen < past:  # a lesser gram, in the windows from `until` on
                until = _character_at(data, start + seen + gram + period - 1) - start - length + 1
                until = max(_character_from(data, start + until, end) - start, begin)
                last = _character_at(data, start + until - 1) - start if until else -1
                stop = _window(data, start + last, end, length) - start
            else:
                until = _character_from(data, start + last + 1, end) - start
            if until > begin:
                if count == len(keys):
                    found, keys = _longer(found, keys)
                found[count, 0], found[count, 1], found[count, 2], found[count, 3] = doc, begin, last, stop
                keys[count] = least
                count += 1
            if seen < past:
                anchor, seen = seen, seen + 1
            elif until <= final:
                seen = _window(data, start + until, end, length) - start - gram - period + 1
                anchor = _least(values, until, seen)
            begin = until
    return (
        found[:count, 0].copy(),
        found[:count, 1].copy(),
        found[:count, 2].copy(),
        found[:count, 3].copy(),
        keys[:count].copy(),
    )


@device
def _equal(data, i, j, size):
    k = 0
    while k < size and data[i + k] == data[j + k]:
        k += 1
    return k >= size


@kernel
def earlier_windows(data, offsets, groups, contexts, lasts, length):
    """Of rows with equal anchors, the windows that an earlier row has as well.

    data, offsets  the distinct contexts
    groups    int64[g + 1]: where the rows of each anchor begin; those of one are in keep order
    contexts  int64[rows]: which context each row has
    lasts     int64[contexts]: the first byte in it of the last window of a context
    length    as for `anchors`

    Returns (rows, starts, stops, places int64[n], firsts int64[contexts]): the row that has earlier windows, the bytes
    of ``data`` that neighboring ones cover, and where these bytes begin in the first context that has them; and the
    first row of each context.
    """
    firsts, windows = np.full(len(offsets) - 1, -1, np.int64), np.zeros(len(groups) - 1, np.int64)
    longest = 0
    for group in range(len(groups) - 1):
        for row in range(groups[group], groups[group + 1]):
            context = contexts[row]
            if firsts[context] < 0:
                firsts[context] = row
                windows[group] += lasts[context] + 1
                longest = max(longest, offsets[context + 1] - offsets[context])
    powers = np.empty(min(length, longest) + 4, np.uint64)
    powers[0] = _ONE
    for i in range(1, len(powers)):
        powers[i] = powers[i - 1] * BASE
    most = table_size(np.max(windows)) if len(windows) else 0
    hashes, held = np.empty(most, np.uint64), np.zeros(most, np.int64)  # of a window, and one more than its place
    prefix = np.zeros(longest + 1, np.uint64)
    found, count = np.empty((1024, 4), np.int64), 0
    for group in range(len(windows)):
        size, secret = table_size(windows[group]), draw_secret()
        held[:size] = 0
        for row in range(groups[group], groups[group + 1]):
            start, end = offsets[contexts[row]], offsets[contexts[row] + 1]
            if count + end - start > len(found):
                longer = np.empty((2 * (count + end - start), 4), np.int64)
                longer[:count] = found[:count]
                found = longer
            if firsts[contexts[row]] < row:
                found[count, 0], found[count, 1], found[count, 2], found[count, 3] = row, start, end, start
                count += 1
                continue
            for i in range(end - start):
                prefix[i + 1] = append_byte(prefix[i], data[start + i])
            # From the windows just before to the earlier ones that they equal; 0: they have none.
            distance = np.int64(0)
            for p in range(start, start + lasts[contexts[row]] + 1):
                if not _begins(data, p):
                    continue
                stop = _window(data, p, end, length)
                key = prefix[stop - start] - prefix[p - start] * powers[stop - p]
                slot = slot_of(key, np.uint64(size - 1), secret)
                while held[slot]:
                    place = held[slot] - 1
                    same = found[count - 1, 2] if distance and p - place == distance else p  # up to here, as was seen
                    if hashes[slot] == key and _equal(data, same, place + same - p, stop - same):
                        break
                    slot = (slot + _ONE) & np.uint64(size - 1)
                if held[slot] == 0:
                    hashes[slot], held[slot], distance = key, p + 1, 0
                    continue
                place = held[slot] - 1
                if p - place != distance:
                    distance = p - place
                    found[count, 0], found[count, 1], found[count, 3] = row, p, place
                    count += 1
                found[count - 1, 2] = stop
    return found[:count, 0].copy(), found[:count, 1].copy(), found[:count, 2].copy(), found[:count, 3].copy(), firsts


CHARACTERS, WORDS, LINES = range(3)
"""Where a passage that goes may begin and end: at any character, at a word (UAX 29) or a line, at a line."""


@device
def _boundary(data, i, end, at):
    """The first boundary after ``i``, itself one; ``at`` is CHARACTERS, WORDS or LINES."""
    if at == WORDS:
        i, _, _ = next_break(data, i, end)
        while i < end and data[i - 1] != _NEWLINE:
            after, _, blank = next_break(data, i, end)
            if not blank:
                break
            i = after
        return i
    i += 1
    while i < end and (data[i - 1] != _NEWLINE if at == LINES else not _begins(data, i)):
        i += 1
    return i


@device
def _first_boundary(data, i, start, end, at):
    """The first boundary from ``i`` on: ``i`` if it is one."""
    place = i
    while place > start and not (data[place - 1] == _NEWLINE if at else _begins(data, place)):
        place -= 1  # words never go over the end of a line
    while place < i:
        place = _boundary(data, place, end, at)
    return place


@device
def _last_boundary(data, first, last, start, end, at):
    """The last boundary up to ``last``; ``first``, a boundary, if there is none after it."""
    place = last
    while place > first and not (data[place - 1] == _NEWLINE if at else _begins(data, place)):
        place -= 1
    place = max(place, first)
    while place < last:
        after = _boundary(data, place, end, at)
        if after > last:
            break
        place = after
    return place


@kernel
def without_passages(data, offsets, spans, starts, stops, at):
    """Documents without passages, each cut at boundaries inside it.

    spans   int64[docs + 1]: where the passages of each document begin
    starts, stops  int64[passages]: their bytes in the document, by start; they may overlap
    at      CHARACTERS, WORDS or LINES

    Returns (text uint8[n], offsets int64[docs + 1], pieces int64[m, 4]): what is left; and what went, in pieces that
    one passage covers each: the document, bytes from and to, and the passage.
    """
    text, bounds = np.empty(len(data), np.uint8), np.zeros(len(offsets), np.int64)
    pieces, count, size = np.empty((len(starts), 4), np.int64), 0, 0
    for doc in range(len(offsets) - 1):
        start, end = offsets[doc], offsets[doc + 1]
        left, span = start, spans[doc]
        while span < spans[doc + 1]:
            first, last, widest = start + starts[span], start + stops[span], span
            passage = span
            span += 1
            while span < spans[doc + 1] and start + starts[span] <= last:
                last = max(last, start + stops[span])
                span += 1
            first = _first_boundary(data, first, start, end, at)
            inside = _last_boundary(data, max(first, left), last, start, end, at)
            if inside > first:
                text[size : size + first - left] = data[left:first]
                size += first - left
                left = inside
            while first < inside:
                while passage < span and start + starts[passage] <= first:
                    widest = passage if stops[passage] > stops[widest] else widest
                    passage += 1
                until = min(start + stops[widest], inside)
                pieces[count, 0], pieces[count, 1] = doc, first - start
                pieces[count, 2], pieces[count, 3] = until - start, widest
                count += 1
                first = until
        text[size : size + end - left] = data[left:end]
        size += end - left
        bounds[doc + 1] = size
    return text[:size].copy(), bounds, pieces[:count].copy()


@kernel
def slices(data, starts, bounds):
    """Pieces of ``data`` end to end (uint8): that which begins at ``starts[i]`` fills ``bounds[i]`` to
    ``bounds[i + 1]``."""
    found = np.empty(bounds[-1], np.uint8)
    for i in range(len(starts)):
        found[bounds[i] : bounds[i + 1]] = data[starts[i] : starts[i] + bounds[i + 1] - bounds[i]]
    return found
