"""From the bytes of a web page to blocks of text, in one pass and without a tree.

A block is the visible text between two borders: start and end tags of block-level elements, `br`, buttons, labels, and
elements that a page has made up (`x-card`). White space is one space, but in `pre` as it stands.
"""

import numpy as np

from curate.kernels import device, kernel
from curate.kernels.html_markup import (
    AND,
    BANG,
    DASH,
    GT,
    LT,
    QUESTION,
    SLASH,
    end_of_cdata,
    end_of_comment,
    end_of_raw,
    is_letter,
    is_space,
    look_up,
    read_tag_name,
    starts_with,
)
from curate.kernels.html_names import CDATA
from curate.kernels.page_attributes import (
    CLOSED,
    DATA,
    FLAGS,
    FOUND,
    HIDDEN,
    LINKED,
    PAGE_WORDS_FOUND,
    SIGNATURE,
    TEX,
    WORDS,
    read_attributes,
    words_of_data,
)
from curate.kernels.page_marks import MARKED, brace_script, is_word, read_reference, script_kind, write_script
from curate.kernels.page_names import (
    BORDER,
    CONTROL,
    FOREIGN,
    IN_FORMULA,
    IN_HEAD,
    RAW,
    TAG,
    TAG_KEYS,
    TAG_VALUES,
    VOID,
)
from curate.kernels.page_tree import (
    CELL,
    COLUMNS,
    DEEPEST,
    ELEMENT,
    HIDING,
    ITEM,
    KEPT_AS_IS,
    LINKING,
    OUTSIDE,
    OWNER,
    ROW,
    SEEN,
    TABLE,
    behind_end_tag,
    behind_implied_ends,
    has_border,
    pushed,
    tag_of,
    unlink,
)

START, END, BLOCK_OWNER, LINKED_BYTES, SOLID_BYTES, BREAKS, VERBATIM_TEXT, BLOCK_ROW, BLOCK_CELL, BLOCK_ITEM = range(10)
BLOCK_HIDDEN, BLOCK_DEPTH = 10, 11
BLOCK_COLUMNS = 12
"""Of a block: where its text begins and ends; its element; bytes of links and of all, white space aside; how many `br`
are before it; whether white space stands as it is; elements of its row, cell and item, or -1; whether it is hidden; how
many elements are open."""
PARENT, ELEMENT_TAG, ELEMENT_SIGNATURE, IMAGES, CONTROLS, ELEMENT_COLUMNS = range(6)
"""Of an element: its parent, or -1; the number of its tag; a hash of tag and class; pictures and controls in it."""
TAGS, FORMS, INPUTS, PICTURES, PROGRAMS, DEEP, TITLE, TITLE_END, FORMULAS, COUNTS = range(10)
"""Of a page: how many tags it has, forms, controls, pictures, scripts; how deep it is; where its title stands; how many
parts of formulas it has."""

_A, _BODY, _BR, _FORM, _HEAD, _HTML, _I, _IMG, _MATH = (
    TAG[name] for name in ("a", "body", "br", "form", "head", "html", "i", "img", "math")
)
_PLAINTEXT, _PRE, _SCRIPT, _SPAN, _SUB, _SUP, _TITLE, _XMP = (
    TAG[name] for name in ("plaintext", "pre", "script", "span", "sub", "sup", "title", "xmp")
)
_NEWLINE, _RETURN, _SPACE = 0x0A, 0x0D, 0x20


@device
def _opened(blocks, count, start, stack, top, breaks):
    """Begin a block."""
    blocks[count, START], blocks[count, BREAKS] = start, breaks
    blocks[count, BLOCK_OWNER], blocks[count, BLOCK_DEPTH] = stack[top, OWNER], top
    blocks[count, VERBATIM_TEXT], blocks[count, BLOCK_HIDDEN] = stack[top, KEPT_AS_IS], stack[top, HIDING]
    blocks[count, BLOCK_ROW], blocks[count, BLOCK_CELL] = stack[top, ROW], stack[top, CELL]
    blocks[count, BLOCK_ITEM] = stack[top, ITEM]


@device
def _ended(blocks, count, text, used, linked, solid):
    """End a block. Gives where its text ends, white space behind it apart."""
    while is_space(text[used - 1]):
        used -= 1
    blocks[count, END], blocks[count, LINKED_BYTES], blocks[count, SOLID_BYTES] = used, linked, solid
    return used


@device
def _is_made_up(page, start, end):
    """Whether a tag's name has a dash, as those of custom elements have."""
    while start < end and page[start] != DASH:
        start += 1
    return start < end


@device
def _says_something(page, i):
    """Whether text begins at a place, and no tag."""
    while i < len(page) and is_space(page[i]):
        i += 1
    return i < len(page) and page[i] != LT


