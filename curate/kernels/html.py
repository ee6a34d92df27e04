"""The source of a web page, read once: what a parser would take long for, and where its text may need help.

This follows the tokenizer of the HTML standard as far as tags, attributes, comments and raw text go. Where the
standard needs the tree, as in SVG and MathML, it takes text for markup rather than markup for text: what it finds is
then too much, and never too little.

A *line* is what stands between two borders of block-level elements. A *candidate* is an inline element whose tag,
class or other attribute may be among those for which an extractor leaves elements out.
"""

import numpy as np

from curate.kernels import device, kernel

TAGS, NESTS, OPTIONS, ATTRIBUTES, COST, DEEPEST, LISTS, SCRIPTS, FORMULAS = range(9)
"""What `scan` counts: tags; `div` and `article`; `option`; most attributes of a tag; characters, each as often as
elements are open around it; most elements that are open; `ul`; `sup` and `sub`; parts of formulas."""

_SETS = {
    "block": """address article aside blockquote body br caption center dd details dialog dir div dl dt fieldset
        figcaption figure footer form frameset h1 h2 h3 h4 h5 h6 header hgroup hr html legend li main menu nav ol
        optgroup option p pre search section summary table tbody td tfoot th thead tr ul""",
    "box": "address article aside body center div fieldset footer form header main nav section",
    "rows": "table tbody tfoot thead tr",
    "cell": "td th",
    "raw": "iframe noembed noframes plaintext script style textarea title xmp",
    "flat": """area base basefont body bgsound br col colgroup dd dt embed frame head hr html image img input keygen
        li link meta optgroup option p param rb rp rt rtc source tbody td tfoot th thead tr track wbr""",
    "unseen": """area audio base button canvas col colgroup embed frame head iframe img input label link meta noscript
        object param script select source style svg template textarea title track video wbr""",
    "judged": "time",
    "script": "sub sup",
    "formula": "math mjx-container",
    "foreign": "math svg",
    "nests": "article div",
    "option": "option",
    "list": "ul",
    "link": "a",
    "pictured": "img span",
    "program": "script",
    "empty": "br hr",
}
_ATTRIBUTES = "class id rel itemprop aria-hidden aria-expanded data-ad data-advertisement data-text-ad href type"
_RULED_VALUES = "author icon search prev next tag datepublished url true false"
_NAMES = """
_ad_ _advert _google _wide _sponsor _promoted _paid _banner _donate _share _sharing _social _syndication _newsletter
_follow _aptf _email _like _feedback _givefeedback _engagement _brand_engagement _facebook _twitter _subscribe _wa _jp
_login _log_in _signin _sign_in _signup _sign_up _account _user_info _user_profile _user_settings _user_actions
logo spinner _short_view _skip _scroll _next _prev _permalink _pagination
linkskip link_skip linkscroll link_scroll linknext link_next linkprev link_prev linkpermalink link_permalink
linkpagination link_pagination
"""
_FORMULAS = "katex math mjx _tex_"


def _hash(name: str) -> int:
    value = 0
    for character in name.encode():
        value = (value * 31 + character) % 2**64
    return value


def _table(values: dict[str, int], size: int) -> tuple[np.ndarray, np.ndarray]:
    """An open-addressed table from the hashes of names."""
    keys, found = np.zeros(size, np.uint64), np.zeros(size, np.int64)
    for name, value in values.items():
        slot = _hash(name) % size
        while keys[slot]:
            slot = (slot + 1) % size
        keys[slot], found[slot] = _hash(name), value
    return keys, found


_BITS = {name: 1 << i for i, name in enumerate(_SETS)}
_FLAGS: dict[str, int] = {}
for _set, _names in _SETS.items():
    for _name in _names.split():
        _FLAGS[_name] = _FLAGS.get(_name, 0) | _BITS[_set]
_TAG_KEYS, _TAG_FLAGS = _table(_FLAGS, 512)
_BLOCK, _BOX, _ROWS, _CELL, _RAW, _FLAT, _UNSEEN, _JUDGED, _SCRIPT, _FORMULA, _FOREIGN, _NESTS, _OPTION, _LIST = list(
    _BITS.values()
)[:14]
_LINK, _PICTURED, _PROGRAM, _EMPTY = list(_BITS.values())[14:]
_TABLE = np.uint64(_hash("table"))

