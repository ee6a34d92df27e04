"""Prepare pages for Resiliparse so that no visible character of a kept block is lost.

Resiliparse judges elements one by one. For blocks that is what is wanted of it: paragraphs, lists, cells of a menu
stay out. Inside a block that it keeps, the same rules take words out of sentences. Here a page is changed before it
is read by them, so that they judge blocks alone:

- a text node of three bytes is never alone (`_page_source`): the rule for icons of the private use area takes any
  such for one, be it `和`, `€`, `né` or `5°`;
- `<time>`, and inline elements with the attributes of by-lines, tags and share buttons, stay where their line has
  other text (`_keep_in_lines`), and so do cells of a table's row; a line of nothing else is still left out, unless it
  is a date that is a cell, a term, a heading or the beginning of an item;
- `<ul>` is judged by its share of links wherever it stands, as the library does from the fourth level on;
- formulas have one form, and `<sup>` and `<sub>` are told from digits (`_formulas`, `_scripts`).

docs/decisions/0013 has the library's rules in words.
"""

import html
import re
from functools import lru_cache

from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.html import ElementNode, HTMLTree, Node, NodeType

from curate.kernels.html import FORMULAS as N_FORMULAS
from curate.kernels.html import LISTS, SCRIPTS
from curate.stages._formulas import FORMULAS, is_formula, write_formulas
from curate.stages._page_source import JUDGED, Source
from curate.stages._scripts import mark_script

_BLOCKS_IN_WORDS = """
address article aside blockquote body br caption center dd details dialog dir div dl dt fieldset figcaption
figure footer form frameset h1 h2 h3 h4 h5 h6 header hgroup hr html legend li main menu nav ol optgroup option
p pre search section summary table tbody td tfoot th thead tr ul
"""
BLOCKS = frozenset(_BLOCKS_IN_WORDS.split())
"""Elements between whose borders lies a line of text."""
_BOXES_IN_WORDS = """
address article aside body center div fieldset footer form header main nav section
"""
_BOXES = frozenset(_BOXES_IN_WORDS.split())
"""Blocks for anything. Others say that what they hold is text: a paragraph, an item, a cell, a heading."""
_TERMS = frozenset(["caption", "dd", "dt", "figcaption", "h1", "h2", "h3", "h4", "h5", "h6", "summary"])
"""Blocks that say something though they hold nothing but a date."""
_UNSEEN_IN_WORDS = """
audio button canvas frame iframe input label noscript object script select style template textarea video
"""
UNSEEN = frozenset(_UNSEEN_IN_WORDS.split())
"""Elements whose text is not part of the line: not shown, or a matter of `form_fields` and `noscript`."""

_NOT_BLOCKS = ":not(div,li,ul,ol,p,img,h1,h2,h3,h4,input,section,article,form,button,table,tr,nav,header,footer,label)"
_RULED = (
    "rel",
    "itemprop",
    "aria-hidden",
    "aria-expanded",
    "class",
    "id",
    "data-ad",
    "data-advertisement",
    "data-text-ad",
)
_SHALLOW_LISTS = "body>ul,body>*>ul,body>*>*>ul"
_LISTS_OF_PROSE = "p~ul:not([class]):not([id])"
_TEASERS = "h1,h2,h3,h4,h5,h6,img,article"
"""In a list near `body`: it is one of other pages, or of parts of the page, and the library leaves it out."""
_LISTS = f"{_SHALLOW_LISTS},{_LISTS_OF_PROSE}"
_INLINE = f"[class]{_NOT_BLOCKS},[id]{_NOT_BLOCKS},[rel],[itemprop],[aria-hidden],[aria-expanded],[data-ad]"
EVERYTHING = f"{FORMULAS},{_LISTS},time,sup,sub,td,th,a[href],{_INLINE},[data-advertisement],[data-text-ad]"
"""Whatever may be judged, where the source has not been looked at."""
_TEXT, _ELEMENT = NodeType.TEXT, NodeType.ELEMENT
_WORD = re.compile(r"[^\W_]")
_HIDDEN_NAME = re.compile(
    r"(?:^|\s)(?:display-none|h-0|(?:is[_-]|visually[_-])?(?:hidden|invisible|collapsed|nocontent|expandable)(?:-\w+)?)"
    r"(?:$|\s)",
    re.IGNORECASE,
)
_HIDDEN_STYLE = re.compile(r"(?:^|[;\s])(?:display\s?:\s?none|visibility\s?:\s?hidden)", re.IGNORECASE)
_ICON_NAME = re.compile(r"(?:^|\s)material-(?:icons|symbols)", re.IGNORECASE)
_SKIPPED = "data-curate-skipped"
_SHALLOW, _FAR, _FEW, _MOST_LINKS = 4, 50, 200, 0.5
"""Levels below `body` from which on the library judges a list by its links; how far up a line's block is looked for;
characters of a cell of data; share of links in a list of prose."""


