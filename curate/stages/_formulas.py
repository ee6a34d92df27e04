"""Formulas of web pages in one notation: TeX if the page has it, else readable text.

Known are MathML, MathJax 2 to 4, KaTeX and MediaWiki's pictures. TeX comes from `annotation`, `alttext`, a script of
the type `math/tex` or a picture's `alt`, without delimiters and without the `{\\displaystyle ...}` of MediaWiki.
"""

import re

from resiliparse.parse.html import ElementNode, HTMLTree, Node, NodeType

_WRAPPED = ".katex,.mwe-math-element,mjx-container"
_PICTURES = (
    "img[alt].mwe-math-fallback-image-inline,img[alt].mwe-math-fallback-image-display,img[alt][aria-hidden=true].tex"
)
_RENDERED = ".MathJax,.MathJax_SVG,.MathJax_CHTML,.mjx-chtml,.MathJax_Display,.MathJax_SVG_Display,.MJXc-display"
_SCRIPT = 'script[type^="math/" i]'
FORMULAS = (
    f"math,mjx-container,{_SCRIPT},span[class*=katex],span[class*=math i],span[class*=mjx i],"
    "img.tex,img[class*=mwe-math]"
)
"""A CSS selector of whatever may be a formula, or part of one."""
_NAME = re.compile(r"katex|math|mjx|(?:^|\s)tex(?:$|\s)", re.IGNORECASE)

_TEX = 'annotation[encoding="application/x-tex" i],annotation[encoding*=latex i],annotation[encoding=tex i]'
_STYLE = re.compile(r"\{\\(?:display|text|script)style\s*+(.*)\}", re.DOTALL)
_CDATA = re.compile(r"\A\s*+%?+\s*+<!\[CDATA\[")
_UNSEEN = re.compile("[\u2061-\u2064\ufdd0-\ufdef]")
"""Operators that are not seen, and what `_visible_text.shield` may have put behind a letter."""
_DEEPEST = 100


def is_formula(element: ElementNode) -> bool:
    """Whether an element that a selector with `FORMULAS` in it found is one for these."""
    return (
        element.tag in ("math", "mjx-container", "script") or _NAME.search(element.getattr("class") or "") is not None
    )


def _plain(script: str) -> str:
    """The text of a script without the marks of a CDATA section, behind `%` or not."""
    text = _CDATA.sub("", script)
    bare = text.rstrip()
    return bare[:-3].rstrip().removesuffix("%") if bare.endswith("]]>") else text


def write_formulas(tree: HTMLTree, mark: str) -> None:
    """Replace each formula of a tree by a text node; `mark` goes behind each, see `_visible_text.shield`."""
    body = tree.body
    for script in body.query_selector_all(_SCRIPT)[:]:
        _remove_rendered(script)
        kind, source = (script.getattr("type") or "").lower(), _plain(script.text or "")
        if "mml" in kind:
            parsed = HTMLTree.parse(source).body
            math = parsed.query_selector("math") if parsed is not None else None
            source = _formula_of(math) if math is not None else ""
        _replace(tree, script, _cleaned(source), mark, "display" in kind)
    for selector in (_RENDERED, _WRAPPED, "math", _PICTURES):
        for element in body.query_selector_all(selector)[:]:
            if body in _roots(element):
                text = _formula_of(element)
                if text:
                    _replace(tree, element, text, mark, False)
                elif selector in (_RENDERED, _WRAPPED):
                    _show(element)
    for preview in body.query_selector_all(".MathJax_Preview")[:]:
        if not (preview.text or "").strip():
            preview.remove()


def _roots(node: Node):
    """A node's ancestors: `body` is not among those of a node that was replaced."""
    while (node := node.parent) is not None:
        yield node


def _remove_rendered(script: ElementNode) -> None:
    """Remove what MathJax 2 made of a script's formula: the elements right before it."""
    for _ in range(3):
        node = script.prev
        while node is not None and node.type == NodeType.TEXT and not (node.value or "").strip():
            node = node.prev
        if node is None or node.type != NodeType.ELEMENT or not node.matches(f"{_RENDERED},.MathJax_Preview"):
            return
        node.remove()


