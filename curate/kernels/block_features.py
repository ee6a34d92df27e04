"""Count features of each block of a page, as integers, for the model of main content."""

import numpy as np

from curate.kernels import device, kernel
from curate.kernels.block_names import (
    AROUND,
    COLUMN,
    FAR,
    LEVELS,
    MOST,
    N_AROUND,
    N_FEATURES,
    N_NEIGHBOR,
    NEAR,
    NEIGHBOR,
    OFFSETS,
    PAGE,
    PLACE,
    SAYS,
    TAG_COLUMNS,
    WINDOW,
    WITHIN_COLUMNS,
)
from curate.kernels.html_markup import is_letter
from curate.kernels.html_names import BASIS, PRIME
from curate.kernels.page_marks import is_digit
from curate.kernels.page_names import TAG
from curate.kernels.page_reader import (
    BLOCK_CELL,
    BLOCK_DEPTH,
    BLOCK_HIDDEN,
    BLOCK_ITEM,
    BLOCK_OWNER,
    BLOCK_ROW,
    BREAKS,
    CONTROLS,
    DEEP,
    ELEMENT_SIGNATURE,
    ELEMENT_TAG,
    END,
    FORMS,
    IMAGES,
    INPUTS,
    LINKED_BYTES,
    PARENT,
    PICTURES,
    PROGRAMS,
    SOLID_BYTES,
    START,
    TAGS,
    TITLE,
    TITLE_END,
    VERBATIM_TEXT,
)

_CHARACTERS, _WORDS, _LINK_SHARE, _SENTENCES, _ENDS, _WIDE, _MONEY, _DEPTH = (
    COLUMN[name]
    for name in ("characters", "words", "link_share", "sentences", "ends_sentence", "wide_share", "money", "depth")
)
_LEVEL_OF = np.zeros(256, np.int64)
for _level in range(1, 7):
    _LEVEL_OF[TAG[f"h{_level}"]] = _level
_P, _LI = TAG["p"], TAG["li"]
_FAR_UP, _UP, _BESIDE = 8, 64, 8
"""How many elements up names count, tags count; how many blocks beside one are its window."""
_FEWEST_WORDS, _MOST_LINKS, _MANY_WIDE = 6, 300, 500
"""Of prose: words, unless most characters are wide, and the share of links."""
_FAR_OFF = 999
_TITLE_SLOTS = 256
BYTES, LINKS, BLOCKS, PROSE = range(4)
"""Sums of an element, or of the page."""


@device
def _share(part, whole):
    """In thousandths."""
    return part * 1000 // whole if whole > 0 else 0


@device
def _at_most(number):
    return min(number, MOST)


@device
def _folded(key, byte):
    return (key ^ np.uint64(byte | 0x20 if is_letter(byte) else byte)) * PRIME


@device
def _key_of(text, start, end):
    """A hash of a text, white space and case of ASCII aside; never 0."""
    key = BASIS
    for k in range(start, end):
        if text[k] > 0x20:
            key = _folded(key, text[k])
    return key | np.uint64(1)


@device
def _slot_of(keys, key):
    """Where a key is in an open-addressed table, or could be put."""
    mask = np.uint64(len(keys) - 1)
    slot = (key ^ key >> np.uint64(32)) & mask
    while keys[slot] != 0 and keys[slot] != key:
        slot = (slot + np.uint64(1)) & mask
    return slot


@device
def _learn_title(page, start, end, title):
    """Put the hashes of a title's words where they can be found."""
    key, in_word = BASIS, False
    for k in range(start, end + 1):
        byte = page[k] if k < end else np.uint8(0x20)
        if byte > 0x20:
            in_word, key = True, _folded(key, byte)
        else:
            if in_word:
                title[key % np.uint64(_TITLE_SLOTS)] = key
            in_word, key = False, BASIS


@device
def _wide_sign(text, k, end):
    """Of the three-byte character whose first byte stands before `k`: 1 if it ends a sentence, 2 if it is a comma."""
    if k + 1 >= end:
        return 0
    first, second, third = text[k - 1], text[k], text[k + 1]
    if first == 0xE3 and second == 0x80:
        return 1 if third == 0x82 else 2 if third == 0x81 else 0
    if first == 0xEF and second == 0xBC:
        return 1 if third in (0x81, 0x9F) else 2 if third == 0x8C else 0
    return 0


