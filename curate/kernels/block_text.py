"""Decide which blocks of a page to keep, and write their text."""

import numpy as np

from curate.kernels import device, kernel
from curate.kernels.block_names import COLUMN
from curate.kernels.page_names import NEAR_WORDS, TAG
from curate.kernels.page_reader import (
    BLOCK_CELL,
    BLOCK_ITEM,
    BLOCK_OWNER,
    BLOCK_ROW,
    BREAKS,
    ELEMENT_TAG,
    END,
    PARENT,
    SOLID_BYTES,
    START,
    VERBATIM_TEXT,
)

LOWEST, HIGHEST = 200, 600
"""Thousandths: what is surer than HIGHEST is kept of any page, what is below LOWEST of none."""
_PROSE = 200
"""Characters of a paragraph that is never left out of a page of which nothing else is kept."""
_CHARACTERS, _WORDS, _WIDE, _LINK_SHARE, _SENTENCES = (
    COLUMN[name] for name in ["characters", "words", "wide_share", "link_share", "sentences"]
)
_H1, _LI, _OL, _UL = (TAG[name] for name in ("h1", "li", "ol", "ul"))
_BLOCKQUOTE, _BODY, _HTML = (TAG[name] for name in ("blockquote", "body", "html"))
_HEADINGS = np.zeros(256, np.int64)
for _level in range(1, 7):
    _HEADINGS[TAG[f"h{_level}"]] = _level
_IS_COMMENT = np.uint64(1 << NEAR_WORDS.index("comment"))
KINDS = ("paragraph", "heading", "list", "table", "quote", "code")
_PARAGRAPH, _HEADING, _ITEM, _CELL, _QUOTE, _CODE = range(len(KINDS))
_NEWLINE, _SPACE, _BAR, _DASH, _HASH, _TICK, _GREATER, _DOT = 10, 32, *(ord(sign) for sign in "|-#`>.")
_MOST_INDENT, _FAR = 8, 64


@kernel
def kept_of(likely, features):
    """Which blocks make the text with the highest F1 to be expected, and within LOWEST and HIGHEST.

    likely    int64 of shape (blocks,), thousandths: how likely each is main content
    features  as `block_features.features` gives them

    The set with the highest expected F1 holds the likeliest blocks (Lewis, 1995), so that one walk finds it. Gives
    bool of shape (blocks,).
    """
    n = len(likely)
    kept = np.zeros(n, np.bool_)
    size, all_likely = np.zeros(1001, np.int64), 0
    for b in range(n):
        words = features[b, _WORDS] + np.int64(features[b, _CHARACTERS]) * features[b, _WIDE] // 2000
        size[likely[b]] += words
        all_likely += words * likely[b]
    best, best_whole, bound, true, taken = 0, 1, HIGHEST, 0, 0
    for score in range(1000, LOWEST - 1, -1):
        if size[score] == 0:
            continue
        true, taken = true + size[score] * score, taken + size[score]
        whole = taken * 1000 + all_likely
        if true * best_whole > best * whole:
            best, best_whole, bound = true, whole, score
    bound = min(bound, HIGHEST)
    some = False
    for b in range(n):
        kept[b] = likely[b] >= bound
        some |= kept[b]
    if not some:
        for b in range(n):
            kept[b] = (
                features[b, _CHARACTERS] >= _PROSE and features[b, _LINK_SHARE] < 300 and features[b, _SENTENCES] > 0
            )
    return kept


@kernel
def in_comments(blocks, elements, words):
    """Which blocks stand in an element that calls itself comments, and holds no heading of the page."""
    m = len(elements)
    titled, named = np.zeros(m, np.bool_), np.zeros(m, np.bool_)
    for e in range(m - 1, 0, -1):
        titled[e] |= elements[e, ELEMENT_TAG] == _H1
        titled[elements[e, PARENT]] |= titled[e]
    for e in range(1, m):
        tag = elements[e, ELEMENT_TAG]
        own = words[e] & _IS_COMMENT != 0 and not titled[e] and tag != _BODY and tag != _HTML
        named[e] = own or named[elements[e, PARENT]]
    found = np.zeros(len(blocks), np.bool_)
    for b in range(len(blocks)):
        found[b] = named[blocks[b, BLOCK_OWNER]]
    return found


