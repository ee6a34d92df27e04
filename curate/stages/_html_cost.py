"""Pages whose markup would take a parser time quadratic in their size, told by a linear look at their source.

Lexbor compares each attribute of a tag with those before it, and goes through all options of a list for each new one;
Resiliparse reads the text of each nested `div`, `article`, `footer` and `ul` anew. A page of 2 MB can hold both up for
minutes. What is refused here would take longer than some seconds; real pages stay far below.
"""

import re
from collections.abc import Iterator

from resiliparse.parse.html import HTMLTree

MAX_DEPTH = 5_000
"""How deep elements may nest."""
MAX_ATTRIBUTES = 5_000
"""Of one tag: half a second."""
MAX_OPTIONS = 10_000
"""Of a page: a second."""
MAX_COST = 400_000_000
"""Characters, each as often as elements are open around it: between one and seven seconds."""

_WINDOW, _FEW_TAGS, _MANY_VALUES, _LONG = 10_000, 10, 400, 4
_VALUE = re.compile(r"""=\s*+(?:"[^"]*+"|'[^']*+'|[^\s>]*+)""")
_ATTRIBUTE = re.compile(r"[^\s/]++")
_NESTS = re.compile(r"<(?:[dD](?i:iv)|[aA](?i:rticle))")
_TAG = re.compile(r"""<(?:(!--)|(/?+)([a-zA-Z][^\s/>]*+)((?:[^>=]++|=\s*+(?:"[^"]*+"|'[^']*+')?+)*+))""")
_FLAT_IN_WORDS = """
area base basefont body bgsound br col colgroup dd dt embed frame head hr html image img input keygen li link
meta optgroup option p param rb rp rt rtc source tbody td tfoot th thead tr track wbr
"""
_FLAT = frozenset(_FLAT_IN_WORDS.split())
"""Elements that cannot hold others, or that the next of their kind closes."""
_RAW = frozenset(["iframe", "noembed", "noframes", "plaintext", "script", "style", "textarea", "title", "xmp"])
_RAW_END = {name: re.compile(f"</{name}", re.IGNORECASE) for name in _RAW}
_MANY_TAGS = 10_000
"""Fewer tags than this take no parser long, whatever they are, if they do not nest."""


def refusal(page: str) -> str | None:
    """`too_deep` or `too_complex`, where a page has too much text in open elements, too many attributes or options."""
    if _has_huge_tag(page):
        return "too_complex"
    size, tags = len(page), page.count("<")
    if tags * size <= MAX_COST or (tags <= _MANY_TAGS and len(_NESTS.findall(page)) * size <= MAX_COST):
        return None
    return _refusal(page)


def _has_huge_tag(page: str) -> bool:
    """Whether a tag has too many attributes; looked for where a long stretch has hardly any tags or is full of `=`."""
    run = 0
    for start in range(0, len(page), _WINDOW):
        end = start + _WINDOW
        few = min(page.count("<", start, end), page.count(">", start, end)) < _FEW_TAGS
        odd = few or page.count("=", start, end) > _MANY_VALUES
        run = run + 1 if odd else 0
        if run and run % _LONG == 0:
            tag = _TAG.match(page, page.rfind("<", 0, end - _LONG * _WINDOW + 1), end)
            if tag is not None and _attributes(tag) > MAX_ATTRIBUTES:  # or a script that holds markup
                return any(_attributes(tag) > MAX_ATTRIBUTES for tag in _tags(page))
    return False


def _attributes(tag: re.Match) -> int:
    return 0 if tag[4] is None or len(tag[4]) < MAX_ATTRIBUTES else len(_ATTRIBUTE.findall(_VALUE.sub(" ", tag[4])))


def _tags(page: str) -> Iterator[re.Match]:
    """The tags of a page, without those in comments, scripts and other raw text."""
    position = 0
    while (tag := _TAG.search(page, position)) is not None:
        position = tag.end()
        if tag[1]:
            end = page.find("-->", position)
            position = len(page) if end < 0 else end + 3
            continue
        yield tag
        if not tag[2] and tag[3].lower() in _RAW:
            end = _RAW_END[tag[3].lower()].search(page, position)
            position = len(page) if end is None else end.start()


def _refusal(page: str) -> str | None:
    open_, depth, deepest, cost, last, options = {}, 0, 0, 0, 0, 0
    for tag in _tags(page):
        cost += depth * (tag.start() - last)
        last, name = tag.start(), tag[3].lower()
        if cost > MAX_COST or options > MAX_OPTIONS:
            break
        if name in _FLAT:
            options += name == "option" and not tag[2]
        elif tag[2]:
            if open_.get(name):
                open_[name] -= 1
                depth -= 1
        elif name not in _RAW and not (tag[4].endswith("/") and open_.get("svg")):
            open_[name] = open_.get(name, 0) + 1
            depth += 1
            deepest = max(deepest, depth)
    else:
        cost += depth * (len(page) - last)
    if cost > MAX_COST:
        return "too_deep" if deepest > MAX_DEPTH else "too_complex"
    return "too_complex" if options > MAX_OPTIONS else None


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
