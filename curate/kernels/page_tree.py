"""The stack of open elements of a page, and what tags do to it.

As the HTML standard has it, section 13.2.6, as far as text goes.

Elements are only counted and named, never kept as objects. Where the standard moves or copies elements (text in a
table that stands in no cell, formatting that is not closed where it was opened), they stay where they are. No more than
DEEPEST are told from one another; what is opened in the deepest belongs to it.
"""

from curate.kernels import device
from curate.kernels.page_names import (
    BORDER,
    BREAKOUT,
    CLOSES_P,
    FOREIGN,
    HEADING,
    HTML_IN_MATH,
    HTML_IN_SVG,
    LIST,
    ROWS,
    SCOPE,
    SPECIAL,
    TABLE_PART,
    TAG,
    UNSEEN,
    VERBATIM,
)

DEEPEST = 512
"""As in browsers."""
VALUE, ELEMENT, OWNER, SEEN, LINKING, KEPT_AS_IS, PARAGRAPHS, TABLE, OUTSIDE, ROW, CELL, ITEM, HIDING = range(13)
"""Columns of the stack: what the tag is (`page_names.TAG_VALUES`); its element; the element of the innermost border;
whether text in it is shown, is in a link, keeps its white space; how many `p` are open in this scope; where the
innermost table is; whether it is SVG or MathML; elements of the row, cell and item around; whether it is hidden."""
COLUMNS = 13

_NAMES = """
a address br button dd div dt form input li math option p select table td textarea th tr
"""
_A, _ADDRESS, _BR, _BUTTON, _DD, _DIV, _DT, _FORM, _INPUT, _LI, _MATH, _OPTION, _P, _SELECT, _TABLE, _TD = (
    TAG[name] for name in _NAMES.split()[:16]
)
_TEXTAREA, _TH, _TR = (TAG[name] for name in _NAMES.split()[16:])
_IN_SVG, _IN_MATH = 1, 2


@device
def tag_of(stack, depth):
    return stack[depth, VALUE] & 255


@device
def pushed(stack, top, value, element, link, hidden):
    """Open an element. Gives the new top."""
    tag, new = value & 255, top + 1
    for column in range(COLUMNS):
        stack[new, column] = stack[top, column]
    stack[new, VALUE], stack[new, ELEMENT] = value, element
    if value & BORDER:
        stack[new, OWNER] = element
    if value & UNSEEN:
        stack[new, SEEN] = 0
    if value & VERBATIM:
        stack[new, KEPT_AS_IS] = 1
    if tag == _A:
        stack[new, LINKING] = link
    stack[new, HIDING] |= hidden
    if value & SCOPE:
        stack[new, PARAGRAPHS] = 0
    stack[new, PARAGRAPHS] += tag == _P
    if value & FOREIGN:
        stack[new, OUTSIDE] = _IN_MATH if tag == _MATH else _IN_SVG
    elif value & (HTML_IN_MATH if stack[top, OUTSIDE] == _IN_MATH else HTML_IN_SVG):
        stack[new, OUTSIDE] = 0
    if tag == _TABLE:
        stack[new, TABLE] = new
    elif tag == _TR:
        stack[new, ROW] = element
    elif tag in (_TD, _TH):
        stack[new, CELL], stack[new, ITEM] = element, -1
    elif tag in (_LI, _DD):
        stack[new, ITEM] = element
    return new


@device
def has_border(stack, top, new):
    """Whether a border lies between two depths."""
    while top > new:
        if stack[top, VALUE] & BORDER:
            return True
        top -= 1
    return False


@device
def _below(stack, top, tag):
    """Where the innermost open element of a tag lies, less one; `top` where none is in scope."""
    depth = top
    while depth > 0:
        if tag_of(stack, depth) == tag:
            return depth - 1
        if stack[depth, VALUE] & SCOPE:
            return top
        depth -= 1
    return top


@device
def _behind_items(stack, top, first, second):
    """Close an item of a list where the next one begins."""
    depth = top
    while depth > 0:
        tag = tag_of(stack, depth)
        if tag in (first, second):
            return depth - 1
        if stack[depth, VALUE] & SPECIAL and tag != _ADDRESS and tag != _DIV and tag != _P:
            return top
        depth -= 1
    return top


@device
def _behind_rows(stack, top, value, tag):
    """Close what a part of a table cannot stand in; -1 for a part outside of any table, which is no tag."""
    table = stack[top, TABLE]
    if table < 0:
        return -1
    while top > table:
        open_tag = tag_of(stack, top)
        if (tag in (_TD, _TH)) and open_tag == _TR:
            break
        if (tag in (_TD, _TH, _TR)) and stack[top, VALUE] & ROWS:
            break
        top -= 1
    return top


@device
def behind_implied_ends(stack, top, value):
    """The top of the stack where a start tag stands, when what it closes is closed; -1 for a tag that is ignored."""
    tag = value & 255
    if stack[top, OUTSIDE]:
        if not value & BREAKOUT:
            return top
        while stack[top, OUTSIDE]:
            top -= 1
    if value & TABLE_PART:
        return _behind_rows(stack, top, value, tag)
    if tag == _TABLE and (tag_of(stack, top) in (_TABLE, _TR) or stack[top, VALUE] & ROWS):
        return stack[top, TABLE] - 1
    if tag == _FORM and _below(stack, top, _FORM) != top:
        return -1
    if tag == _LI:
        top = _behind_items(stack, top, _LI, _LI)
    elif tag in (_DD, _DT):
        top = _behind_items(stack, top, _DD, _DT)
    elif tag == _BUTTON:
        top = _below(stack, top, _BUTTON)
    elif tag in (_INPUT, _TEXTAREA):
        top = _below(stack, top, _SELECT)
    elif tag == _OPTION and tag_of(stack, top) == _OPTION:
        top -= 1
    elif tag == _A:
        top = _behind_link(stack, top)
    if value & CLOSES_P and stack[top, PARAGRAPHS]:
        top = _below(stack, top, _P)
    if value & HEADING and stack[top, VALUE] & HEADING:
        top -= 1
    return top


@device
def _behind_link(stack, top):
    """Close an open link, or end its effect where blocks have been opened in it."""
    depth = top
    while depth > 0 and not stack[depth, VALUE] & SPECIAL:
        if tag_of(stack, depth) == _A:
            return depth - 1
        depth -= 1
    unlink(stack, top)
    return top


@device
def unlink(stack, top):
    while top >= 0 and stack[top, LINKING]:
        stack[top, LINKING] = 0
        top -= 1


@device
def behind_end_tag(stack, keys, top, value, key):
    """The top of the stack behind an end tag; as it was, where nothing of the name is to be closed."""
    tag, depth = value & 255, top
    if stack[top, OUTSIDE] and tag in (_P, _BR):
        while stack[top, OUTSIDE]:
            top -= 1
        depth = top
    while depth > 0 and stack[depth, OUTSIDE]:
        if keys[depth] == key:
            return depth - 1
        depth -= 1
    if value & TABLE_PART or tag == _TABLE:
        while depth > 0 and depth >= stack[top, TABLE] >= 0:
            if keys[depth] == key:
                return depth - 1
            depth -= 1
        return top
    while depth > 0:
        found = stack[depth, VALUE]
        if keys[depth] == key or (value & HEADING and found & HEADING):
            return depth - 1
        if found & SCOPE or (tag == _LI and found & LIST):
            return top
        if found & SPECIAL and not value & SPECIAL:
            return top
        depth -= 1
    return top