@device
def _ancestor(elements, element, tag, other):
    """The innermost element of one of two tags, itself perhaps, or -1."""
    for _ in range(_FAR):
        if element < 0 or elements[element, ELEMENT_TAG] in (tag, other):
            return element
        element = elements[element, PARENT]
    return -1


@device
def _kind(block, elements):
    """What a block is, of KINDS: the first of code, heading, cell of a table, item of a list and quotation that it is,
    else a paragraph."""
    if block[VERBATIM_TEXT]:
        return _CODE
    if _HEADINGS[elements[block[BLOCK_OWNER], ELEMENT_TAG]]:
        return _HEADING
    if block[BLOCK_CELL] >= 0:
        return _CELL
    if block[BLOCK_ITEM] >= 0:
        return _ITEM
    if _ancestor(elements, block[BLOCK_OWNER], _BLOCKQUOTE, _BLOCKQUOTE) >= 0:
        return _QUOTE
    return _PARAGRAPH


@kernel
def sizes_by_kind(blocks, elements, kept):
    """Visible bytes of all blocks, and of those that are kept: int64 of shape (2, len(KINDS))."""
    sizes = np.zeros((2, len(KINDS)), np.int64)
    for b in range(len(blocks)):
        kind, size = _kind(blocks[b], elements), blocks[b, SOLID_BYTES]
        sizes[0, kind] += size
        if kept[b]:
            sizes[1, kind] += size
    return sizes


@device
def _lists_around(elements, element):
    count = 0
    for _ in range(_FAR):
        if element < 0:
            break
        count += elements[element, ELEMENT_TAG] in (_UL, _OL)
        element = elements[element, PARENT]
    return count


@device
def _outermost_list(elements, element):
    found = -1
    for _ in range(_FAR):
        if element < 0:
            break
        if elements[element, ELEMENT_TAG] in (_UL, _OL):
            found = element
        element = elements[element, PARENT]
    return found


@device
def _put(out, at, byte, times):
    for _ in range(times):
        out[at] = byte
        at += 1
    return at


@device
def _put_number(out, at, number):
    digits, size = number, 1
    while digits >= 10:
        digits, size = digits // 10, size + 1
    for k in range(size - 1, -1, -1):
        out[at + k] = 0x30 + number % 10
        number //= 10
    return at + size


@device
def _put_item(out, at, elements, item, number):
    """The bullet, or number, of an item of a list, behind its indent."""
    around = _ancestor(elements, elements[item, PARENT], _UL, _OL)
    at = _put(out, at, _SPACE, 2 * min(max(_lists_around(elements, item) - 1, 0), _MOST_INDENT))
    if around >= 0 and elements[around, ELEMENT_TAG] == _OL:
        at = _put_number(out, at, number)
        out[at] = _DOT
    else:
        out[at] = _DASH
    out[at + 1] = _SPACE
    return at + 2


@device
def _put_text(out, at, text, start, end, before_line):
    """A text; behind each of its line breaks, `before_line` and a space if it is a sign."""
    for k in range(start, end):
        out[at] = text[k]
        at += 1
        if text[k] == _NEWLINE and before_line:
            out[at], out[at + 1] = before_line, _SPACE
            at += 2
    return at


@kernel
def _data_rows(blocks, elements):
    """Whether each element is a row of data: two cells or more, with one block each."""
    m = len(elements)
    cells, in_cell = np.zeros(m, np.int32), np.zeros(m, np.int32)
    mixed = np.zeros(m, np.bool_)
    for b in range(len(blocks)):
        row, cell = blocks[b, BLOCK_ROW], blocks[b, BLOCK_CELL]
        if row >= 0 and cell > row:
            cells[row] += in_cell[cell] == 0
            mixed[row] |= in_cell[cell] > 0
            in_cell[cell] += 1
        elif row >= 0:
            mixed[row] = True
    return (cells >= 2) & ~mixed