def _replace(tree: HTMLTree, element: ElementNode, text: str, mark: str, display: bool) -> None:
    if text:
        element.replace_with(tree.create_text_node(f" {text}{mark} " if display else text + mark))


def _show(element: ElementNode) -> None:
    """A rendering without its source: its letters are all there is."""
    for hidden in element.query_selector_all("[aria-hidden]")[:]:
        hidden.remove_attribute("aria-hidden")


def _formula_of(element: ElementNode) -> str:
    """TeX, or a line made of MathML, or nothing."""
    if element.tag == "img":
        return _cleaned(element.getattr("alt") or "")
    annotation = element.query_selector(_TEX)
    if annotation is not None and (annotation.text or "").strip():
        return _cleaned(annotation.text)
    math = element if element.tag == "math" else element.query_selector("math")
    if math is not None:
        return _cleaned(math.getattr("alttext") or "") or " ".join(_line_of(math).split())
    picture = element.query_selector("img[alt]")
    if picture is not None:
        return _cleaned(picture.getattr("alt"))
    source = element.getattr("data-mathml")
    if source and "<math" in source and (parsed := HTMLTree.parse(source).body) is not None:
        math = parsed.query_selector("math")
        return _formula_of(math) if math is not None else ""
    return ""


def _cleaned(tex: str) -> str:
    tex = tex.strip()
    match = _STYLE.fullmatch(tex)
    return " ".join((match[1] if match else tex).split())


def _line_of(node: Node, depth: int = 0) -> str:
    """MathML on one line: `a/b`, `x^2`, `x_i`, `√(x)`, rows of a table between semicolons."""
    if node.type == NodeType.TEXT:
        return _UNSEEN.sub("", node.value or "").strip()
    if node.type != NodeType.ELEMENT or node.tag in ("annotation", "annotation-xml"):
        return ""
    if depth > _DEEPEST:
        return node.text or ""
    parts, before = [], None
    child = node.first_child
    while child is not None:
        part = _line_of(child, depth + 1)
        if child.type == NodeType.ELEMENT and child.tag == "mprescripts":
            before = len(parts)
        elif part or child.type == NodeType.ELEMENT:
            parts.append(part)
        child = child.next
    if node.tag == "mmultiscripts" and parts:
        before = len(parts) if before is None else before
        return _scripts(parts[before:]) + _grouped(parts[0]) + _scripts(parts[1:before])
    return _joined(node.tag, parts)


def _scripts(parts: list[str]) -> str:
    """Subscripts and superscripts, by turns; an empty one stands for none."""
    marked = [(mark, part) for mark, part in zip("_^" * len(parts), parts, strict=False) if part]
    return "".join(f"{mark}{_grouped(part, '{}')}" for mark, part in marked)


def _joined(tag: str, parts: list[str]) -> str:
    count = len(parts)
    if tag == "mfrac" and count == 2:
        return f"{_grouped(parts[0])}/{_grouped(parts[1])}"
    if tag in ("msup", "mover") and count == 2:
        return f"{_grouped(parts[0])}^{_grouped(parts[1], '{}')}"
    if tag in ("msub", "munder") and count == 2:
        return f"{_grouped(parts[0])}_{_grouped(parts[1], '{}')}"
    if tag in ("msubsup", "munderover") and count == 3:
        return f"{_grouped(parts[0])}_{_grouped(parts[1], '{}')}^{_grouped(parts[2], '{}')}"
    if tag == "msqrt":
        return f"√({''.join(parts)})"
    if tag == "mroot" and count == 2:
        return f"{_grouped(parts[0])}^{{1/{parts[1]}}}"
    if tag == "mfenced":
        return f"({', '.join(parts)})"
    if tag == "mtable":
        return "; ".join(parts)
    if tag == "mtr":
        return ", ".join(parts)
    if tag == "mtext":
        return f" {''.join(parts)} "
    return "".join(parts)


def _grouped(part: str, brackets: str = "()") -> str:
    return part if len(part) < 2 or part.isalnum() else f"{brackets[0]}{part}{brackets[1]}"
