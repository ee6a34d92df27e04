"""How much of a text repeats: lines, paragraphs, and n-grams of words.

Two readings of Gopher's Table A1 (arXiv:2112.11446) are in use, and both are counted. datatrove's counts what
comes again after its first appearance, and n-grams without overlap, over all words; DCLM's counts all copies
of what appears more than once, over the words that begin with a letter or a digit.
"""

from typing import NamedTuple

import numpy as np

from curate.kernels import device, kernel
from curate.kernels.characters import LETTER, MARK, NUMERIC, SPACE, TERMINAL
from curate.kernels.counts import ends_with_ellipsis, ends_with_spaced_ellipsis, read
from curate.kernels.hash_table import BASE, add, draw_secret, eight_bytes, find, seen, table_size, text_hash
from curate.kernels.words import decode

_FIELDS = """
    segments repeats repeat_characters filled_repeat_characters
    filled characters copies copy_characters terminal short bullets ellipses
"""
SEGMENTS = np.dtype([(name, np.int64) for name in _FIELDS.split()])
"""Lines or paragraphs of a document. ``repeats``: those equal to an earlier one. ``filled``: those not blank;
of these, stripped: ``characters`` in all, ``copies`` in groups of equals; as they stand: ``terminal``, that
end in terminal punctuation, and ``short``, of at most ``short_line`` characters; ``bullets`` and
``ellipses`` as DCLM takes them."""

_FIELDS = "spans words word_characters letter_spans stop_words dclm_words dclm_characters"
N_GRAMS = np.dtype(
    [(name, np.int64) for name in _FIELDS.split()]
    + [
        ("top", np.int64, 3),
        ("repeated", np.int64, 6),
        ("dclm_top", np.int64, 3),
        ("dclm_covered", np.int64, 6),
    ]
)
"""Words of a document, counted, and characters of n-grams: ``top`` of 2 to 4 words, the others of 5 to 10."""


class _Scratch(NamedTuple):
    """Room to work with n-grams in, for as many as the longest document has words: uint64 ``grams``, bool ``repeated``,
    int32 ``slots`` and ``candidates``; and a hash table for as many: uint64 ``keys``, int32 ``counts``."""

    grams: np.ndarray
    repeated: np.ndarray
    slots: np.ndarray
    candidates: np.ndarray
    keys: np.ndarray
    counts: np.ndarray


_NEWLINE = 10
_FIRST, _LAST_TOP, _LAST = 2, 4, 10
_BEGINNING = 16  # bytes of an n-gram that are looked at first
_SEPARATOR = np.uint64(0xD6E8FEB86659FD93)


@device
def _characters(data, start, end):
    """Characters of well-formed text: bytes that do not continue one."""
    n = 0
    for byte in data[start:end]:
        n += byte & 0xC0 != 0x80
    return n


@device
def _before(data, start, end, classes):
    """Where the last character before ``end > start`` begins, and its classes."""
    i = end - 1
    while i > start and i > end - 4 and data[i] & 0xC0 == 0x80:
        i -= 1
    code, size = decode(data, i, end)
    if i + size == end:
        return i, classes[code]
    return end - 1, np.uint16(0)


@device
def strip(data, start, end, classes):
    """First byte, and end, of ``data[start:end]`` without the white space around it."""
    while start < end:
        code, size = decode(data, start, end)
        if not classes[code] & SPACE:
            break
        start += size
    while start < end:
        before, kind = _before(data, start, end, classes)
        if not kind & SPACE:
            break
        end = before
    return start, end


@device
def _bullet(data, first, last):
    code, _ = decode(data, first, last)
    return code == 0x2D or code == 0x2A or code == 0x2022 or code == 0x25CF


@device
def _count_newlines(data, start, end):
    n = 0
    for byte in data[start:end]:
        n += byte == _NEWLINE
    return n


@device
def _count_segments(data, start, end, gap, newlines, n, short_line, classes, tables, row):
    """One document's segments, which runs of ``gap`` newlines or more separate, as ``re.split`` would.

    ``newlines`` are the ``n`` places of newlines in the document, and perhaps before ``start`` or after ``end``.
    """
    keys, counts, stripped_keys, stripped_counts = tables
    secret = draw_secret()
    size = table_size(n + 1)
    counts[:size] = 0
    stripped_counts[:size] = 0
    k = 0
    while k < n and newlines[k] < start:
        k += 1
    while n > k and newlines[n - 1] >= end:
        n -= 1
    while True:
        stop = following = end
        while k < n:
            run = k
            k += 1
            while k < n and newlines[k] - newlines[k - 1] == 1:
                k += 1
            if k - run >= gap:
                stop, following = newlines[run], newlines[k - 1] + 1
                break
        first, last = strip(data, start, stop, classes)
        characters = _characters(data, start, stop)
        row.segments += 1
        key = text_hash(data, start, stop)
        if counts[add(keys, counts, size, key, secret)] > 1:
            row.repeats += 1
            row.repeat_characters += characters
            if first < last:
                row.filled_repeat_characters += characters
        if first < last:
            stripped = characters
            if first > start or last < stop:
                key = text_hash(data, first, last)
                stripped = _characters(data, first, last)
            row.filled += 1
            row.characters += stripped
            row.terminal += _before(data, start, stop, classes)[1] & TERMINAL != 0
            row.short += characters <= short_line
            row.bullets += _bullet(data, first, last)
            row.ellipses += ends_with_ellipsis(data, first, last) or ends_with_spaced_ellipsis(data, first, last)
            copies = stripped_counts[add(stripped_keys, stripped_counts, size, key, secret)]
            if copies > 1:
                row.copies += 2 if copies == 2 else 1
                row.copy_characters += 2 * stripped if copies == 2 else stripped
        if stop == end:
            break
        start = following


