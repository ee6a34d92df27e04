"""Tables of the tags, attributes and classes that `html` looks for."""

import numpy as np

SETS = {
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
    "breakout": """b big blockquote body br center code dd div dl dt em embed h1 h2 h3 h4 h5 h6 head hr i img li listing
        menu meta nobr ol p pre ruby s small span strike strong sub sup table tt u ul var""",
    "html_in_svg": "desc foreignobject",
    "html_in_math": "mi mn mo ms mtext",
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


BASIS, PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)
"""Of FNV-1a, 64 bits. Names are compared by hash alone: one that passes for another must not be found by hand."""


def hash_of(name: str) -> int:
    """FNV-1a, see BASIS."""
    value = int(BASIS)
    for character in name.encode():
        value = (value ^ character) * int(PRIME) % 2**64
    return value


def table(values: dict[str, int], size: int) -> tuple[np.ndarray, np.ndarray]:
    """An open-addressed table from the hashes of names."""
    keys, found = np.zeros(size, np.uint64), np.zeros(size, np.int64)
    for name, value in values.items():
        slot = hash_of(name) % size
        while keys[slot]:
            slot = (slot + 1) % size
        keys[slot], found[slot] = hash_of(name), value
    return keys, found


_BITS = {name: 1 << i for i, name in enumerate(SETS)}
_FLAGS: dict[str, int] = {}
for _set, _names in SETS.items():
    for _name in _names.split():
        _FLAGS[_name] = _FLAGS.get(_name, 0) | _BITS[_set]
TAG_KEYS, TAG_FLAGS = table(_FLAGS, 512)
BLOCK, BOX, ROWS, CELL, RAW, FLAT, UNSEEN, JUDGED, SCRIPT, FORMULA, FOREIGN, NESTING, OPTION, LIST = list(
    _BITS.values()
)[:14]
LINK, PICTURED, PROGRAM, EMPTY, BREAKOUT, HTML_IN_SVG, HTML_IN_MATH = list(_BITS.values())[14:]
TABLE, SCRIPT_KEY, PLAINTEXT = (np.uint64(hash_of(name)) for name in ("table", "script", "plaintext"))

CLASS, ID, VALUED, PRESENT, HREF, TYPE = range(1, 7)
_KINDS = [CLASS, ID, VALUED, VALUED, VALUED, VALUED, PRESENT, PRESENT, PRESENT, HREF, TYPE]
ATTRIBUTE_KEYS, ATTRIBUTE_KINDS = table(dict(zip(_ATTRIBUTES.split(), _KINDS, strict=True)), 64)
VALUE_KEYS, VALUE_KINDS = table(dict.fromkeys(_RULED_VALUES.split(), 1), 64)
JAVASCRIPT = np.frombuffer(b"javascript:", np.uint8).copy()
MATH_TYPE = np.frombuffer(b"math/", np.uint8).copy()
NBSP_REF, AMP_REF, GT_REF, LT_REF, QUOT_REF = (
    np.frombuffer(name, np.uint8).copy() for name in b"&nbsp &amp &gt &lt &quot".split()
)
CDATA = np.frombuffer(b"<![CDATA[", np.uint8).copy()

NAMED, IN_FORMULA = 1, 2
LETTERS = np.zeros(128, np.int64)  # 1 to 26 are letters, 27 is what parts the words of a class
LETTERS[ord("a") : ord("z") + 1] = LETTERS[ord("A") : ord("Z") + 1] = np.arange(1, 27)
LETTERS[[ord(character) for character in " \t\n\r\f_-"]] = 27


def automaton(patterns: dict[str, int]) -> tuple[np.ndarray, np.ndarray]:
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
    return np.array(next_, np.int16), np.array(found, np.uint64)


NEXT, FOUND = automaton(dict.fromkeys(_NAMES.split(), NAMED) | dict.fromkeys(_FORMULAS.split(), IN_FORMULA))
FOUND = FOUND.astype(np.int8)