@device
def _count(counts, value, tag):
    counts[TAGS] += 1
    counts[FORMS] += tag == _FORM
    counts[INPUTS] += value & CONTROL != 0
    counts[PICTURES] += tag == _IMG
    counts[PROGRAMS] += tag == _SCRIPT


@kernel
def read_page(page):
    """Read a page.

    page    uint8, its UTF-8

    Gives the text of all blocks, uint8; blocks, int32 of shape (blocks, BLOCK_COLUMNS); elements, int32 of shape
    (elements, ELEMENT_COLUMNS), parents before children; bits of `NEAR_WORDS` for each element, uint64; int64 counts,
    see TAGS; and bits of `PAGE_WORDS`.
    """
    n, tags = len(page), 2
    for byte in page:
        tags += byte == LT
    text = np.empty(n + n // 4 + 4 * tags + 64, np.uint8)
    blocks, elements = np.empty((tags + 1, BLOCK_COLUMNS), np.int32), np.empty((tags + 1, ELEMENT_COLUMNS), np.int32)
    words, counts, page_words = np.zeros(tags + 1, np.uint64), np.zeros(COUNTS, np.int64), np.uint64(0)
    stack, keys = np.zeros((DEEPEST + 1, COLUMNS), np.int32), np.zeros(DEEPEST + 1, np.uint64)
    found, glyph = np.zeros(FOUND, np.uint64), np.zeros(8, np.uint8)
    stack[0, SEEN], stack[0, TABLE] = 1, -1
    stack[0, ROW], stack[0, CELL], stack[0, ITEM] = -1, -1, -1
    elements[0], elements[0, PARENT], elements[0, ELEMENT_TAG] = 0, -1, _HTML
    count, made, top, over, has_body = 0, 1, 0, 0, False
    used, base, begun, space, breaks, linked, solid = 0, 0, False, False, 0, 0, 0
    upper, script, script_depth, formula, unbraced, behind, in_note = False, -1, 0, False, -1, 0, False
    i, literal = 0, 0  # up to `literal`, markup is text
    while i < n:
        # text
        if top == 1 and tag_of(stack, 1) == _HEAD and _says_something(page, i):
            top = 0
        seen, as_is, linking = stack[top, SEEN], stack[top, KEPT_AS_IS], stack[top, LINKING]
        while i < n:
            byte = page[i]
            if byte == LT and i >= literal and i + 1 < n:
                following = page[i + 1]
                if is_letter(following) or following in (BANG, QUESTION):
                    break
                if following == SLASH and i + 2 < n:
                    break
            if not seen:
                i += 1
                continue
            size, end = 1, i + 1
            if byte == AND and i >= literal:
                end = read_reference(page, i, n, glyph)
                if end == i:
                    glyph[0], glyph[1], end = 1, AND, i + 1
                size, byte = glyph[0], glyph[1]
            elif byte == 0xC2 and i + 1 < n and page[i + 1] == 0xA0:
                glyph[0], glyph[1], glyph[2], end = 2, 0xC2, 0xA0, i + 2
                size = 2
            if byte == 0:
                i = end
                continue
            blank = is_space(byte) or (size == 2 and byte == 0xC2 and glyph[2] == 0xA0)
            if blank:
                unbraced = -1
                if not as_is:
                    space = begun
                elif byte in (_NEWLINE, _RETURN):
                    if byte == _RETURN and end < n and page[end] == _NEWLINE:
                        end += 1
                    if begun:
                        text[used] = _NEWLINE
                        used += 1
                    else:
                        used = base
                else:
                    text[used] = _SPACE if size == 2 else byte
                    used += 1
                i = end
                continue
            if not begun:
                if not as_is:
                    used = base
                _opened(blocks, count, base, stack, top, breaks)
                begun, space, breaks, linked, solid = True, False, 0, 0, 0
            elif space:
                text[used] = _SPACE
                used += 1
                space, unbraced = False, -1
            if unbraced >= 0:
                if is_word(byte):
                    used = brace_script(text, unbraced, used)
                unbraced = -1
            if size == 1:
                text[used] = byte
                used += 1
            else:
                for k in range(size):
                    text[used] = glyph[k + 1]
                    used += 1
            solid += size
            linked += size if linking else 0
            i = end
        if i >= n:
            break

        # a tag, a comment
        closing = page[i + 1] == SLASH
        j = i + 2 if closing else i + 1
        if page[j] == BANG and not closing:
            if i + 3 < n and page[i + 2] == DASH and page[i + 3] == DASH:
                i = end_of_comment(page, i)
                continue
            if stack[top, OUTSIDE] and starts_with(page, i, n, CDATA):
                i = end_of_cdata(page, i)
                continue
        if j >= n or not is_letter(page[j]):
            while j < n and page[j] != GT:
                j += 1
            i = j + 1
            continue
        name = j
        key, j = read_tag_name(page, j)
        value = look_up(TAG_KEYS, TAG_VALUES, key)
        if value == 0 and _is_made_up(page, name, j):
            value = BORDER
        tag = value & 255
        j = read_attributes(page, j, n, tag, key, found)
        if j >= n:
            break  # a tag without an end is none
        i = j + 1
        _count(counts, value, tag)
        page_words |= found[PAGE_WORDS_FOUND]
        in_formula = found[WORDS] & IN_FORMULA != 0 and tag in (_SPAN, _IMG)
        counts[FORMULAS] += tag == _MATH or in_formula or found[FLAGS] & np.uint64(TEX) != 0
        outside = stack[top, OUTSIDE] != 0

        new, ignored = top, False
        if over > 0 and not value & VOID:
            over += -1 if closing else 1
            ignored = True
        elif tag in (_HEAD, _HTML, _BODY):
            in_head = top > 0 and tag_of(stack, 1) == _HEAD
            if tag == _HEAD:
                new = 0 if closing and in_head else top
                ignored = closing or has_body or top > 0
            elif tag == _HTML or closing:
                ignored = True
            else:
                ignored = has_body or (top > 0 and not in_head)
                new, has_body = 0 if not ignored else top, True
        elif closing:
            ignored = True
            if not value & VOID or tag == _BR:
                new = behind_end_tag(stack, keys, top, value, key)
                if tag == _A and new == top:
                    unlink(stack, top)
        else:
            if top == 1 and tag_of(stack, 1) == _HEAD and not value & IN_HEAD:
                new = 0
            moved = behind_implied_ends(stack, new, value)
            ignored = moved < 0
            new = new if ignored else moved
        border = value & BORDER != 0 and not (ignored and not closing and new == top)
        if new < top:
            border |= has_border(stack, top, new)
        if border and stack[top, KEPT_AS_IS] and tag == _BR:
            border = False
            if begun:
                text[used] = _NEWLINE
                used += 1
        if script >= 0 and (border or new < script_depth):
            while used > script and text[used - 1] == _SPACE:
                used -= 1
            kind = script_kind(text, behind, script, used, upper, in_note, formula)
            before = used
            used = write_script(text, script, used, upper, kind)
            solid += used - before
            unbraced, script = script if kind == MARKED else -1, -1
        if border:
            if begun:
                base = _ended(blocks, count, text, used, linked, solid)
                count += 1
            begun, space, used, unbraced = False, False, base, -1
            breaks += tag == _BR and not closing
        top = new
        if ignored or closing:
            continue
        if value & VOID:
            element = stack[top, ELEMENT]
            elements[element, IMAGES] += tag == _IMG
            elements[element, CONTROLS] += value & CONTROL != 0
            continue
        if found[FLAGS] & np.uint64(CLOSED) and (value & FOREIGN or (outside and stack[top, OUTSIDE])):
            continue
        if top == DEEPEST:
            over += 1
            continue

        # a new element
        element, made = made, made + 1
        hidden = int(found[FLAGS] & np.uint64(HIDDEN) != 0)
        elements[element] = 0
        elements[element, PARENT], elements[element, ELEMENT_TAG] = stack[top, ELEMENT], tag
        elements[element, ELEMENT_SIGNATURE] = np.int32((found[SIGNATURE] ^ key) & np.uint64(0x7FFFFFFF))
        words[element] = found[WORDS]
        elements[stack[top, ELEMENT], CONTROLS] += value & CONTROL != 0
        raw = value & RAW != 0 and not outside
        top = pushed(stack, top, value, element, int(found[FLAGS] & np.uint64(LINKED) != 0), hidden)
        keys[top] = key
        counts[DEEP] = max(counts[DEEP], top)
        if tag == _PRE and i < n and page[i] == _NEWLINE:
            i += 1
        if tag in (_SUP, _SUB) and script < 0 and begun:
            upper, script, script_depth, formula = tag == _SUP, used, top, False
            behind, in_note = 0 if space else text[used - 1], stack[top, LINKING] != 0
        elif script >= 0:
            formula |= tag == _I
            in_note |= tag == _A and stack[top, LINKING] != 0
        if raw:
            end = end_of_raw(page, i, key)
            if found[FLAGS] & np.uint64(DATA) and tag == _SCRIPT:
                page_words |= words_of_data(page, i, end)
            if tag == _TITLE and counts[TITLE_END] == 0:
                counts[TITLE], counts[TITLE_END] = i, end
            if tag in (_XMP, _PLAINTEXT):
                literal = end
            else:
                i = end
    if begun:
        used = _ended(blocks, count, text, used, linked, solid)
        count += 1
    return text[:used].copy(), blocks[:count].copy(), elements[:made].copy(), words[:made].copy(), counts, page_words