def mark_skipped(tree: HTMLTree, selectors: list[str]) -> str:
    """A selector of the same elements that still holds when `prepare` has changed their attributes."""
    if tree.body is not None:
        for element in tree.body.query_selector_all(",".join(selectors)):
            element.setattr(_SKIPPED, "")
    return f"[{_SKIPPED}]"


def selector_of(source: Source, main_content: bool) -> str:
    """A selector of all that `prepare` has to see of a page that has got the marks of its source; may be empty.

    With all of the page wanted, no element is judged, and formulas and scripts alone are written.
    """
    counts, parts = source.counts, []
    if main_content:
        parts += [f"[{JUDGED}]"] * source.has_candidates + [_LISTS] * bool(counts[LISTS])
    elif counts[SCRIPTS]:
        parts.append("sup,sub")
    return ",".join(parts + [FORMULAS] * bool(counts[N_FORMULAS]))


def prepare(tree: HTMLTree, mark: str, main_content: bool, links: bool = False, selector: str = EVERYTHING) -> None:
    """Change a tree so that the library keeps all visible text of the blocks that it keeps.

    `mark` goes behind each text that is new in the tree, see `Source.marked`. links: whether targets of links are text
    too.
    """
    body = tree.body
    if body is None or not selector:
        return
    lists, scripts, others = [], [], []
    for element in body.query_selector_all(selector)[:]:
        tag = element.tag
        if tag == "ul":
            lists.append(element)
        elif tag in ("sup", "sub"):
            scripts.append(element)
        elif tag not in BLOCKS or tag in ("td", "th"):
            others.append(element)
    if any(is_formula(element) for element in others):
        write_formulas(tree, mark)
    for element in scripts:
        mark_script(tree, element, mark)
    if main_content:
        _keep_in_lines(tree, scripts + others)
        for element in lists:
            if element.matches(_LISTS_OF_PROSE) and _is_prose(element):
                _unlink(tree, element, links)
                _lower(tree, element)
            elif element.query_selector(_TEASERS) is None:
                _lower(tree, element)


def _is_prose(element: ElementNode) -> bool:
    """Whether at most half of a list's text is links, and so many that the library drops it."""
    size = len("".join(element.text.split()))
    links = sum(len("".join(link.text.split())) for link in element.query_selector_all("a")[:])
    return 0 < links <= size * _MOST_LINKS


def _unlink(tree: HTMLTree, element: ElementNode, links: bool) -> None:
    """Make the links of a list plain text, so that it is not judged by them."""
    for link in element.query_selector_all("a")[:]:
        span, target = tree.create_element("span"), link.getattr("href")
        while (child := link.first_child) is not None:
            span.append_child(child)
        if links and target:
            span.append_child(tree.create_text_node(f" ({target})"))
        if link.hasattr(_SKIPPED):
            span.setattr(_SKIPPED, "")
        link.replace_with(span)


def _lower(tree: HTMLTree, element: ElementNode) -> None:
    """Put a list near `body` on the level from which on it is judged as all others are."""
    missing = _SHALLOW - _level(element, _SHALLOW)
    if missing:
        outer = inner = tree.create_element("span")
        for _ in range(missing - 1):
            inner = inner.append_child(tree.create_element("span"))
        element.replace_with(outer)
        inner.append_child(element)


def _level(node: Node, most: int) -> int:
    """How many levels below `body`, counted to `most`."""
    level = 0
    while level < most and node is not None and node.tag != "body":
        node, level = node.parent, level + 1
    return level


def _keep_in_lines(tree: HTMLTree, candidates: list[ElementNode]) -> None:
    """Free elements from what the library drops them for, where their line has other text that is seen.

    A line is what stands between two borders of blocks, or the cells of a row of a table. One that is nothing but
    controls of the page, links that lead nowhere, is left out as one of nothing but share buttons is.
    """
    blocks = {}
    for element in candidates:
        if _is_dropped(element) and (element.tag not in ("td", "th") or _is_plain_cell(element)):
            top = element if element.tag in ("td", "th") else _top_in_line(element)
            if top.parent is not None:
                blocks.setdefault(top.parent, {}).setdefault(top, set()).add(element)
    for block, tops in blocks.items():
        for line in _lines(block, tops):
            inside = [element for node in line for element in tops.get(node, ())]
            if inside and (_says(block, inside) or any(_has_words(node, tops.get(node, ())) for node in line)):
                for element in inside:
                    _free(tree, element)
            elif block.tag in _BOXES:
                for element in inside:
                    element.setattr("hidden", "")


