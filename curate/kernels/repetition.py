"""How much of a text repeats: lines, paragraphs, and n-grams of words.

Two readings of Gopher's Table A1 (arXiv:2112.11446) are in use, and both are counted. datatrove's counts what
comes again after its first appearance, and n-grams without overlap, over all words; DCLM's counts all copies
of what appears more than once, over the words that begin with a letter or a digit.
"""

import numpy as np

from curate.kernels import device, kernel
from curate.kernels.characters import LETTER, MARK, NUMERIC, SPACE, TERMINAL
from curate.kernels.counts import ends_with_ellipsis, ends_with_spaced_ellipsis
from curate.kernels.hash_table import add, append, append_byte, byte_hash, find, inverse, seen, table_size
from curate.kernels.hashing import mix64
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

_NEWLINE = 10
_FIRST, _LAST_TOP, _LAST = 2, 4, 10
_SEPARATOR = np.uint64(0xD6E8FEB86659FD93)


@device
def _characters(data, start, end):
    """Characters of well-formed text: bytes that do not continue one."""
    n = 0
    for i in range(start, end):
        n += data[i] & 0xC0 != 0x80
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
def _count_segments(data, start, end, gap, short_line, classes, keys, counts, stripped_keys, stripped_counts, row):
    """One document's segments, which runs of ``gap`` newlines or more separate, as ``re.split`` would."""
    n = 1
    for i in range(start, end):
        n += data[i] == _NEWLINE
    size = table_size(n)
    counts[:size] = 0
    stripped_counts[:size] = 0
    while True:
        stop = following = start
        while stop < end:
            while following < end and data[following] == _NEWLINE:
                following += 1
            if following - stop >= gap:
                break
            stop = following = max(following, stop + 1)
        first, last = strip(data, start, stop, classes)
        characters = _characters(data, start, stop)
        row.segments += 1
        key = byte_hash(data, start, stop)
        if counts[add(keys, counts, size, key)] > 1:
            row.repeats += 1
            row.repeat_characters += characters
            if first < last:
                row.filled_repeat_characters += characters
        if first < last:
            stripped = _characters(data, first, last)
            row.filled += 1
            row.characters += stripped
            row.terminal += _before(data, start, stop, classes)[1] & TERMINAL != 0
            row.short += characters <= short_line
            row.bullets += _bullet(data, first, last)
            row.ellipses += ends_with_ellipsis(data, first, last) or ends_with_spaced_ellipsis(data, first, last)
            if first > start or last < stop:
                key = byte_hash(data, first, last)
            copies = stripped_counts[add(stripped_keys, stripped_counts, size, key)]
            if copies > 1:
                row.copies += 2 if copies == 2 else 1
                row.copy_characters += 2 * stripped if copies == 2 else stripped
        if stop == end:
            break
        start = following


@kernel
def count_segments(data, offsets, short_line, classes, lines, with_paragraphs, paragraphs):
    """Fill ``lines``, and ``paragraphs`` if asked to (``SEGMENTS``, one a document). An empty document has none."""
    longest = 0
    for doc in range(len(offsets) - 1):
        n = 1
        for i in range(offsets[doc], offsets[doc + 1]):
            n += data[i] == _NEWLINE
        longest = max(longest, n)
    size = table_size(longest)
    keys, counts = np.empty(size, np.uint64), np.empty(size, np.int32)
    stripped_keys, stripped_counts = np.empty(size, np.uint64), np.empty(size, np.int32)
    for doc in range(len(offsets) - 1):
        start, end = offsets[doc], offsets[doc + 1]
        if start == end:
            continue
        _count_segments(
            data, start, end, 1, short_line, classes, keys, counts, stripped_keys, stripped_counts, lines[doc]
        )
        if not with_paragraphs:
            continue
        start, end = strip(data, start, end, classes)
        if start < end:
            _count_segments(
                data,
                start,
                end,
                2,
                short_line,
                classes,
                keys,
                counts,
                stripped_keys,
                stripped_counts,
                paragraphs[doc],
            )


