"""Scan the source of a web page once: what would slow down a parser, and where its text may need repair.

This follows the tokenizer of the HTML standard as far as tags, attributes, comments and raw text go. Where the
standard needs the tree it goes by tags alone: SVG and MathML, in which there are CDATA sections and no raw text, last
until their end tag, or a tag that HTML alone has. A class or another value is taken for what its references may make
of it. What is found may be too much; too little only in odd pages, as where an end tag of nothing parts a text.

A *line* is what stands between two borders of block-level elements. A *candidate* is an inline element whose tag,
class or other attribute may be among those for which an extractor leaves elements out.
"""

import numpy as np

from curate.kernels import device, kernel
from curate.kernels.html_markup import (
    AND,
    BANG,
    DASH,
    GT,
    HASH,
    LT,
    QUESTION,
    SLASH,
    end_of_cdata,
    end_of_comment,
    end_of_raw,
    hashed,
    is_letter,
    is_space,
    is_unread,
    look_up,
    may_start_with,
    read_attribute,
    read_tag_name,
    starts_with,
)
from curate.kernels.html_names import (
    ATTRIBUTE_KEYS,
    ATTRIBUTE_KINDS,
    BASIS,
    BLOCK,
    BOX,
    BREAKOUT,
    CDATA,
    CELL,
    CLASS,
    EMPTY,
    FLAT,
    FOREIGN,
    FORMULA,
    FOUND,
    HREF,
    HTML_IN_MATH,
    HTML_IN_SVG,
    ID,
    IN_FORMULA,
    JAVASCRIPT,
    JUDGED,
    LETTERS,
    LINK,
    LIST,
    MATH_TYPE,
    NAMED,
    NBSP_REF,
    NESTING,
    NEXT,
    OPTION,
    PICTURED,
    PRESENT,
    PROGRAM,
    RAW,
    ROWS,
    SCRIPT,
    TABLE,
    TAG_FLAGS,
    TAG_KEYS,
    TYPE,
    UNSEEN,
    VALUE_KEYS,
    VALUE_KINDS,
    VALUED,
)

TAGS, NESTS, OPTIONS, ATTRIBUTES, COST, DEEPEST, LISTS, SCRIPTS, FORMULAS = range(9)
"""What `scan` counts: tags; `div` and `article`; `option`; most attributes of a tag; characters, each as often as
elements are open around it; most elements that are open; `ul`; `sup` and `sub`; parts of formulas."""

_LONGEST_LONE = 70
"""Characters of two references."""
_NAMES_KEPT = 4096
"""Different names of elements that are told from one another, in a page; of others none is ever closed."""
_SVG, _HTML, _MATH, _NESTED = 1, 2, 3, 1 << 60
"""Two bits for each SVG or MathML, or HTML in them, that is open, the innermost last; so many that no more are told."""


@device
def _blank(byte):
    """White space between visible characters, and nothing."""
    return byte == 0x20 or byte == 0 or (byte <= 0x0D and byte >= 0x09)


@device
def _opened(keys, counts, key, by):
    """Change how many elements of a name are open; whether there was one to close, or room to open one."""
    slot = key % np.uint64(_NAMES_KEPT)
    for _ in range(64):
        if keys[slot] == key or (keys[slot] == 0 and by > 0):
            keys[slot] = key
            if counts[slot] + by < 0:
                return False
            counts[slot] += by
            return True
        if keys[slot] == 0:
            return False
        slot = (slot + np.uint64(1)) % np.uint64(_NAMES_KEPT)
    return by > 0


@device
def _found_in(page, start, end):
    """What names a class or id holds, or may hold once it is read: NAMED, IN_FORMULA."""
    state, found = NEXT[0, 27], 0
    for k in range(start, end):
        byte = page[k]
        if byte == AND and is_unread(page, k, end):
            return NAMED | IN_FORMULA
        state = NEXT[state, LETTERS[byte] if byte < 128 else 0]
        found |= FOUND[state]
    return found | FOUND[NEXT[state, 27]]


@device
def _is_ruled_value(page, start, end):
    while start < end and is_space(page[start]):
        start += 1
    while start < end and is_space(page[end - 1]):
        end -= 1
    key = BASIS
    for k in range(start, end):
        if page[k] == AND:
            return True
        key = hashed(key, page[k])
    return look_up(VALUE_KEYS, VALUE_KINDS, key) == 1


