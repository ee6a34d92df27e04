"""Signals counted over lines: Gopher's bullets and ellipses, C4's rules, lengths.

C4 judges lines one by one, in a fixed order, and its page rules see only the lines that reach them. Both of
its uses are counted: as published, where a line must end in terminal punctuation (``terminal_``), and without
that rule, as in FineWeb (``any_``).
"""

import numpy as np

from curate.kernels import device, kernel
from curate.kernels.characters import BREAK, DECIMAL, PUNCTUATION, SPACE, TERMINAL
from curate.kernels.counts import ends_with_ellipsis
from curate.kernels.words import decode

PLAIN_LINES = ("lines", "characters", "longest", "few_words", "bullets", "ellipses")
_FIELDS = """
    javascript policy lorem_ipsum curly long_word
    terminal_kept terminal_sentences terminal_lorem_ipsum terminal_curly
    any_kept any_sentences any_lorem_ipsum any_curly
"""
LINES = np.dtype([(name, np.int64) for name in (*PLAIN_LINES, *_FIELDS.split())])
"""One record a document: numbers of lines, but ``longest`` and ``characters`` (characters) and sentences."""

LONGEST_WORD = 1000  # characters; C4 drops lines with a longer word
FEWEST_WORDS = 3  # C4 drops lines with fewer

_DOT, _OPEN, _CLOSE, _BRACE = 0x2E, 0x5B, 0x5D, 0x7B
LOREM, JAVASCRIPT, POLICY, CURLY = 1, 2, 4, 8  # flags of what is found in a line
_PHRASES = {
    b"cookie policy": POLICY,
    b"javascript": JAVASCRIPT,
    b"lorem ipsum": LOREM,
    b"privacy policy": POLICY,
    b"terms of use": POLICY,
    b"use cookies": POLICY,
    b"use of cookies": POLICY,
    b"uses cookies": POLICY,
}
_TEXT = np.frombuffer(b"".join(_PHRASES), np.uint8).copy()
_BOUNDS = np.cumsum([0, *map(len, _PHRASES)])
_MEANS = np.array(list(_PHRASES.values()))
_LETTERS = sorted({phrase[0] for phrase in _PHRASES})  # that phrases begin with: each has a bit, and the brace has one
_FIRST, _SECOND = np.zeros(256, np.uint8), np.full(256, 1 << len(_LETTERS), np.uint8)
_FIRST[_BRACE] = 1 << len(_LETTERS)
for _phrase in _PHRASES:
    _bit = 1 << _LETTERS.index(_phrase[0])
    _FIRST[[_phrase[0], _phrase[0] - 32]] = _bit
    _SECOND[[_phrase[1], _phrase[1] - 32, _OPEN]] |= _bit
_EDIT = np.frombuffer(b"[edit]", np.uint8).copy()
_NEEDED = np.frombuffer(b"[citation needed]", np.uint8).copy()


@device
def _starts_with(data, i, end, text):
    k = 0
    while k < len(text) and i + k < end and data[i + k] == text[k]:
        k += 1
    return k == len(text)


@device
def citation(data, i, end, classes):
    """Bytes of the citation at ``i``: ``[edit]``, ``[citation needed]`` or ``[12]``; 0 if there is none."""
    if _starts_with(data, i, end, _EDIT):
        return len(_EDIT)
    if _starts_with(data, i, end, _NEEDED):
        return len(_NEEDED)
    if data[i] != _OPEN:
        return 0
    k = i + 1
    while k < end:
        code, size = decode(data, k, end)
        if code == _CLOSE:
            return k + 1 - i
        if not classes[code] & DECIMAL:
            break
        k += size
    return 0


@device
def _before(data, first, end, classes):
    """Where the text before ``end`` ends once the citations there are taken away."""
    while end > first and data[end - 1] == _CLOSE:
        start = end - 1
        while start > first and data[start] != _OPEN:
            start -= 1
        if start + citation(data, start, end, classes) != end:
            break
        end = start
    return end


@device
def ends_terminal(data, first, end, classes):
    """C4's end of a sentence: ``. ? ! " '`` but not three dots, citations aside."""
    end = _before(data, first, end, classes)
    if end == first:
        return False
    last = data[end - 1]
    if last != _DOT:
        return last == 0x3F or last == 0x21 or last == 0x22 or last == 0x27
    for _ in range(2):
        end = _before(data, first, end - 1, classes)
        if end == first or data[end - 1] != _DOT:
            return True
    return False


