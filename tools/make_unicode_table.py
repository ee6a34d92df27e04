"""Write curate/kernels/tables/unicode_table.py from the Unicode data of the Python that runs this.

    python3.13 tools/make_unicode_table.py

Needs the standard library only. The table is data, not a lookup at run time, so that a text has the same
words and the same hashes under every Python. A table of another Unicode version changes both: raise the
versions of the stages that use it.
"""

import base64
import json
import sys
import unicodedata
import zlib
from itertools import groupby, pairwise
from pathlib import Path

OTHER, LETTER, IDEOGRAPH, MARK = range(4)
JOINERS = "\u200c\u200d"  # they shape letters inside Persian and Indic words

# Scripts written without spaces, whose characters carry a meaning or a syllable each: Han with its iteration
# marks, Hiragana, Katakana, Bopomofo. Planes 2 and 3 are set aside for Han, assigned or not.
IDEOGRAPHIC = [
    (0x3005, 0x3007),
    (0x3041, 0x312F),
    (0x3190, 0x31BF),
    (0x31F0, 0x31FF),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0xFF66, 0xFF9F),
    (0x1AFF0, 0x1B16F),
    (0x20000, 0x2FFFD),
    (0x30000, 0x3FFFD),
]

# Scripts of letters that are written without spaces too: Thai and Lao, Myanmar, Khmer, Tai Le, New Tai Lue, Tai Tham,
# Tai Viet, Ahom, Balinese, Javanese. (Tibetan puts a mark after each syllable.) Their digits form runs as others do.
SPACELESS = [
    (0x0E00, 0x0EFF),
    (0x1000, 0x109F),
    (0x1780, 0x17FF),
    (0x1950, 0x19DF),
    (0x1A20, 0x1AAF),
    (0x1B00, 0x1B7F),
    (0xA980, 0xA9FF),
    (0xAA60, 0xAADF),
    (0x11700, 0x1174F),
]


def class_of(code: int) -> int:
    """Word class of a code point, from its general category and, where no spaces are written, its block."""
    category = unicodedata.category(chr(code))
    if any(first <= code <= last for first, last in SPACELESS) and category[0] == "L":
        return IDEOGRAPH
    if category[0] == "M" or chr(code) in JOINERS:
        return MARK
    if any(first <= code <= last for first, last in IDEOGRAPHIC) and (category[0] in "LN" or code >= 0x20000):
        return IDEOGRAPH
    return LETTER if category[0] in "LN" else OTHER


def fold(code: int) -> int:
    """Simple case folding: one code point for one. Where the full folding is longer, simple lower case."""
    for folded in (chr(code).casefold(), chr(code).lower()):
        if len(folded) == 1:
            return ord(folded)
    return code


def main() -> None:
    codes = range(sys.maxunicode + 1)
    classes = [(len(list(run)), kind) for kind, run in groupby(map(class_of, codes))]
    folded = [code for code in codes if fold(code) != code]
    folds = [(code - before, fold(code) - code) for before, code in pairwise([0, *folded])]
    packed = zlib.compress(json.dumps([classes, folds], separators=(",", ":")).encode(), 9)
    literal = base64.b85encode(packed).decode()
    lines = [literal[i : i + 100] for i in range(0, len(literal), 100)]
    target = Path(__file__).parents[1] / "curate" / "kernels" / "tables" / "unicode_table.py"
    target.write_text(
        '"""Made by tools/make_unicode_table.py: runs of word classes, and steps of case folding."""\n\n'
        f'VERSION = "{unicodedata.unidata_version}"\n\n'
        "PACKED = (\n" + "".join(f"    {json.dumps(line)}\n" for line in lines) + ")\n"
    )


if __name__ == "__main__":
    main()
