"""Two texts side by side, with their common parts marked."""

import textwrap
from difflib import SequenceMatcher

WORDS = 400
"""Words of each text that are compared: enough to see what they have in common."""


def side_by_side(left: str, right: str, width: int = 100, words: int = WORDS) -> list[str]:
    """Lines of two columns. Runs of words that both texts have stand between « and ».

    width  characters of a line; words  of each text from the start that are shown
    """
    a, b = left.split()[:words], right.split()[:words]
    blocks = SequenceMatcher(None, a, b, autojunk=False).get_matching_blocks()
    shared = [block for block in blocks if block.size >= 2]
    column = (width - 3) // 2
    marked = (
        _marked(a, [(block.a, block.size) for block in shared]),
        _marked(b, [(block.b, block.size) for block in shared]),
    )
    first, second = (textwrap.wrap(text, column) or [""] for text in marked)
    rows = max(len(first), len(second))
    first += [""] * (rows - len(first))
    second += [""] * (rows - len(second))
    return [f"{one:<{column}} | {other}".rstrip() for one, other in zip(first, second, strict=True)]


def _marked(words: list[str], runs: list[tuple[int, int]]) -> str:
    words = list(words)
    for start, size in runs:
        words[start] = "«" + words[start]
        words[start + size - 1] += "»"
    return " ".join(words)