@device
def phrases(data, i, end, classes):
    """What the phrases at ``i`` mean, a sum of flags; letter case of ASCII and citations do not matter."""
    found = 0
    first = data[i] | 32
    for p in range(len(_MEANS)):
        if _TEXT[_BOUNDS[p]] != first:
            continue
        k = i
        at = _BOUNDS[p]
        while at < _BOUNDS[p + 1] and k < end:
            byte = data[k]
            if 0x41 <= byte <= 0x5A:
                byte += 32
            if byte == _TEXT[at]:
                k += 1
                at += 1
            elif byte == _OPEN and at > _BOUNDS[p]:
                skip = citation(data, k, end, classes)
                if skip == 0:
                    break
                k += skip
            else:
                break
        if at == _BOUNDS[p + 1]:
            found |= _MEANS[p]
    return found


@device
def sentences(data, first, last, starts, ends, word, stop, classes):
    """Sentences of the line ``data[first:last]``, whose words are from ``word`` on: a terminal mark that is a
    word, or between words, ends one where a word that is not mere punctuation follows in the line."""
    sentences = 1
    ended = False
    position = first
    while word < stop and starts[word] < last:
        while position < starts[word]:
            code, size = decode(data, position, last)
            ended |= classes[code] & TERMINAL != 0
            position += size
        code, size = decode(data, position, last)
        if position + size == ends[word] and classes[code] & TERMINAL:
            ended = True
        elif ended:
            while position < min(ends[word], last):
                code, size = decode(data, position, last)
                if not classes[code] & PUNCTUATION:
                    sentences += 1
                    ended = False
                    break
                position += size
        position = ends[word]
        word += 1
    return sentences


@device
def scan_line(data, i, end, classes, search):
    """The line of ``str.splitlines`` that begins at ``i < end``.

    Returns (first, last, line_end, following, characters, words, longest, found): where it begins and ends
    without the white space around it, where it ends with that, where the next line begins, characters,
    plain words, characters of the longest of these, and the flags of what was found if ``search``. A blank line has no
    words, and ``first == last``.
    """
    first = last = i
    characters = words = length = longest = found = 0
    while i < end:
        byte = data[i]
        size = 1
        if byte < 0x80:
            kind = classes[byte]
        else:
            code, size = decode(data, i, end)
            kind = classes[code]
        if kind & BREAK:
            break
        characters += 1
        if kind & SPACE:
            length = 0
        else:
            if words == 0:
                first = i
            words += length == 0
            length += 1
            longest = max(longest, length)
            last = i + size
            if search and _FIRST[byte] & _SECOND[data[i + 1] if i + 1 < end else 0]:
                found |= CURLY if byte == _BRACE else phrases(data, i, end, classes)
        i += size
    following = i
    if i < end:
        code, size = decode(data, i, end)
        following += size
        if code == 13 and following < end and data[following] == 10:
            following += 1
    return first, last, i, following, characters, words, longest, found


@kernel
def count_lines(data, offsets, starts, ends, doc_words, classes, c4, counts):
    """Fill ``counts`` (``LINES``, one a document); what C4 looks for only if ``c4``. Words, as byte positions,
    only bound the sentences."""
    for doc in range(len(offsets) - 1):
        following, end = offsets[doc], offsets[doc + 1]
        word, stop = doc_words[doc], doc_words[doc + 1]
        row = counts[doc]
        while following < end:
            first, last, line_end, following, characters, n_words, longest, found = scan_line(
                data, following, end, classes, c4
            )
            row.lines += 1
            row.characters += characters
            row.longest = max(row.longest, characters)
            row.few_words += n_words < FEWEST_WORDS
            if n_words == 0:
                continue
            code, _ = decode(data, first, last)
            row.bullets += code == 0x2D or code == 0x2022
            row.ellipses += ends_with_ellipsis(data, first, last)
            if not c4:
                continue

            lorem, javascript = found & LOREM != 0, found & JAVASCRIPT != 0
            policy, curly = found & POLICY != 0, found & CURLY != 0
            row.lorem_ipsum += lorem
            row.javascript += javascript
            row.policy += policy
            row.curly += curly
            row.long_word += longest > LONGEST_WORD
            while word < stop and starts[word] < first:
                word += 1
            if longest <= LONGEST_WORD and n_words >= FEWEST_WORDS:
                terminal = ends_terminal(data, first, last, classes)
                row.any_lorem_ipsum += lorem
                row.terminal_lorem_ipsum += lorem and terminal
                if not javascript:
                    row.any_curly += curly
                    row.terminal_curly += curly and terminal
                    if not policy:
                        n_sentences = sentences(data, first, last, starts, ends, word, stop, classes)
                        row.any_kept += 1
                        row.any_sentences += n_sentences
                        if terminal:
                            row.terminal_kept += 1
                            row.terminal_sentences += n_sentences
            while word < stop and starts[word] < line_end:
                word += 1
