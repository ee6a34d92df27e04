"""Write curate/kernels/tables/word_break_table.py from the Unicode data of the package `regex`.

    python tools/make_word_break_table.py UNICODE-VERSION

The version, which `regex` does not tell, is for the record. Like the other table this is data, so that a text has the
same words everywhere: raise the versions of the stages that use it when it changes.
"""

import base64
import json
import sys
import zlib
from itertools import groupby
from pathlib import Path

import regex

CLASSES = [
    *("CR", "LF", "Newline", "Extend", "ZWJ", "Format", "WSegSpace", "ALetter", "Hebrew_Letter", "Numeric", "Katakana"),
    *("ExtendNumLet", "MidLetter", "MidNumLet", "Single_Quote", "MidNum", "Double_Quote", "Regional_Indicator"),
]
"""Values of Word_Break, numbered from 1; 0 is Other. `word_break` names them in this order."""

PICTOGRAPHIC, BLANK = 32, 64


def main() -> None:
    text = "".join(map(chr, range(sys.maxunicode + 1)))
    kinds = [0] * len(text)
    for number, name in enumerate(CLASSES, 1):
        for found in regex.finditer(rf"\p{{Word_Break={name}}}", text):
            kinds[found.start()] = number
    for flag, name in ((PICTOGRAPHIC, "Extended_Pictographic"), (BLANK, "White_Space")):
        for found in regex.finditer(rf"\p{{{name}}}", text):
            kinds[found.start()] |= flag
    runs = [(len(list(run)), kind) for kind, run in groupby(kinds)]
    literal = base64.b85encode(zlib.compress(json.dumps(runs, separators=(",", ":")).encode(), 9)).decode()
    lines = [literal[i : i + 100] for i in range(0, len(literal), 100)]
    target = Path(__file__).parents[1] / "curate" / "kernels" / "tables" / "word_break_table.py"
    target.write_text(
        '"""Made by tools/make_word_break_table.py: runs of Word_Break values with two flags."""\n\n'
        f'VERSION = "{sys.argv[1]}"\n\n'
        "PACKED = (\n" + "".join(f"    {json.dumps(line)}\n" for line in lines) + ")\n"
    )


if __name__ == "__main__":
    main()
