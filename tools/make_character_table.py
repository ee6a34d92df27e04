"""Write curate/kernels/tables/character_table.py from the Unicode data of the Python that runs this.

    python3.13 tools/make_character_table.py

Needs the standard library only. The table is data, not a lookup at run time, so that a text has the same
signals under every Python. A table of another Unicode version changes them: raise the versions of the stages
that use it.
"""

import base64
import json
import sys
import unicodedata
import zlib
from itertools import groupby
from pathlib import Path

# The flag of each test is the constant of that name in curate/kernels/characters.py.
TESTS = {
    1: str.isalpha,  # LETTER
    2: lambda char: char.isnumeric() or char.isdigit(),  # NUMERIC
    4: str.isdecimal,  # DECIMAL
    8: str.isupper,  # UPPER
    16: str.isspace,  # SPACE
    64: lambda char: unicodedata.category(char)[0] == "P",  # PUNCTUATION
}


def classes_of(code: int) -> int:
    """Sum of the flags of the tests that a code point passes."""
    return sum(flag for flag, test in TESTS.items() if test(chr(code)))


def main() -> None:
    runs = [(len(list(run)), classes) for classes, run in groupby(map(classes_of, range(sys.maxunicode + 1)))]
    packed = zlib.compress(json.dumps(runs, separators=(",", ":")).encode(), 9)
    literal = base64.b85encode(packed).decode()
    lines = [literal[i : i + 100] for i in range(0, len(literal), 100)]
    target = Path(__file__).parents[1] / "curate" / "kernels" / "tables" / "character_table.py"
    target.write_text(
        '"""Made by tools/make_character_table.py: runs of character classes."""\n\n'
        f'VERSION = "{unicodedata.unidata_version}"\n\n'
        "PACKED = (\n" + "".join(f"    {json.dumps(line)}\n" for line in lines) + ")\n"
    )


if __name__ == "__main__":
    main()
