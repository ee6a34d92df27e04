"""How deep the markup of a page nests."""

import re

from resiliparse.parse.html import HTMLTree

MAX_DEPTH = 5_000
"""How deep elements may nest. Resiliparse takes time quadratic in the nesting of `div`: here, a second."""


_NESTS = re.compile(r"<(?:div|article)\b", re.IGNORECASE)


def too_deep(tree: HTMLTree, html: str) -> bool:
    """Whether elements nest more than MAX_DEPTH deep, in a page with as many tags of those that matter."""
    if len(html) <= MAX_DEPTH * len("<div>") or html.count("<") <= MAX_DEPTH:
        return False
    if len(_NESTS.findall(html)) <= MAX_DEPTH:
        return False
    node, depth = tree.document, 0
    while True:
        child = node.first_child
        if child is not None:
            node, depth = child, depth + 1
            if depth > MAX_DEPTH:
                return True
            continue
        while node.next_sibling is None:
            node, depth = node.parent_node, depth - 1
            if depth <= 0:
                return False
        node = node.next_sibling