def _top_in_line(element: ElementNode) -> ElementNode:
    """The outermost inline element around an element, itself at least."""
    for _ in range(_FAR):
        parent = element.parent
        if parent is None or parent.tag in BLOCKS:
            break
        element = parent
    return element


def _is_plain_cell(cell: ElementNode) -> bool:
    """Whether a cell of a table holds a few words and no blocks, as in a table of data."""
    return len(cell.text) <= _FEW and all(
        child.type != _ELEMENT or child.tag not in BLOCKS for child in _children(cell)
    )


def _lines(block: ElementNode, tops: dict) -> list[list[Node]]:
    """The nodes of each line directly in a block; in a row of a table, all its cells."""
    if block.tag == "tr":
        return [[cell for cell in _children(block) if cell in tops or _is_data(cell)]]
    lines, line = [], []
    for node in _children(block):
        if node.type == _ELEMENT and node.tag in BLOCKS:
            lines.append(line)
            line = []
        else:
            line.append(node)
    return [*lines, line]


def _says(block: ElementNode, inside: list[ElementNode]) -> bool:
    """Whether a line of nothing but elements that may be dropped says something where it stands: a cell among others
    of a table of data, a date that is a term, a heading, or the beginning of an item with more in it."""
    if block.tag in ("td", "th"):
        row = block.parent
        return row is not None and any(
            cell != block and _is_data(cell) and _WORD.search(cell.text or "") for cell in _children(row)
        )
    if any(element.tag != "time" for element in inside):
        return False
    if block.tag == "li":
        return len(_WORD.findall(block.text or "")) > sum(len(_WORD.findall(time.text or "")) for time in inside)
    return block.tag in _TERMS


def _is_data(cell: Node) -> bool:
    return cell.type == _ELEMENT and _is_plain_cell(cell)


def _has_words(node: Node, dropped: set[ElementNode]) -> bool:
    """Whether a letter or digit that is seen stands in a node, those that are dropped aside."""
    nodes = [node]
    while nodes:
        node = nodes.pop()
        if node.type == _TEXT:
            if _WORD.search(node.value or ""):
                return True
        elif node.type == _ELEMENT and node.tag not in UNSEEN and node not in dropped and not is_hidden(node):
            nodes.extend(_children(node))
    return False


def _children(node: Node):
    node = node.first_child
    while node is not None:
        following = node.next
        yield node
        node = following


def is_hidden(element: ElementNode) -> bool:
    """Whether the page itself says that an element is not shown; the pictures that are letters of a font are none."""
    name = element.getattr("class") or ""
    return (
        element.hasattr("hidden")
        or _HIDDEN_NAME.search(name) is not None
        or _ICON_NAME.search(name) is not None
        or _HIDDEN_STYLE.search(element.getattr("style") or "") is not None
    )


def _is_dropped(element: ElementNode) -> bool:
    """Whether the library drops an element that is seen and has text. The library itself is asked."""
    tag = element.tag
    if tag != "time" and not (tag == "a" and _is_control(element)) and not _is_ruled_out(element, tag):
        return False
    text = element.text
    if not text or text.isspace() or is_hidden(element):
        return False
    return tag != "a" or _WORD.search(text) is not None or not (element.getattr("href") or "").startswith("#")


def _is_control(link: ElementNode) -> bool:
    target = link.getattr("href") or ""
    return target == "#" or target[:11].lower() == "javascript:"


def _is_ruled_out(element: ElementNode, tag: str) -> bool:
    values = tuple(map(element.getattr, _RULED))
    kind = "td" if tag in ("td", "th") else "a" if tag == "a" else "span"
    return _library_drops(kind, 3, values) and (
        (level := _level(element, 3)) == 3 or _library_drops(kind, level, values)
    )


@lru_cache(16384)
def _library_drops(tag: str, level: int, values: tuple[str | None, ...]) -> bool:
    named = zip(_RULED, values, strict=True)
    attributes = " ".join(f'{name}="{html.escape(value)}"' for name, value in named if value is not None)
    element = f"<{tag} {attributes}>word</{tag}>"
    if tag == "td":
        element = f"<table><tr>{element}</tr></table>"
    return not extract_plain_text("<body>" + "<div>" * (level - 1) + element, main_content=True)


def _free(tree: HTMLTree, element: ElementNode) -> None:
    if element.tag == "time":
        span = tree.create_element("span")
        if element.hasattr(_SKIPPED):
            span.setattr(_SKIPPED, "")
        while (child := element.first_child) is not None:
            span.append_child(child)
        element.replace_with(span)
        return
    for name in _RULED:
        if element.hasattr(name):
            element.remove_attribute(name)