@device
def _has_word(page, i, end):
    """Whether a letter or digit may be in a text; no-break spaces, quotes, dots and dashes are none."""
    while i < end:
        byte = page[i]
        if is_letter(byte) or (byte >= 0x30 and byte <= 0x39):
            return True
        if byte == 0xE2 and i + 2 < end and page[i + 1] == 0x80:
            i += 3
        elif byte == 0xC2 and i + 1 < end:
            sign = page[i + 1]
            if not (sign == 0xA0 or sign == 0xAB or sign == 0xB7 or sign == 0xBB):
                return True
            i += 2
        elif byte == AND and starts_with(page, i, end, NBSP_REF):
            i += len(NBSP_REF)
        elif byte >= 0x80:
            return True
        else:
            i += 1
    return False


@device
def _is_lone(page, start, end):
    """Whether a text is three bytes that end in one from 80 on, or a pilcrow, or may be once it is read."""
    size, first = 0, page[start]
    while size < 4 and start + size < end and page[start + size] != AND:
        size += 1
    if start + size < end and page[start + size] == AND:
        if end - start > _LONGEST_LONE or (end - start <= 6 and starts_with(page, start, end, NBSP_REF)):
            return False
        if size < 2:
            return True
    if size == 2:
        return first == 0xC2 and page[start + 1] == 0xB6
    if size != 3:
        return False
    private = first == 0xEE or (first == 0xEF and page[start + 1] < 0xA4)
    return page[start + 2] >= 0x80 and not private


@device
def _spaces_behind(spaces, flags, closing, closed_itself):
    """What is open behind a tag that opens or closes SVG, MathML, or HTML in them, see _SVG."""
    kind = _HTML if not flags & FOREIGN else _MATH if flags & FORMULA else _SVG
    if closing:
        left = spaces
        while left and left & 3 != kind and kind != _HTML:
            left >>= 2
        return left >> 2 if left & 3 == kind else spaces
    if kind == _HTML:
        opens = (flags & HTML_IN_SVG and spaces & 3 == _SVG) or (flags & HTML_IN_MATH and spaces & 3 == _MATH)
    else:
        opens = spaces <= _NESTED
    return spaces << 2 | kind if opens and not closed_itself else spaces


