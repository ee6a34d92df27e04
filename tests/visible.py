"""Which visible characters of the blocks that an extraction keeps are not in its text.

A line is the text between two borders of blocks. It is kept if any of its text nodes comes out of a copy of the tree
in which each text is a word of its own, as many bytes long as it was, so that all that goes by lengths stays. This says
nothing of how the extraction works. Nodes too short for such a word are no sign that their line is kept.
"""

import re
from collections.abc import Callable

from resiliparse.parse.html import HTMLTree, NodeType

from curate.stages._visible_text import BLOCKS, UNSEEN, is_hidden

_WORD = re.compile(r"[^\W_]")
_IN_WORDS = re.compile(r"qz(\d+)z")
_NOT_COMPARED = re.compile("[\\s\\0^_{}\\[\\]\ufdd0-\ufdef]")
"""White space, noncharacters, and what is written around superscripts, subscripts and footnotes."""


def lines_of(tree: HTMLTree) -> list[list]:
    """The visible text nodes of each line of a page, and its pictures, None, where another text may stand."""
    lines, line = [], []

    def visit(node, in_link: bool) -> None:
        nonlocal line
        while node is not None:
            if node.type == NodeType.TEXT:
                text = (node.value or "").strip()
                icon = len(text) == 1 and "\ue000" <= text <= "\uf8ff"
                if text and not icon and not (in_link and not _WORD.search(text)):
                    line.append(node)
            elif node.type == NodeType.ELEMENT:
                border = node.tag in BLOCKS
                if border:
                    lines.append(line)
                    line = []
                if node.tag in ("img", "area"):
                    line.append(None)
                elif node.tag not in UNSEEN and node.tag != "svg" and not is_hidden(node):
                    own = node.tag == "a" and (node.getattr("href") or "").startswith("#")
                    visit(node.first_child, in_link or own)
                if border:
                    lines.append(line)
                    line = []
            node = node.next

    if tree.body is not None:
        visit(tree.body.first_child, False)
    return [one for one in (*lines, line) if one]


def _pieces(line: list) -> list[str]:
    """The text of a line between its pictures, without white space."""
    pieces = [""]
    for node in line:
        if node is None:
            pieces.append("")
        else:
            pieces[-1] += compared(node.value)
    return [piece for piece in pieces if piece]


def lost(page: str, text: str, text_of_tree: Callable[[HTMLTree], str]) -> list[str]:
    """The lines that are kept and not in the text, in order, each without white space."""
    tree = HTMLTree.parse(page)
    lines = lines_of(tree)
    contents = [_pieces(line) for line in lines]
    for number, line in enumerate(lines):
        for node in filter(None, line):
            node.value = _renamed(node.value, f"qz{number}z")
    kept = sorted({int(number) for number in _IN_WORDS.findall(text_of_tree(tree))})
    missing, position, text = [], 0, compared(text)
    for piece in (piece for number in kept for piece in contents[number]):
        found = text.find(piece, position)
        if found < 0:
            missing.append(piece)
        else:
            position = found + len(piece)
    return missing


def _renamed(text: str, word: str) -> str:
    """`word` for a text that holds a letter or digit, filled up to as many bytes, the white space around it kept."""
    inner = re.sub(r"[ \t\r\n\f]+", " ", text).strip(" ")
    missing = len(inner.encode()) - len(word)
    if missing < 0 or not _WORD.search(inner):
        return text
    before, after = text[0].isspace() * " ", text[-1].isspace() * " "
    return before + word + missing * "x" + after


def compared(text: str) -> str:
    return _NOT_COMPARED.sub("", text)
