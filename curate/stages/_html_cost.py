"""Refuse pages whose markup would take a parser quadratic time.

Lexbor compares each attribute of a tag with those before it, and goes through all options of a list for each new one;
Resiliparse reads the text of each nested `div`, `article`, `footer` and `ul` anew. A page of 2 MB can hold both up for
minutes. What is refused here would take longer than some seconds; real pages stay far below.
"""

from resiliparse.parse.html import HTMLParserException, HTMLTree

from curate.kernels.html import ATTRIBUTES, COST, DEEPEST, NESTS, OPTIONS, TAGS
from curate.stages._page_source import Source, look

MAX_DEPTH = 5_000
"""How deep elements may nest."""
MAX_ATTRIBUTES = 5_000
"""Of one tag: half a second."""
MAX_OPTIONS = 10_000
"""Of a page: a second."""
MAX_COST = 400_000_000
"""Characters, each as often as elements are open around it: between one and seven seconds."""

_MANY_TAGS = 10_000
"""Fewer tags than this take no parser long, whatever they are, if they do not nest."""


class RefusedError(Exception):
    """The reason why a page has no tree: its elements would take a parser too long, or it fails."""


def refusal(source: Source) -> str | None:
    """`too_deep` or `too_complex`, where a page has too much text in open elements, too many attributes or options."""
    counts = source.counts
    if counts[ATTRIBUTES] > MAX_ATTRIBUTES or counts[OPTIONS] > MAX_OPTIONS:
        return "too_complex"
    if counts[COST] <= MAX_COST or (counts[TAGS] <= _MANY_TAGS and counts[NESTS] * len(source.page) <= MAX_COST):
        return None
    return "too_deep" if counts[DEEPEST] > MAX_DEPTH else "too_complex"


def too_deep(tree: HTMLTree, source: Source) -> bool:
    """Whether elements nest more than MAX_DEPTH deep, in a page with as many tags of those that matter."""
    if source.counts[NESTS] <= MAX_DEPTH:
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


def looked_at(data: bytes) -> Source:
    """The source of a page that no parser takes long for. Raises RefusedError for any other."""
    source = look(data)
    if refused := refusal(source):
        raise RefusedError(refused)
    return source


def parsed(page: str, source: Source) -> HTMLTree:
    """The tree of a page. Raises RefusedError where it is too deep, or the parser fails."""
    try:
        tree = HTMLTree.parse(page)
    except HTMLParserException as error:
        raise RefusedError("parser_failure") from error
    if too_deep(tree, source):
        raise RefusedError("too_deep")
    return tree
