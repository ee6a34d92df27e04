"""Superscripts and subscripts in plain text: `10^6`, `H_2O`, `x^{n+1}`; footnotes: `[1]`."""

import re

from resiliparse.parse.html import ElementNode, HTMLTree, Node, NodeType

from curate.kernels.page_marks import NO_SCRIPT

_LONGEST = 40
"""Characters from which on a text is small print, no script."""
_NEEDS_MARK = re.compile(r"\d|^\W*\w\W*$|^[+\-\u2212\u2213\xb1]")
_GREEK = re.compile(r"[\u0370-\u03ff]")
_ONE_TOKEN = re.compile(r"[+\-\u2212]?\w+")
_FOOTNOTE = re.compile(r"\d{1,3}|[a-z*\u2020\u2021]", re.IGNORECASE)


def mark_script(tree: HTMLTree, element: ElementNode, mark: str) -> None:
    """Write `^` or `_` before the text of a `sup` or `sub` that would be read as part of the word before it.

    `mark` goes behind the new text, see `_visible_text.shield`.
    """
    text = (element.text or "").replace(mark, "").strip()
    if not text or len(text) > _LONGEST or text[0] in "^_[({":
        return
    before = _beside(element, "prev")
    if not before or before.isspace() or before in "^_[":
        return
    opening, closing = ("^", "") if element.tag == "sup" else ("_", "")
    if element.tag == "sup":
        if text.casefold() in NO_SCRIPT or not (_NEEDS_MARK.search(text) or _is_formula(element)):
            return
        if _FOOTNOTE.fullmatch(text) and _is_link(element):
            opening, closing = "[", "]"
    elif not re.search(r"\w", text):
        return
    if opening != "[" and (not _ONE_TOKEN.fullmatch(text) or _beside(element, "next").isalnum()):
        opening, closing = opening + "{", "}"
    element.insert_before(tree.create_text_node(opening + mark), element.first_child)
    if closing:
        element.append_child(tree.create_text_node(closing + mark))


def _is_formula(element: ElementNode) -> bool:
    """Whether letters are variables: `e<sup><i>ix</i></sup>`."""
    return element.query_selector("i,var") is not None or _GREEK.search(element.text) is not None


def _is_link(element: ElementNode) -> bool:
    parent = element.parent
    return element.query_selector("a[href]") is not None or (parent is not None and parent.tag == "a")


def _beside(node: Node, side: str) -> str:
    """The character next to a node on its line, or nothing; `side` is `prev` or `next`."""
    for _ in range(4):
        beside = getattr(node, side)
        if beside is not None:
            if beside.type == NodeType.ELEMENT and beside.tag == "br":
                return ""
            text = beside.value if beside.type == NodeType.TEXT else beside.text
            return (text or "")[-1:] if side == "prev" else (text or "")[:1]
        node = node.parent
        if node is None or node.tag in _ENDS:
            return ""
    return ""


_ENDS = frozenset(["body", "dd", "div", "dt", "h1", "h2", "h3", "h4", "h5", "h6", "li", "p", "pre", "td", "th"])
