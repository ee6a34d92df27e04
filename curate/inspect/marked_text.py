"""A text with marks: what is around them, for a terminal or a page."""

from collections.abc import Sequence

from curate.base.terminal import Marked
from curate.inspect.repeated_spans import Span, joined

AROUND = 80
"""Characters shown on either side of a mark."""

LONGEST = 200
"""Characters of a mark that are shown."""

MOST = 8
"""Marks of a text that are shown."""

BEGINS = 300
"""Characters of a text without marks that are shown."""


def pieces(text: str, marks: Sequence[Sequence[int]]) -> Marked:
    """The text in pieces, each with whether it is marked."""
    found, at = Marked(), 0
    for start, stop in marks:
        found += [(text[at:start], False), (text[start:stop], True)]
        at = stop
    return Marked(piece for piece in (*found, (text[at:], False)) if piece[0])


def excerpt(text: str, marks: Sequence[Sequence[int]]) -> list[Marked]:
    """Lines of what is around the first marks, with `…` where more was; without marks, how the text begins."""
    shown = [(start, min(stop, start + LONGEST)) for start, stop in marks[:MOST]]
    windows = joined([(max(start - AROUND, 0), min(stop + AROUND, len(text))) for start, stop in shown])
    lines = [line for window in windows or [(0, min(len(text), BEGINS))] for line in _window(text, window, shown)]
    if len(marks) > MOST:
        lines.append(Marked([(f"… and {len(marks) - MOST:,} more", False)]))
    return lines


def _window(text: str, window: Span, marks: list[Span]) -> list[Marked]:
    """The lines of a stretch of a text."""
    start, stop = window
    mine = [(max(a, start) - start, min(b, stop) - start) for a, b in marks if a < stop and b > start]
    lines = [Marked()]
    for piece, marked in pieces(text[start:stop], mine):
        first, *rest = piece.split("\n")
        lines[-1].append((first, marked))
        lines += [Marked([(line, marked)]) for line in rest]
    lines = [Marked(piece for piece in line if piece[0]) for line in lines]
    lines = [line for line in lines if any(piece.strip() for piece, _ in line)] or [Marked()]
    lines[0][:0] = [("…", False)] if start else []
    lines[-1] += [("…", False)] if stop < len(text) else []
    return lines


def signal_text(signal: dict) -> str:
    """`n_words 31 < 50 (min_words)`: what caused a verdict; of another signal, `n_words 31, max_words 100000`."""
    value, limit = (f"{one:.6g}" if isinstance(one, float) else str(one) for one in (signal["value"], signal["limit"]))
    if signal["op"] == "in":
        return f"{signal['signal']} {value} in the rule {signal['parameter']}: {limit}"
    if signal["caused"]:
        return f"{signal['signal']} {value} {signal['op']} {limit} ({signal['parameter']})"
    return f"{signal['signal']} {value}, {signal['parameter']} {limit}"