@kernel
def scan(page):
    """Read a page.

    page    uint8, UTF-8 of the page

    Gives int64 counts, see TAGS; int32 places behind the names of tags of candidates that may have to be freed, or
    hidden, for the other text of their line, and of `sup` and `sub`; and int32 pairs, start and end of texts that are
    three bytes long, or may be once their references are read.
    """
    n = len(page)
    total = np.zeros(9, np.int64)
    places, lone = np.empty(n // 3 + 2, np.int32), np.empty((n // 3 + 2, 2), np.int32)
    kept, lonely, line = 0, 0, 0  # places; lone texts; places before this line
    words, in_box, in_rows, control, script = False, True, False, False, False
    soft, open_key, open_depth, empty, before = 0, np.uint64(0), 0, True, (0, False, False, 0)
    names, counts = np.zeros(_NAMES_KEPT, np.uint64), np.zeros(_NAMES_KEPT, np.int64)
    depth, inline, spaces, last, i = 0, 0, 0, 0, 0
    while i < n:
        start = i
        while i < n:
            if page[i] == LT and i + 1 < n:
                byte = page[i + 1]
                if is_letter(byte) or byte in (BANG, QUESTION) or (byte == SLASH and i + 2 < n):
                    break
            i += 1
        end = i
        while start < end and _blank(page[start]):
            start += 1
        if start < end:
            while _blank(page[end - 1]):
                end -= 1
            if _is_lone(page, start, end):
                lone[lonely, 0], lone[lonely, 1] = start, end
                lonely += 1
            if open_key != 0:
                empty = False
            elif not words:
                words = _has_word(page, start, end)
        if i >= n:
            break

        foreign, closing = spaces & 1 == 1, page[i + 1] == SLASH
        j = i + 2 if closing else i + 1
        if not closing and page[j] == BANG and i + 3 < n and page[i + 2] == DASH and page[i + 3] == DASH:
            i = end_of_comment(page, i)
            continue
        if foreign and starts_with(page, i, n, CDATA):
            i = end_of_cdata(page, i)
            continue
        if j >= n or not is_letter(page[j]):
            while j < n and page[j] != GT:
                j += 1
            i = j + 1
            continue
        key, j = read_tag_name(page, j)
        flags = look_up(TAG_KEYS, TAG_FLAGS, key)
        place, attributes, found, ruled, control_here, in_formula = j, 0, 0, False, False, False
        looked_at = not closing and (flags & (BLOCK | UNSEEN) == 0 or flags & (CELL | PICTURED | PROGRAM) != 0)

        closed_itself = False
        while j < n and page[j] != GT:
            if is_space(page[j]) or page[j] == SLASH:
                closed_itself = page[j] == SLASH
                j += 1
                continue
            closed_itself = False
            attributes += 1
            name, value, value_end, j = read_attribute(page, j)
            if looked_at:
                kind = look_up(ATTRIBUTE_KEYS, ATTRIBUTE_KINDS, name)
                if kind in (CLASS, ID):
                    found |= _found_in(page, value, value_end)
                elif kind == VALUED:
                    ruled |= _is_ruled_value(page, value, value_end)
                elif kind == PRESENT:
                    ruled = True
                elif kind == HREF and flags & LINK:
                    only = value_end - value == 1 and page[value] == HASH
                    control_here |= only or may_start_with(page, value, value_end, JAVASCRIPT)
                elif kind == TYPE and flags & PROGRAM:
                    in_formula |= may_start_with(page, value, value_end, MATH_TYPE)
        if j >= n:
            break  # a tag without an end is none

        total[TAGS] += 1
        total[ATTRIBUTES] = max(total[ATTRIBUTES], attributes)
        total[COST] += depth * (i - last)
        last, i = i, j + 1
        if not closing:
            total[NESTS] += flags & NESTING != 0
            total[OPTIONS] += flags & OPTION != 0
            total[LISTS] += flags & LIST != 0
            total[SCRIPTS] += flags & SCRIPT != 0
            total[FORMULAS] += in_formula or flags & FORMULA != 0 or (flags & PICTURED != 0 and found & IN_FORMULA != 0)
        if foreign and flags & BREAKOUT and not closing:
            foreign = False
            while spaces & 1:
                spaces >>= 2
        if flags & (FLAT | RAW) == 0:
            change = 0
            if closing:
                change = -int(_opened(names, counts, key, -1))
            elif not (closed_itself and (foreign or flags & FOREIGN)):
                _opened(names, counts, key, 1)
                change = 1
            depth += change
            total[DEEPEST] = max(total[DEEPEST], depth)
            if flags & (BLOCK | FOREIGN | HTML_IN_SVG | HTML_IN_MATH) == 0 and not foreign:
                inline = max(0, inline + change)
        if flags & (FOREIGN | HTML_IN_SVG | HTML_IN_MATH):
            spaces = _spaces_behind(spaces, flags, closing, closed_itself)
        if flags & RAW and not closing and not foreign:
            i = end_of_raw(page, i, key)
            continue

        if flags & BLOCK:
            many = soft > 0 and kept - line > 1
            if not (words or open_key or script or in_rows or many or (control and in_box) or inline > 0):
                kept = line
            line, words, control, script, soft = kept, inline > 0, False, False, 0
            in_box, open_key = closing or flags & BOX != 0 or (in_box and flags & EMPTY != 0), np.uint64(0)
            in_rows = flags & ROWS != 0 or (closing and flags & CELL != 0) or (in_rows and flags & CELL == 0)
            if closing and flags & ROWS and key == TABLE:
                in_rows = False
            if flags & CELL and (ruled or found & NAMED):
                places[kept] = place
                kept += 1
                line = kept
            continue
        if open_key == key:
            open_depth += -1 if closing else 1
            if open_depth == 0:
                open_key = np.uint64(0)
                if empty:
                    kept, control, script, soft = before
        judged = ruled or control_here or found & NAMED or flags & (JUDGED | SCRIPT)
        if judged and looked_at and flags & (UNSEEN | CELL) == 0:
            if open_key == 0:
                open_key, open_depth, empty, before = key, 1, True, (kept, control, script, soft)
            places[kept] = place
            kept += 1
            control |= control_here
            script |= flags & (SCRIPT | JUDGED) != 0  # a date may say something on a line of its own
            soft += not (ruled or control_here or flags & JUDGED)
    total[COST] += depth * (n - last)
    return total, places[:kept].copy(), lone[:lonely].copy()
