"""All terminal output goes through here: control characters in data are escaped, not sent to the terminal."""

import json
import os
import re
import sys
from collections.abc import Iterator
from typing import Any, TextIO

HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff\U000e0000-\U000e007f]"
)
"""Controls (C0 but tab and line feed, DEL, C1), separators of lines, what turns the direction of text, halves of
characters, tags: what a terminal obeys, or what makes a line look like another."""


def shown(text: str) -> str:
    """The text with such characters written out, as `repr` does: `\\\\x1b` for ESC. Lines and tabs stay."""
    return HIDDEN.sub(lambda found: _escaped(found[0]), text)


def shown_json(value: Any) -> str:
    """One line of JSON with such characters as JSON escapes them; what it has no form for, such as a date, is text."""
    return HIDDEN.sub(lambda found: _json_escaped(found[0]), json.dumps(value, ensure_ascii=False, default=str))


def table(rows: list[tuple], right: frozenset[int] = frozenset()) -> Iterator[str]:
    """Columns side by side; those in `right` are numbers."""
    texts = [
        [f"{cell:,}" if isinstance(cell, int) else " ".join(shown(str(cell)).split()) for cell in row] for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    for row in texts:
        cells = [
            cell.rjust(width) if place in right else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()


class Marked(list[tuple[str, bool]]):
    """A line in pieces, each with whether it is marked."""


def show(line: str | Marked) -> None:
    """Print a line of what a command found, on stdout. A line feed in it came with data, and is written out too. Marks
    are colors on a terminal, and brackets elsewhere."""
    pieces = line if isinstance(line, Marked) else [(line, False)]
    before, after = ("\x1b[1;31m", "\x1b[0m") if _has_colors(sys.stdout) else ("[", "]")
    escaped = ((shown(text).replace("\n", r"\n"), marked) for text, marked in pieces)
    _print("".join(f"{before}{text}{after}" if marked else text for text, marked in escaped), sys.stdout)


def _has_colors(stream: TextIO) -> bool:
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def show_json(value: Any) -> None:
    """Print an object on stdout, for machines."""
    _print(shown_json(value), sys.stdout)


def say(text: str) -> None:
    """Print talk, on stderr."""
    _print(shown(text), sys.stderr)
    sys.stderr.flush()


def _print(text: str, stream: TextIO) -> None:
    encoding = getattr(stream, "encoding", None) or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding), file=stream)


def _escaped(sign: str) -> str:
    number = ord(sign)
    return f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}" if number < 65536 else f"\\U{number:08x}"


def _json_escaped(sign: str) -> str:
    units = sign.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
