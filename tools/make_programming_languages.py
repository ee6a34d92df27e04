"""Make curate/vocabulary/programming_languages.txt from Linguist's lib/linguist/languages.yml, which names what code
datasets (The Stack and those after it) call the languages of their files.

    python tools/make_programming_languages.py languages.yml
"""

import sys
from pathlib import Path
from textwrap import fill

import yaml

TARGET = Path(__file__).parents[1] / "curate" / "vocabulary" / "programming_languages.txt"


def main(source: str) -> None:
    found = yaml.safe_load(Path(source).read_text(encoding="utf-8"))
    names = {alias.lower() for name, about in found.items() for alias in (name, *about.get("aliases", []))}
    joined = ", ".join(name.replace(" ", "\0") for name in sorted(names))  # a name stays on its line
    lines = fill(joined, 120, break_on_hyphens=False, break_long_words=False).replace("\0", " ")
    TARGET.write_text(lines + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