@device
def _chain(hashes, ends, m, last_n, grams, repeated, slots, candidates, keys, counts, top, longest, covered):
    """n-grams of ``m`` words for n from 2 to ``last_n``, equal where all their words are.

    An n-gram can repeat only where the (n-1)-grams at its first and its second word do, so that after the
    2-grams little is left to look at. ``ends[i]`` is the number of characters before word ``i``. For n = 2, 3
    and 4, fills with the characters of the most frequent n-gram times its count: ``top`` for the first of
    equals, even if none comes twice, with a space between words; ``longest`` for the longest, if one comes
    twice. For n = 5 and up, ``covered``: the characters of words in an n-gram that comes twice.
    """
    n_candidates = max(m - 1, 0)
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
            slots[c] = add(keys, counts, size, mix64(grams[candidates[c]]))
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
def _repeated(prefixes, inverses, ends, m, keys, row):
    """datatrove's duplicate n-grams, n = 5 to 10, equal where their letters are, wherever words begin: from
    left to right, one that was seen before counts and is stepped over; another is remembered.

    ``prefixes[i]`` is the hash of all before word ``i``, and ``inverses[i]`` undoes the power of that.
    """
    size = table_size(m)
    for n in range(_LAST_TOP + 1, min(m, _LAST) + 1):
        keys[:size] = 0
        i = 0
        while i <= m - n:
            if seen(keys, size, mix64((prefixes[i + n] - prefixes[i]) * inverses[i])):
                row.repeated[n - _LAST_TOP - 1] += ends[i + n] - ends[i]
                i += n
            else:
                i += 1


@kernel
def count_n_grams(data, starts, ends, doc_words, stop_hashes, classes, n_grams, dclm, rows):
    """Fill ``rows`` (``N_GRAMS``, one a document) from words given as byte positions: of n-grams, datatrove's
    only if ``n_grams``, and DCLM's only if ``dclm``."""
    longest = 0
    for doc in range(len(rows)):
        longest = max(longest, doc_words[doc + 1] - doc_words[doc])
    size = table_size(longest)
    keys, counts = np.empty(size, np.uint64), np.empty(size, np.int32)
    prefixes, inverses = np.zeros(longest + 1, np.uint64), np.ones(longest + 1, np.uint64)
    hashes = np.empty(longest, np.uint64)
    grams, slots = np.empty(longest, np.uint64), np.empty(longest, np.int64)
    before = np.zeros(longest + 1, np.int64)
    dclm_hashes, dclm_before = np.empty(longest, np.uint64), np.zeros(longest + 1, np.int64)
    candidates, repeated = np.empty(longest, np.int64), np.empty(longest, np.bool_)
    unused = np.zeros(3, np.int64)

    stop_size = table_size(len(stop_hashes))
    stop_keys, stop_counts = np.empty(stop_size, np.uint64), np.zeros(stop_size, np.int32)
    for key in stop_hashes:
        add(stop_keys, stop_counts, stop_size, key)
    seen_in = np.full(stop_size, -1)

    for doc in range(len(rows)):
        row = rows[doc]
        m = k = 0
        h, power = np.uint64(0), np.uint64(1)
        for word in range(doc_words[doc], doc_words[doc + 1]):
            i, end = starts[word], ends[word]
            characters = 0
            every, some = np.uint16(MARK), np.uint16(0)
            begins = np.uint16(0)
            while i < end:
                byte = data[i]
                if byte < 0x80:
                    kind = classes[byte]
                    h, power = append_byte(h, power, byte)
                    i += 1
                else:
                    code, step = decode(data, i, end)
                    kind = classes[code]
                    h, power = append(h, power, data, i, i + step)
                    i += step
                every &= kind
                some |= kind
                if characters == 0:
                    begins = kind
                characters += 1
            prefixes[m + 1] = h
            inverses[m + 1] = inverse(end - starts[word], inverses[m])
            hashes[m] = (h - prefixes[m]) * inverses[m]
            before[m + 1] = before[m] + characters
            row.letter_spans += some & LETTER != 0
            if not every & MARK:
                row.words += 1
                row.word_characters += characters
            if begins & (LETTER | NUMERIC):
                dclm_hashes[k] = hashes[m]
                dclm_before[k + 1] = dclm_before[k] + characters
                k += 1
            slot = find(stop_keys, stop_counts, stop_size, mix64(hashes[m]))
            if slot >= 0 and seen_in[slot] != doc:
                seen_in[slot] = doc
                row.stop_words += 1
            m += 1
        row.dclm_words = k
        row.dclm_characters = dclm_before[k]
        if n_grams:
            _chain(
                hashes, before, m, _LAST_TOP, grams, repeated, slots, candidates, keys, counts,
                row.top, unused, unused,
            )  # fmt: skip
            _repeated(prefixes, inverses, before, m, keys, row)
        if dclm:
            _chain(
                dclm_hashes, dclm_before, k, _LAST, grams, repeated, slots, candidates, keys, counts,
                unused, row.dclm_top, row.dclm_covered,
            )  # fmt: skip