_CLASS, _ID, _VALUED, _PRESENT, _HREF, _TYPE = range(1, 7)
_KINDS = [_CLASS, _ID, _VALUED, _VALUED, _VALUED, _VALUED, _PRESENT, _PRESENT, _PRESENT, _HREF, _TYPE]
_ATTRIBUTE_KEYS, _ATTRIBUTE_KINDS = _table(dict(zip(_ATTRIBUTES.split(), _KINDS, strict=True)), 64)
_VALUE_KEYS, _VALUE_KINDS = _table(dict.fromkeys(_RULED_VALUES.split(), 1), 64)
_JAVASCRIPT = np.frombuffer(b"javascript:", np.uint8).copy()
_MATH_TYPE = np.frombuffer(b"math/", np.uint8).copy()
_NBSP = np.frombuffer(b"&nbsp", np.uint8).copy()

NAMED, IN_FORMULA = 1, 2
_LETTERS = np.zeros(128, np.int64)  # 1 to 26 are letters, 27 is what parts the words of a class
_LETTERS[ord("a") : ord("z") + 1] = _LETTERS[ord("A") : ord("Z") + 1] = np.arange(1, 27)
_LETTERS[[ord(character) for character in " \t\n\r\f_-"]] = 27


def _automaton(patterns: dict[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """(next state of each state and letter, what has been found on the way there) by Aho and Corasick, 1975."""
    next_, found, fails = [[0] * 28], [0], [0]
    for pattern, bit in patterns.items():
        state = 0
        for letter in (27 if character == "_" else ord(character) - 96 for character in pattern):
            if not next_[state][letter]:
                next_[state][letter] = len(next_)
                next_.append([0] * 28)
                found.append(0)
                fails.append(0)
            state = next_[state][letter]
        found[state] |= bit
    queue = [state for state in next_[0] if state]
    for state in queue:
        found[state] |= found[fails[state]]
        for letter in range(28):
            after = next_[fails[state]][letter]
            if child := next_[state][letter]:
                fails[child] = after
                queue.append(child)
            else:
                next_[state][letter] = after
    return np.array(next_, np.int16), np.array(found, np.int8)


_NEXT, _FOUND = _automaton(dict.fromkeys(_NAMES.split(), NAMED) | dict.fromkeys(_FORMULAS.split(), IN_FORMULA))

_LT, _GT, _SLASH, _EQUALS, _BANG, _QUESTION, _DASH, _AND, _SEMICOLON = (ord(sign) for sign in "<>/=!?-&;")
_QUOTE, _APOSTROPHE, _HASH = ord('"'), ord("'"), ord("#")
_LONGEST_LONE = 70
"""Characters of two references."""
_NAMES_KEPT = 4096
"""Different names of elements that are told from one another, in a page; of others none is ever closed."""


@device
def _space(byte):
    return byte == 0x20 or (byte <= 0x0D and byte >= 0x09 and byte != 0x0B)


@device
def _blank(byte):
    """White space between visible characters, and nothing."""
    return byte == 0x20 or byte == 0 or (byte <= 0x0D and byte >= 0x09)


@device
def _letter(byte):
    return (byte >= 0x61 and byte <= 0x7A) or (byte >= 0x41 and byte <= 0x5A)


@device
def _lower(byte):
    return byte + 0x20 if byte >= 0x41 and byte <= 0x5A else byte


@device
def _look_up(keys, values, key):
    slot = key % np.uint64(len(keys))
    while keys[slot] != 0:
        if keys[slot] == key:
            return values[slot]
        slot = (slot + np.uint64(1)) % np.uint64(len(keys))
    return 0


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
    """What names a class or id holds: NAMED, IN_FORMULA."""
    state, found = _NEXT[0, 27], 0
    for k in range(start, end):
        byte = page[k]
        state = _NEXT[state, _LETTERS[byte] if byte < 128 else 0]
        found |= _FOUND[state]
    return found | _FOUND[_NEXT[state, 27]]


@device
def _is_ruled_value(page, start, end):
    while start < end and _space(page[start]):
        start += 1
    while start < end and _space(page[end - 1]):
        end -= 1
    key = np.uint64(0)
    for k in range(start, end):
        if page[k] == _AND:
            return True
        key = key * np.uint64(31) + np.uint64(_lower(page[k]))
    return _look_up(_VALUE_KEYS, _VALUE_KINDS, key) == 1


@device
def _starts_with(page, start, end, text):
    if end - start < len(text):
        return False
    k = 0
    while k < len(text) and _lower(page[start + k]) == text[k]:
        k += 1
    return k == len(text)


@device
def _has_word(page, i, end):
    """Whether a letter or digit may be in a text; no-break spaces, quotes, dots and dashes are none."""
    while i < end:
        byte = page[i]
        if _letter(byte) or (byte >= 0x30 and byte <= 0x39):
            return True
        if byte == 0xE2 and i + 2 < end and page[i + 1] == 0x80:
            i += 3
        elif byte == 0xC2 and i + 1 < end:
            sign = page[i + 1]
            if not (sign == 0xA0 or sign == 0xAB or sign == 0xB7 or sign == 0xBB):
                return True
            i += 2
        elif byte == _AND and _starts_with(page, i, end, _NBSP):
            i += len(_NBSP)
        elif byte >= 0x80:
            return True
        else:
            i += 1
    return False


@device
def _is_lone(page, start, end):
    """Whether a text is three bytes that end in one from 80 on, or a pilcrow, or may be once it is read."""
    size, first = end - start, page[start]
    if first == _AND or (size > 1 and page[start + 1] == _AND):
        return size <= _LONGEST_LONE and not (size <= 6 and _starts_with(page, start, end, _NBSP))
    if size == 2:
        return first == 0xC2 and page[start + 1] == 0xB6
    private = first == 0xEE or (first == 0xEF and page[start + 1] < 0xA4)
    return size == 3 and page[start + 2] >= 0x80 and not private


@device
def _end_of_comment(page, i):
    """Where the comment that begins at ``i``, with ``<!--``, is over."""
    n = len(page)
    i += 4
    if i < n and page[i] == _GT:
        return i + 1
    if i + 1 < n and page[i] == _DASH and page[i + 1] == _GT:
        return i + 2
    while i + 2 < n:
        if page[i + 2] == _GT and page[i] == _DASH and page[i + 1] == _DASH:
            return i + 3
        if page[i + 2] == _BANG and i + 3 < n and page[i + 3] == _GT and page[i] == _DASH and page[i + 1] == _DASH:
            return i + 4
        i += 1
    return n


@device
def _end_of_raw(page, i, key):
    """Where the end tag of a raw text begins."""
    n = len(page)
    while i + 1 < n:
        if page[i] == _LT and page[i + 1] == _SLASH:
            k, found = i + 2, np.uint64(0)
            while k < n and not (_space(page[k]) or page[k] == _SLASH or page[k] == _GT or page[k] == _LT):
                found = found * np.uint64(31) + np.uint64(_lower(page[k]))
                k += 1
            if found == key and k < n and page[k] != _LT:
                return i
            i = k
        else:
            i += 1
    return n


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
    depth, inline, foreign, last, i = 0, 0, 0, 0, 0
    while i < n:
        start = i
        while i < n:
            if page[i] == _LT and i + 1 < n:
                byte = page[i + 1]
                if _letter(byte) or byte in (_SLASH, _BANG, _QUESTION):
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

        closing = page[i + 1] == _SLASH
        j = i + 2 if closing else i + 1
        if not closing and page[j] == _BANG and i + 3 < n and page[i + 2] == _DASH and page[i + 3] == _DASH:
            i = _end_of_comment(page, i)
            continue
        if j >= n or not _letter(page[j]):
            while j < n and page[j] != _GT:
                j += 1
            i = j + 1
            continue
        key = np.uint64(0)
        while j < n and not (_space(page[j]) or page[j] == _SLASH or page[j] == _GT):
            key = key * np.uint64(31) + np.uint64(_lower(page[j]))
            j += 1
        flags = _look_up(_TAG_KEYS, _TAG_FLAGS, key)
        place, attributes, found, ruled, control_here, in_formula = j, 0, 0, False, False, False
        looked_at = not closing and (flags & (_BLOCK | _UNSEEN) == 0 or flags & (_CELL | _PICTURED | _PROGRAM) != 0)

        closed_itself = False
        while j < n and page[j] != _GT:
            if _space(page[j]) or page[j] == _SLASH:
                closed_itself = page[j] == _SLASH
                j += 1
                continue
            closed_itself = False
            attributes += 1
            name, first = np.uint64(0), j
            while j < n and not (_space(page[j]) or page[j] == _SLASH or page[j] == _GT):
                if page[j] == _EQUALS and j > first:
                    break
                name = name * np.uint64(31) + np.uint64(_lower(page[j]))
                j += 1
            while j < n and _space(page[j]):
                j += 1
            value, value_end = j, j
            if j < n and page[j] == _EQUALS:
                j += 1
                while j < n and _space(page[j]):
                    j += 1
                if j < n and (page[j] == _QUOTE or page[j] == _APOSTROPHE):
                    quote = page[j]
                    j += 1
                    value = j
                    while j < n and page[j] != quote:
                        j += 1
                    value_end = j
                    j += 1
                else:
                    value = j
                    while j < n and not (_space(page[j]) or page[j] == _GT):
                        j += 1
                    value_end = j
            if looked_at:
                kind = _look_up(_ATTRIBUTE_KEYS, _ATTRIBUTE_KINDS, name)
                if kind in (_CLASS, _ID):
                    found |= _found_in(page, value, value_end)
                elif kind == _VALUED:
                    ruled |= _is_ruled_value(page, value, value_end)
                elif kind == _PRESENT:
                    ruled = True
                elif kind == _HREF and flags & _LINK:
                    only = value_end - value == 1 and page[value] == _HASH
                    control_here |= only or _starts_with(page, value, value_end, _JAVASCRIPT)
                elif kind == _TYPE and flags & _PROGRAM:
                    in_formula |= _starts_with(page, value, value_end, _MATH_TYPE)
        if j >= n:
            break  # a tag without an end is none

        total[TAGS] += 1
        total[ATTRIBUTES] = max(total[ATTRIBUTES], attributes)
        total[COST] += depth * (i - last)
        last, i = i, j + 1
        if not closing:
            total[NESTS] += flags & _NESTS != 0
            total[OPTIONS] += flags & _OPTION != 0
            total[LISTS] += flags & _LIST != 0
            total[SCRIPTS] += flags & _SCRIPT != 0
            total[FORMULAS] += (
                in_formula or flags & _FORMULA != 0 or (flags & _PICTURED != 0 and found & IN_FORMULA != 0)
            )
        if flags & (_FLAT | _RAW) == 0:
            change = 0
            if closing:
                change = -int(_opened(names, counts, key, -1))
            elif not (closed_itself and foreign):
                _opened(names, counts, key, 1)
                change = 1
            depth += change
            total[DEEPEST] = max(total[DEEPEST], depth)
            if flags & (_BLOCK | _FOREIGN) == 0 and not foreign:
                inline += change
        if flags & _FOREIGN and not closed_itself:
            foreign = max(0, foreign + (-1 if closing else 1))
        if flags & _RAW and not closing and not foreign:
            i = _end_of_raw(page, i, key)
            continue

        if flags & _BLOCK:
            many = soft > 0 and kept - line > 1
            if not (words or open_key or script or in_rows or many or (control and in_box) or inline > 0):
                kept = line
            line, words, control, script, soft = kept, inline > 0, False, False, 0
            in_box, open_key = closing or flags & _BOX != 0 or (in_box and flags & _EMPTY != 0), np.uint64(0)
            in_rows = flags & _ROWS != 0 or (closing and flags & _CELL != 0) or (in_rows and flags & _CELL == 0)
            if closing and flags & _ROWS and key == _TABLE:
                in_rows = False
            if flags & _CELL and (ruled or found & NAMED):
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
        judged = ruled or control_here or found & NAMED or flags & (_JUDGED | _SCRIPT)
        if judged and looked_at and flags & (_UNSEEN | _CELL) == 0:
            if open_key == 0:
                open_key, open_depth, empty, before = key, 1, True, (kept, control, script, soft)
            places[kept] = place
            kept += 1
            control |= control_here
            script |= flags & (_SCRIPT | _JUDGED) != 0  # a date may say something on a line of its own
            soft += not (ruled or control_here or flags & _JUDGED)
    total[COST] += depth * (n - last)
    return total, places[:kept].copy(), lone[:lonely].copy()
