"""Where a text repeats itself: its lines, paragraphs and n-grams, as the signals count them."""

import re
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from curate.documents import utf8
from curate.kernels.characters import character_classes
from curate.kernels.marks import word_and_mark_spans

Span = tuple[int, int]
"""Where something begins and ends in a text, in characters."""


def pieces(text: str, separator: str) -> Iterator[Span]:
    """What lies between the matches of a separator, without white space around it, where there is more."""
    start = 0
    for cut in [*((found.start(), found.end()) for found in re.finditer(separator, text)), (len(text), len(text))]:
        piece = text[start : cut[0]]
        if filled := piece.strip():
            first = start + piece.index(filled[0])
            yield first, first + len(filled)
        start = cut[1]


def repeated(text: str, separator: str, copies: bool = False) -> list[Span]:
    """The lines or paragraphs that came before. copies: all that have an equal, the first one too."""
    spans = list(pieces(text, separator))
    counts = Counter(text[start:stop] for start, stop in spans)
    seen: set[str] = set()
    found = []
    for start, stop in spans:
        piece = text[start:stop]
        if piece in seen or (copies and counts[piece] > 1):
            found.append((start, stop))
        seen.add(piece)
    return found


def words(text: str) -> list[Span]:
    """The words and punctuation marks that n-grams are made of."""
    data, offsets = utf8(pa.array([text]))
    starts, ends, _ = word_and_mark_spans(data, offsets, character_classes())
    return in_characters(text, list(zip(starts.tolist(), ends.tolist(), strict=True)))


def in_characters(text: str, spans: list[Span]) -> list[Span]:
    """Spans in bytes of UTF-8 as spans in characters; one that ends within a character takes it whole."""
    if text.isascii():
        return [(min(start, len(text)), min(stop, len(text))) for start, stop in spans]
    data = np.frombuffer(text.encode(), np.uint8)
    before = np.append(0, np.cumsum((data & 0xC0) != 0x80))
    last = len(data)
    return [(int(before[min(start, last)]), int(before[min(stop, last)])) for start, stop in spans]


def repeated_n_grams(text: str, n: int) -> list[Span]:
    """n-grams of words that came before, from left to right without overlap."""
    at, seen, found, place = words(text), set(), [], 0
    tokens = [text[start:stop] for start, stop in at]
    while place + n <= len(tokens):
        gram = tuple(tokens[place : place + n])
        known = gram in seen
        if known:
            found.append((at[place][0], at[place + n - 1][1]))
        seen.add(gram)
        place += n if known else 1
    return joined(found)


def top_n_gram(text: str, n: int) -> list[Span]:
    """Every place of the most frequent n-gram of words; of equally frequent ones the first."""
    at = words(text)
    tokens = [text[start:stop] for start, stop in at]
    grams = [tuple(tokens[place : place + n]) for place in range(len(tokens) - n + 1)]
    counts = Counter(grams)
    top = max(counts, key=lambda gram: counts[gram], default=None)
    return joined([(at[place][0], at[place + n - 1][1]) for place, gram in enumerate(grams) if gram == top])


def joined(spans: list[Span]) -> list[Span]:
    """The spans in order, those that overlap as one."""
    found: list[Span] = []
    for start, stop in sorted(spans):
        if found and start < found[-1][1]:
            found[-1] = (found[-1][0], max(stop, found[-1][1]))
        else:
            found.append((start, stop))
    return found