@kernel
def text_of(text, blocks, elements, kept, markdown, bullets):
    """The text of the blocks that are kept, uint8, in order.

    text, blocks, elements  as `page_reader.read_page` gives them
    kept                    bool of shape (blocks,)
    markdown                whether headings, code, quotations and the heads of tables are marked
    bullets                 whether items of lists are

    Paragraphs have an empty line between them; lines, items and rows of data do not; cells have `|`.
    """
    n, size = len(blocks), 0
    for b in range(n):
        if kept[b]:
            size += 2 * (blocks[b, END] - blocks[b, START]) + 64
            if markdown and blocks[b, VERBATIM_TEXT]:
                size += blocks[b, END] - blocks[b, START]
    out, at, before = np.empty(size + 64, np.uint8), 0, -1
    data, numbers = _data_rows(blocks, elements), np.zeros(len(elements), np.int32)
    headed, last_item, first_row, columns = -1, -1, False, 0
    for b in range(n):
        owner, item, row = blocks[b, BLOCK_OWNER], blocks[b, BLOCK_ITEM], blocks[b, BLOCK_ROW]
        is_item = item >= 0 and elements[item, ELEMENT_TAG] == _LI
        if is_item and numbers[item] == 0:
            numbers[elements[item, PARENT]] += 1
            numbers[item] = numbers[elements[item, PARENT]]
        if not kept[b]:
            continue
        quote = _GREATER if markdown and _ancestor(elements, owner, _BLOCKQUOTE, _BLOCKQUOTE) >= 0 else 0
        verbatim = markdown and blocks[b, VERBATIM_TEXT]
        in_row = row >= 0 and data[row]
        starts_item = is_item and item != last_item and not in_row
        separator = 2
        if before < 0:
            separator = 0
        else:
            other = blocks[before]
            other_row = other[BLOCK_ROW]
            if in_row and other_row == row:
                separator = 0
            elif (in_row and other_row >= 0 and data[other_row]) or (
                other[BLOCK_OWNER] == owner and blocks[b, BREAKS] < 2
            ):
                separator = 1
            elif item >= 0 and other[BLOCK_ITEM] >= 0:
                far = _outermost_list(elements, item) != _outermost_list(elements, other[BLOCK_ITEM])
                separator = 2 if far else 1
        if in_row and before >= 0 and blocks[before, BLOCK_ROW] == row:
            out[at], out[at + 1], out[at + 2] = _SPACE, _BAR, _SPACE
            at, columns = at + 3, columns + 1
        else:
            if markdown and first_row:  # the row that is over heads its table
                out[at] = _NEWLINE
                at = _put(out, _put(out, at + 1, _BAR, 1), _SPACE, 1)
                for k in range(columns):
                    at = _put(out, at, _DASH, 3)
                    at = _put(out, _put(out, _put(out, at, _SPACE, 1), _BAR, 1), _SPACE, k + 1 < columns)
                first_row = False
            at = _put(out, at, _NEWLINE, separator)
            columns = 1
            if in_row and markdown:
                first_row = separator != 1
                out[at], out[at + 1] = _BAR, _SPACE
                at += 2
        if quote and not in_row:
            out[at], out[at + 1] = quote, _SPACE
            at += 2
        if starts_item and bullets:
            at = _put_item(out, at, elements, item, numbers[item])
        if markdown and _HEADINGS[elements[owner, ELEMENT_TAG]] and owner != headed and not in_row:
            at = _put(out, _put(out, at, _HASH, _HEADINGS[elements[owner, ELEMENT_TAG]]), _SPACE, 1)
        if verbatim and not in_row:
            at = _put(out, _put(out, at, _TICK, 3), _NEWLINE, 1)
        at = _put_text(out, at, text, blocks[b, START], blocks[b, END], quote)
        if verbatim and not in_row:
            at = _put(out, _put(out, at, _NEWLINE, 1), _TICK, 3)
        if in_row and markdown and not _goes_on(blocks, kept, b, row):
            out[at], out[at + 1] = _SPACE, _BAR
            at += 2
        before, last_item, headed = b, item, owner
    return out[:at].copy()


@device
def _goes_on(blocks, kept, b, row):
    """Whether another kept block of the same row follows."""
    b += 1
    while b < len(blocks) and blocks[b, BLOCK_ROW] == row:
        if kept[b]:
            return True
        b += 1
    return False
