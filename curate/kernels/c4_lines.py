"""C4's rules, as datatrove applies them: which lines and pages to remove.

arXiv:1910.10683
"""

from typing import NamedTuple

import numpy as np

from curate.kernels import kernel
from curate.kernels.lines import CURLY, JAVASCRIPT, LOREM, POLICY, citation, ends_terminal, scan_line, sentences
from curate.kernels.repetition import strip

KEPT, LOREM_IPSUM, CURLY_BRACKET, FEW_SENTENCES = range(4)
_OPEN, _NEWLINE = 0x5B, 0x0A


class Rules(NamedTuple):
    """What goes.

    terminal       whether a line must end in terminal punctuation
    min_words      fewest plain words of a line
    max_word       most characters of a word in a line
    flags          of ``lines``: rules that are on
    min_sentences  fewest sentences of a document
    """

    terminal: bool
    min_words: int
    max_word: int
    flags: int
    min_sentences: int


@kernel
def _copy(data, first, last, classes, out, at):
    """Write ``data[first:last]`` without its citations to ``out`` from ``at`` on: where that ends."""
    while first < last:
        if data[first] == _OPEN:
            skip = citation(data, first, last, classes)
            if skip:
                first += skip
                continue
        out[at] = data[first]
        at += 1
        first += 1
    return at


@kernel
def clean(data, offsets, spans, classes, rules):
    """Take lines out of every document until a rule rejects it.

    spans  words and marks, as ``marks.word_and_mark_spans`` gives them
    rules  ``Rules``

    Returns (out uint8[bytes], out_offsets int64[docs + 1], verdicts uint8[docs], removed int32[docs]): the
    texts that are left, without citations, one line after another; what each page comes to, and how many
    lines went. The text of a page that goes is nothing in particular. Words only bound the sentences.
    """
    starts, ends, doc_words = spans
    docs = len(offsets) - 1
    out = np.empty(offsets[-1] - offsets[0], np.uint8)
    out_offsets = np.zeros(docs + 1, np.int64)
    verdicts, removed = np.zeros(docs, np.uint8), np.zeros(docs, np.int32)
    for doc in range(docs):
        following, end = offsets[doc], offsets[doc + 1]
        word, stop = doc_words[doc], doc_words[doc + 1]
        begin = at = out_offsets[doc]
        n_sentences = 0
        while following < end and verdicts[doc] == KEPT:
            first, last, line_end, following, _, n_words, longest, found = scan_line(
                data, following, end, classes, True
            )
            found &= rules.flags
            while word < stop and starts[word] < first:
                word += 1
            if (
                longest > rules.max_word
                or n_words < rules.min_words
                or (rules.terminal and not ends_terminal(data, first, last, classes))
            ):
                removed[doc] += 1
            elif found & LOREM:
                verdicts[doc] = LOREM_IPSUM
            elif found & JAVASCRIPT:
                removed[doc] += 1
            elif found & CURLY:
                verdicts[doc] = CURLY_BRACKET
            elif found & POLICY:
                removed[doc] += 1
            else:
                n_sentences += n_words > 0 and sentences(data, first, last, starts, ends, word, stop, classes)
                if at > begin:
                    out[at] = _NEWLINE
                    at += 1
                at = _copy(data, first, last, classes, out, at)
            while word < stop and starts[word] < line_end:
                word += 1
        if verdicts[doc] == KEPT and n_sentences < rules.min_sentences:
            verdicts[doc] = FEW_SENTENCES
        first, last = strip(out, begin, at, classes)
        if first > begin:
            for k in range(first, last):
                out[begin + k - first] = out[k]
        out_offsets[doc + 1] = begin + last - first
    return out[: out_offsets[-1]].copy(), out_offsets, verdicts, removed