@kernel
def count_segments(data, offsets, short_line, classes, lines, with_paragraphs, paragraphs):
    """Fill ``lines``, and ``paragraphs`` if asked to (``SEGMENTS``, one a document). An empty document has none."""
    most = 0
    for doc in range(len(offsets) - 1):
        most = max(most, _count_newlines(data, offsets[doc], offsets[doc + 1]))
    newlines = np.empty(most + 1, np.int64)
    size = table_size(most + 1)
    tables = np.empty(size, np.uint64), np.empty(size, np.int32), np.empty(size, np.uint64), np.empty(size, np.int32)
    for doc in range(len(offsets) - 1):
        start, end = offsets[doc], offsets[doc + 1]
        if start == end:
            continue
        n = 0
        for i in range(start, end):
            newlines[n] = i
            n += data[i] == _NEWLINE
        _count_segments(data, start, end, 1, newlines, n, short_line, classes, tables, lines[doc])
        if not with_paragraphs:
            continue
        start, end = strip(data, start, end, classes)
        if start < end:
            _count_segments(data, start, end, 2, newlines, n, short_line, classes, tables, paragraphs[doc])


@device
def _chain(hashes, ends, m, last_n, scratch, top, longest, covered):
    """n-grams of ``m`` words for n from 2 to ``last_n``, equal where all their words are.

    An n-gram can repeat only where the (n-1)-grams at its first and its second word do, so that after the
    2-grams little is left to look at. ``ends[i]`` is the number of characters before word ``i``. For n = 2, 3
    and 4, fills with the characters of the most frequent n-gram times its count: ``top`` for the first of
    equals, even if none comes twice, with a space between words; ``longest`` for the longest, if one comes
    twice. For n = 5 and up, ``covered``: the characters of words in an n-gram that comes twice.
    """
    grams, repeated, slots, candidates, keys, counts = scratch
    n_candidates = max(m - 1, 0)
    secret = draw_secret()
    for i in range(m):
        grams[i] = hashes[i]
        candidates[i] = i
        repeated[i] = True
    for n in range(_FIRST, last_n + 1):
        kept = 0
        for c in range(n_candidates):
            i = candidates[c]
            if i + n <= m and repeated[i] and repeated[i + 1]:
                grams[i] = grams[i] * _SEPARATOR + hashes[i + n - 1]
                candidates[kept] = i
                kept += 1
            else:
                repeated[i] = False
        n_candidates = kept
        size = table_size(kept)
        counts[:size] = 0
        most = 0
        for c in range(kept):
            slots[c] = add(keys, counts, size, grams[candidates[c]], secret)
            most = max(most, counts[slots[c]])
        for c in range(kept):
            repeated[candidates[c]] = counts[slots[c]] > 1

        if n <= _LAST_TOP:
            if most > 1:
                for c in range(kept):
                    if counts[slots[c]] == most:
                        i = candidates[c]
                        characters = ends[i + n] - ends[i]
                        if top[n - _FIRST] == 0:
                            top[n - _FIRST] = (characters + n - 1) * most
                        longest[n - _FIRST] = max(longest[n - _FIRST], characters * most)
            elif m >= n:
                top[n - _FIRST] = ends[n] + n - 1
        elif most > 1:
            done = 0
            for c in range(kept):
                i = candidates[c]
                if repeated[i]:
                    covered[n - _LAST_TOP - 1] += ends[i + n] - ends[max(i, done)]
                    done = i + n


@device
def _beginning(letters, i):
    """Key of the first letters of an n-gram."""
    return eight_bytes(letters, i) * BASE + eight_bytes(letters, i + 8)