@device
def _measure(text, start, end, title, row):
    """Features of a block's own text, see `block_names`."""
    characters, words, sentences, digits, capitals, commas = 0, 0, 0, 0, 0, 0
    wide, bars, money, in_title, in_word, key, last, k = 0, 0, 0, 0, False, BASIS, 0, start
    while k < end:
        byte = text[k]
        k += 1
        if byte & 0xC0 == 0x80:
            continue
        characters += 1
        if byte <= 0x20:
            in_title += in_word and title[key % np.uint64(_TITLE_SLOTS)] == key
            in_word = False
            continue
        last = byte
        if byte >= 0xE2:
            sign = _wide_sign(text, k, end)
            sentences += sign == 1
            commas += sign == 2
            wide += byte >= 0xE3 and not (byte == 0xEF and k < end and text[k] != 0xBC)
            money += byte == 0xE2 and k < end and text[k] == 0x82
        if not in_word:
            words, in_word, key = words + 1, True, BASIS
        key = _folded(key, byte)
        digits += is_digit(byte)
        capitals += byte >= 0x41 and byte <= 0x5A
        commas += byte in (0x2C, 0x3B)
        bars += byte in (0x7C, 0x2F)
        money += byte == 0x24
        if byte in (0x2E, 0x21, 0x3F):
            sentences += k >= end or text[k] <= 0x20 or text[k] == 0x22
    in_title += in_word and title[key % np.uint64(_TITLE_SLOTS)] == key
    final = text[end - 2] if last in (0x22, 0x29) and end - 2 >= start else last
    ends = final in (0x2E, 0x21, 0x3F) or (end - start > 2 and _wide_sign(text, end - 2, end) == 1)
    row[0], row[1], row[3] = _at_most(characters), _at_most(words), _at_most(characters * 10 // max(words, 1))
    row[4], row[5] = _at_most(sentences * 100 // max(words, 1)), ends
    row[6], row[7] = _share(digits, characters), _share(capitals, characters)
    row[8], row[9] = _at_most(commas * 100 // max(words, 1)), _share(wide, characters)
    row[10], row[11] = last == 0x3A, text[start] >= 0x41 and text[start] <= 0x5A
    row[12], row[13], row[14] = _share(in_title, words), _at_most(bars), _at_most(money)


@device
def _spread(bits, row, at):
    """Set the columns of bits."""
    column = at
    while bits:
        while bits & np.uint64(0xFF) == 0:
            bits, column = bits >> np.uint64(8), column + 8
        if bits & np.uint64(1):
            row[column] = 1
        bits, column = bits >> np.uint64(1), column + 1


@device
def _look_around(owner, elements, words, sums, main, row):
    """Features of the elements around a block."""
    element, near, far = owner, np.uint64(0), np.uint64(0)
    for up in range(_UP):
        if element < 0:
            break
        if up < 2:
            near |= words[element]
        elif up < _FAR_UP:
            far |= words[element]
        if up >= 1 and up <= LEVELS:
            at = AROUND + (up - 1) * N_AROUND
            row[at], row[at + 1] = _share(sums[element, LINKS], sums[element, BYTES]), _at_most(sums[element, BYTES])
            row[at + 2], row[at + 3] = _at_most(sums[element, BLOCKS]), _share(sums[element, PROSE], sums[0, PROSE])
            row[at + 4] = _share(sums[element, BYTES], sums[0, BYTES])
        within = WITHIN_COLUMNS[elements[element, ELEMENT_TAG]]
        if within >= 0:
            row[within] = 1
        if element == main:
            row[PLACE + 22], row[PLACE + 23] = 1, up
        element = elements[element, PARENT]
    _spread(near, row, NEAR)
    _spread(far, row, FAR)
    column = TAG_COLUMNS[elements[owner, ELEMENT_TAG]]
    if column >= 0:
        row[column] = 1


@device
def _look_beside(out, b, kinds):
    """Features of the blocks beside one; all have their own features already."""
    n, row = len(out), out[b]
    low, high = max(0, b - _BESIDE), min(n, b + _BESIDE + 1)
    for k, column in enumerate((_CHARACTERS, _LINK_SHARE, _SENTENCES)):
        total = 0
        for other in range(low, high):
            total += min(out[other, column], 1000)
        row[WINDOW + k] = total // (high - low)
    at = NEIGHBOR
    for offset in OFFSETS:
        other = b + offset
        if other < 0 or other >= n:
            row[at : at + N_NEIGHBOR] = -1
        else:
            row[at], row[at + 1] = out[other, _CHARACTERS], out[other, _LINK_SHARE]
            row[at + 2], row[at + 3] = out[other, _SENTENCES], out[other, _ENDS]
            row[at + 4], row[at + 5] = out[other, _DEPTH] - row[_DEPTH], out[other, AROUND]
            row[at + 6], row[at + 7] = out[other, AROUND + 1], kinds[other] == kinds[b]
        at += N_NEIGHBOR


@kernel
def _sums_of_elements(blocks, elements, prose):
    """int64 of shape (elements, 4), see BYTES; pictures and controls of elements are added up too, in place."""
    sums = np.zeros((len(elements), 4), np.int64)
    for b in range(len(blocks)):
        owner = blocks[b, BLOCK_OWNER]
        sums[owner, BYTES] += blocks[b, SOLID_BYTES]
        sums[owner, LINKS] += blocks[b, LINKED_BYTES]
        sums[owner, BLOCKS] += 1
        sums[owner, PROSE] += prose[b]
    for e in range(len(elements) - 1, 0, -1):
        parent = elements[e, PARENT]
        for k in range(4):
            sums[parent, k] += sums[e, k]
        elements[parent, IMAGES] += elements[e, IMAGES]
        elements[parent, CONTROLS] += elements[e, CONTROLS]
    return sums


@kernel
def _repeated(text, blocks):
    """How often the text of each block is on the page, and whether it is the first."""
    n, size = len(blocks), 16
    while size < 2 * n:
        size *= 2
    keys, counts, slots = np.zeros(size, np.uint64), np.zeros(size, np.int64), np.zeros(n, np.int64)
    first = np.zeros(n, np.bool_)
    for b in range(n):
        key = _key_of(text, blocks[b, START], blocks[b, END])
        slot = _slot_of(keys, key)
        keys[slot], slots[b], first[b] = key, slot, counts[slot] == 0
        counts[slot] += 1
    return counts[slots], first


@kernel
def _kinds(blocks, elements, first):
    """A number for the kind of each block, and sums of each kind: blocks, bytes, of links, different texts."""
    n, size = len(blocks), 16
    while size < 2 * n:
        size *= 2
    keys, kinds, sums = np.zeros(size, np.uint64), np.zeros(n, np.int64), np.zeros((size, 4), np.int64)
    for b in range(n):
        owner = blocks[b, BLOCK_OWNER]
        parent = max(elements[owner, PARENT], 0)
        key = np.uint64(elements[owner, ELEMENT_SIGNATURE]) << np.uint64(32)
        key = (key ^ np.uint64(elements[parent, ELEMENT_SIGNATURE])) | np.uint64(1)
        slot = _slot_of(keys, key)
        keys[slot], kinds[b] = key, slot
        sums[slot, 0] += 1
        sums[slot, 1] += blocks[b, SOLID_BYTES]
        sums[slot, 2] += blocks[b, LINKED_BYTES]
        sums[slot, 3] += first[b]
    return kinds, sums


@kernel
def features(page, text, blocks, elements, words, counts, page_words):
    """Of what `page_reader.read_page` gives of a page: int16 of shape (blocks, N_FEATURES), see `block_names`."""
    n = len(blocks)
    out = np.zeros((n, N_FEATURES), np.int16)
    if n == 0:
        return out
    title, prose = np.zeros(_TITLE_SLOTS, np.uint64), np.zeros(n, np.int64)
    _learn_title(page, counts[TITLE], counts[TITLE_END], title)
    in_p, in_items, money, first_prose, last_prose = 0, 0, 0, n, -1
    for b in range(n):
        row, solid, tag = out[b], blocks[b, SOLID_BYTES], elements[blocks[b, BLOCK_OWNER], ELEMENT_TAG]
        _measure(text, blocks[b, START], blocks[b, END], title, row)
        row[_LINK_SHARE] = _share(blocks[b, LINKED_BYTES], solid)
        if (
            row[_SENTENCES]
            and row[_LINK_SHARE] < _MOST_LINKS
            and (row[_WORDS] >= _FEWEST_WORDS or row[_WIDE] > _MANY_WIDE)
        ):
            prose[b], first_prose, last_prose = solid, min(first_prose, b), b
        in_p += solid if tag == _P else 0
        in_items += solid if tag == _LI else 0
        money += row[_MONEY]
    sums = _sums_of_elements(blocks, elements, prose)
    repeats, first = _repeated(text, blocks)
    kinds, kind_sums = _kinds(blocks, elements, first)
    main = 0
    for e in range(len(elements)):
        if 2 * sums[e, PROSE] > sums[0, PROSE]:
            main = e
    before, heading, headings, repeated, at = 0, -1, 0, 0, PLACE
    for b in range(n):
        row, owner, kind = out[b], blocks[b, BLOCK_OWNER], kind_sums[kinds[b]]
        level, row_element, item = _LEVEL_OF[elements[owner, ELEMENT_TAG]], blocks[b, BLOCK_ROW], blocks[b, BLOCK_ITEM]
        if level >= 1 and level <= 3:
            heading = b
        headings += level > 0
        repeated += repeats[b] > 1
        row[at], row[at + 1], row[at + 2] = blocks[b, BLOCK_DEPTH], b * 1000 // n, _share(before, sums[0, BYTES])
        before += blocks[b, SOLID_BYTES]
        row[at + 3], row[at + 4], row[at + 5] = (
            _at_most(repeats[b]),
            _at_most(blocks[b, BREAKS]),
            blocks[b, VERBATIM_TEXT],
        )
        row[at + 6], row[at + 7], row[at + 8] = row_element >= 0, blocks[b, BLOCK_CELL] >= 0, item >= 0
        row[at + 9], row[at + 10] = blocks[b, BLOCK_HIDDEN], min(b - heading, _FAR_OFF) if heading >= 0 else _FAR_OFF
        row[at + 11], row[at + 12] = _at_most(elements[owner, IMAGES]), _at_most(elements[owner, CONTROLS])
        row[at + 13] = _at_most(sums[row_element, BLOCKS]) if row_element >= 0 else 0
        row[at + 14] = _at_most(sums[item, BLOCKS]) if item >= 0 else 0
        row[at + 15] = _at_most(sums[item, BYTES]) if item >= 0 else 0
        row[at + 16], row[at + 17] = _at_most(kind[0]), _at_most(kind[1] // kind[0])
        row[at + 18], row[at + 19] = _share(kind[2], kind[1]), _share(kind[3], kind[0])
        row[at + 20] = min(max(first_prose - b, -_FAR_OFF), _FAR_OFF)
        row[at + 21], row[at + 24] = min(max(b - last_prose, -_FAR_OFF), _FAR_OFF), level
        _look_around(owner, elements, words, sums, main, row)
    whole, at = np.zeros(16, np.int64), PAGE
    whole[0], whole[1], whole[2] = n, sums[0, BYTES] // 10, _share(sums[0, LINKS], sums[0, BYTES])
    whole[3], whole[4] = _share(in_p, sums[0, BYTES]), _share(in_items, sums[0, BYTES])
    whole[5], whole[6], whole[7] = _share(sums[0, PROSE], sums[0, BYTES]), counts[TAGS], counts[FORMS]
    whole[8], whole[9], whole[10], whole[11] = counts[INPUTS], counts[PICTURES], counts[PROGRAMS], counts[DEEP]
    whole[12], whole[13], whole[14] = money, _share(repeated, n), np.sort(out[:, _CHARACTERS])[n // 2]
    whole[15] = headings
    for b in range(n):
        for k in range(16):
            out[b, at + k] = _at_most(whole[k])
        _spread(page_words, out[b], SAYS)
        _look_beside(out, b, kinds)
    return out
