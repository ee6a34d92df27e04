"""Text of any size with the words, lines and duplicates of real text, the same for the same packages installed.

Documents are made of runs of real lines, from the sources and documentation that are installed. Three quarters are new;
an eighth repeat an earlier document, and an eighth repeat one with some words changed, so that their similarity lies on
both sides of the usual threshold. Copies and their originals lie in different files.
"""

import json
import os
import random
import sysconfig
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path

TYPES = (".py", ".md", ".rst", ".txt")
POOL_BYTES = 96_000_000
"""Real text that documents are made of."""

RUN_LINES = 6
"""Real lines that stay together, on average."""

FILE_BYTES = 64_000_000
COPIES, EDITED = 1 / 8, 1 / 8


def real_lines(limit: int = POOL_BYTES) -> list[str]:
    """The lines of installed sources and documentation that hold words, up to so many bytes, in a fixed order."""
    folders = [Path("/usr/share/doc"), Path(sysconfig.get_path("purelib")), Path(sysconfig.get_path("stdlib"))]
    paths = sorted({path for folder in folders for path in _texts(folder)})
    random.Random(0).shuffle(paths)
    lines, size = [], 0
    for path in paths:
        text = path.read_text(encoding="utf-8", errors="ignore")
        if len(text) < 2_000_000:  # tables of data are not text
            lines += (line for line in text.split("\n") if any(map(str.isalpha, line[:200])) and len(line) < 1000)
            size += len(text)
        if size >= limit:
            break
    return lines


def _texts(folder: Path) -> Iterator[Path]:
    for root, _, names in os.walk(folder):
        yield from (Path(root, name) for name in names if name.endswith(TYPES) or root.startswith("/usr/share/doc"))


def document(number: int, lines: list[str]) -> str:
    """The text of this document: 3 KB on average, and as unequal as those of web pages."""
    chance = random.Random(number)
    kind = chance.random() if number else 1.0
    if kind < COPIES + EDITED:
        earlier = document(chance.randrange(number), lines)
        return earlier if kind < COPIES else edited(earlier, chance.uniform(0, 0.08), lines, chance)
    return "\n".join(_runs(lines, min(int(chance.lognormvariate(7.4, 1.1)), 1_000_000), chance))


def _runs(lines: list[str], size: int, chance: random.Random) -> Iterator[str]:
    while size > 0:
        start = chance.randrange(len(lines))
        run = "\n".join(lines[start : start + 1 + int(chance.expovariate(1 / RUN_LINES))])
        size -= len(run)
        yield run


def edited(text: str, share: float, lines: list[str], chance: random.Random) -> str:
    """The text with about this share of its words replaced by words of other lines."""
    words = text.split(" ")
    for _ in range(int(share * len(words))):
        words[chance.randrange(len(words))] = chance.choice(chance.choice(lines).split() or ["word"])
    return " ".join(words)


def write_corpus(folder: Path, megabytes: float) -> int:
    """Write FOLDER/*.jsonl (`id`, `text`) of so many megabytes of text, unless they are there. Returns their bytes of
    text."""
    done = folder / "bytes"
    if done.exists():
        return int(done.read_text())
    folder.mkdir(parents=True, exist_ok=True)
    written, total = 0, int(megabytes * 1e6)
    lines, files = real_lines(), max(4, total // FILE_BYTES)
    with ExitStack() as stack:
        opened = [
            stack.enter_context(open(folder / f"{place:05}.jsonl", "w", encoding="utf-8")) for place in range(files)
        ]
        for number in count():
            text = document(number, lines)
            written += len(text.encode())
            opened[number % files].write(json.dumps({"id": str(number), "text": text}, ensure_ascii=False) + "\n")
            if written >= total:
                break
    done.write_text(str(written))
    return written