@device
def _repeated(letters, prefixes, powers, places, ends, m, scratch, row):
    """datatrove's duplicate n-grams, n = 5 to 10, equal where their letters are, wherever words begin: from
    left to right, one that was seen before counts and is stepped over; another is remembered.

    ``letters`` are the bytes of all words, where word ``i`` begins at ``places[i]``, ``prefixes[i]`` is the hash of
    all before it, and ``powers`` are those of the hash's base. Equal n-grams begin with the same letters, so that
    only those whose first letters come twice are looked at, and those too short to tell.
    """
    _, _, slots, candidates, keys, counts = scratch
    shortest, secret = _LAST_TOP + 1, draw_secret()
    positions = max(m - shortest + 1, 0)
    size = table_size(positions)
    counts[:size] = 0
    for i in range(positions):
        slots[i] = add(keys, counts, size, _beginning(letters, places[i]), secret)
    n_candidates = 0
    for i in range(positions):
        if counts[slots[i]] > 1 or places[i + shortest] - places[i] < _BEGINNING:
            candidates[n_candidates] = i
            n_candidates += 1
    size = table_size(n_candidates)
    for n in range(shortest, _LAST + 1):
        keys[:size] = 0
        done = 0
        for c in range(n_candidates):
            i = candidates[c]
            if i < done or i + n > m:
                continue
            power = powers[places[i + n] - places[i]]
            if seen(keys, size, prefixes[i + n] - prefixes[i] * power, secret):
                row.repeated[n - shortest] += ends[i + n] - ends[i]
                done = i + n


@kernel
def count_n_grams(data, starts, ends, doc_words, stop_hashes, classes, n_grams, dclm, rows):
    """Fill ``rows`` (``N_GRAMS``, one a document) from words given as byte positions: of n-grams, datatrove's
    only if ``n_grams``, and DCLM's only if ``dclm``."""
    longest = most = reach = 0  # words and bytes of a document, bytes of an n-gram
    for doc in range(len(rows)):
        first, last = doc_words[doc], doc_words[doc + 1]
        longest = max(longest, last - first)
        if first < last:
            most = max(most, ends[last - 1] - starts[first])
        for word in range(first, last):
            reach = max(reach, ends[min(word + _LAST, last) - 1] - starts[word])
    size = table_size(longest)  # places and counts are int32: a document is no longer than 2 GiB
    letters, powers = np.zeros(most + _BEGINNING, np.uint8), np.ones(reach + 1, np.uint64)
    for i in range(reach):
        powers[i + 1] = powers[i] * BASE
    prefixes, places = np.zeros(longest + 1, np.uint64), np.zeros(longest + 1, np.int32)
    hashes = np.empty(longest, np.uint64)
    scratch = _Scratch(
        np.empty(longest, np.uint64), np.empty(longest, np.bool_), np.empty(longest, np.int32),
        np.empty(longest, np.int32), np.empty(size, np.uint64), np.empty(size, np.int32),
    )  # fmt: skip
    before = np.zeros(longest + 1, np.int32)
    dclm_longest = longest if dclm else 0
    dclm_hashes, dclm_before = np.empty(dclm_longest, np.uint64), np.zeros(dclm_longest + 1, np.int32)
    unused = np.zeros(3, np.int64)

    stop_size = table_size(8 * len(stop_hashes))  # wide, so that most words meet a free slot
    stop_keys, stop_counts, secret = np.empty(stop_size, np.uint64), np.zeros(stop_size, np.int32), draw_secret()
    for key in stop_hashes:
        add(stop_keys, stop_counts, stop_size, key, secret)
    seen_in = np.full(stop_size, -1)

    for doc in range(len(rows)):
        row = rows[doc]
        m = k = 0
        for word in range(doc_words[doc], doc_words[doc + 1]):
            i, end = starts[word], ends[word]
            place = places[m]
            characters = 0
            every, some = np.uint16(MARK), np.uint16(0)
            begins = np.uint16(0)
            h = np.uint64(0)
            while i < end:
                kind, size, h = read(data, i, end, classes, h, False)
                letters[place] = data[i]
                for at in range(1, size):
                    letters[place + at] = data[i + at]
                place += size
                i += size
                every &= kind
                some |= kind
                if characters == 0:
                    begins = kind
                characters += 1
            places[m + 1] = place
            prefixes[m + 1] = prefixes[m] * powers[place - places[m]] + h
            hashes[m] = h
            before[m + 1] = before[m] + characters
            row.letter_spans += some & LETTER != 0
            is_word = every & MARK == 0
            row.words += is_word
            row.word_characters += is_word * characters
            if begins & (LETTER | NUMERIC) != 0:
                row.dclm_characters += characters
                if dclm:
                    dclm_hashes[k] = h
                    dclm_before[k + 1] = row.dclm_characters
                k += 1
            slot = find(stop_keys, stop_counts, stop_size, h, secret)
            if slot >= 0 and seen_in[slot] != doc:
                seen_in[slot] = doc
                row.stop_words += 1
            m += 1
        row.dclm_words = k
        if n_grams:
            _chain(hashes, before, m, _LAST_TOP, scratch, row.top, unused, unused)
            _repeated(letters, prefixes, powers, places, before, m, scratch, row)
        if dclm:
            _chain(dclm_hashes, dclm_before, k, _LAST, scratch, unused, row.dclm_top, row.dclm_covered)
