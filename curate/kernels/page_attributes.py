"""Read the attributes of a tag, and what JSON-LD says a page is."""

import numpy as np

from curate.kernels import device
from curate.kernels.html_markup import GT, SLASH, hashed, is_space, look_up, lower, read_attribute
from curate.kernels.html_names import BASIS, LETTERS
from curate.kernels.page_names import (
    ATTRIBUTE,
    ATTRIBUTE_KEYS,
    ATTRIBUTE_NUMBERS,
    KEY_OF,
    NEAR_FOUND,
    NEAR_NEXT,
    PAGE_FOUND,
    PAGE_NEXT,
    TAG,
    bytes_of,
)

WORDS, SIGNATURE, FLAGS, PAGE_WORDS_FOUND, FOUND = range(5)
"""What is found in a tag: bits of `NEAR_WORDS`; a hash of its class; see LINKED; bits of `PAGE_WORDS`."""
LINKED, HIDDEN, CLOSED, DATA, TEX = 1, 2, 4, 8, 16
"""Whether it has `href`; is hidden; closes itself; is JSON-LD; a formula."""

_CLASS, _ID, _ROLE, _ITEMPROP, _HREF, _HIDDEN = (
    ATTRIBUTE[name] for name in ("class", "id", "role", "itemprop", "href", "hidden")
)
_STYLE, _TYPE, _PROPERTY, _NAME, _CONTENT, _ITEMTYPE = (
    ATTRIBUTE[name] for name in ("style", "type", "property", "name", "content", "itemtype")
)
_BODY, _HTML, _META = TAG["body"], TAG["html"], KEY_OF["meta"]
_KINDS = np.array([KEY_OF[name] for name in ("og:type", "generator", "application-name")], np.uint64)
_NONE, _INVISIBLE, _JSON_LD, _MATH, _TYPE_KEY = (
    bytes_of(name) for name in ("display:none", "visibility:hidden", "ld+json", "math/", "@type")
)
_LONGEST_KIND = 100
"""Bytes of a value that says what a page is."""


@device
def _words_in(page, start, end, following, found):
    """Bits of the words that stand between two places, in any case."""
    state, bits = following[0, 27], np.uint64(0)
    for k in range(start, end):
        byte = page[k]
        state = following[state, LETTERS[byte] if byte < 128 else 0]
        bits |= found[state]
    return bits | found[following[state, 27]]


@device
def _holds(page, start, end, text):
    """Whether a value holds a text in any case, white space aside."""
    for first in range(start, end - len(text) + 1):
        k, at = first, 0
        while k < end and at < len(text):
            if lower(page[k]) == text[at]:
                at += 1
            elif at == 0 or not is_space(page[k]):
                break
            k += 1
        if at == len(text):
            return True
    return False


@device
def _key_of(page, start, end):
    key = BASIS
    for k in range(start, end):
        key = hashed(key, page[k])
    return key


@device
def _note(page, start, end, kind, found):
    """Note what one attribute says of its element."""
    if kind in (_CLASS, _ID, _ROLE, _ITEMPROP):
        found[WORDS] |= _words_in(page, start, end, NEAR_NEXT, NEAR_FOUND)
        if kind == _CLASS:
            found[SIGNATURE] = _key_of(page, start, end)
    elif kind == _HREF:
        found[FLAGS] |= np.uint64(LINKED)
    elif kind == _HIDDEN:
        found[FLAGS] |= np.uint64(HIDDEN)
    elif kind == _STYLE:
        if _holds(page, start, end, _NONE) or _holds(page, start, end, _INVISIBLE):
            found[FLAGS] |= np.uint64(HIDDEN)
    elif kind == _TYPE:
        if _holds(page, start, end, _JSON_LD):
            found[FLAGS] |= np.uint64(DATA)
        elif _holds(page, start, end, _MATH):
            found[FLAGS] |= np.uint64(TEX)


@device
def read_attributes(page, j, n, tag, key, found):
    """Read the attributes of a start tag from `j` on. Gives where its `>` is, or `n`.

    found  uint64 of shape (FOUND,), set to what is found
    """
    for k in range(FOUND):
        found[k] = 0
    content, content_end, says_kind, closed = 0, 0, False, False
    while j < n and page[j] != GT:
        if is_space(page[j]) or page[j] == SLASH:
            closed = page[j] == SLASH
            j += 1
            continue
        closed = False
        name, start, end, j = read_attribute(page, j)
        kind = look_up(ATTRIBUTE_KEYS, ATTRIBUTE_NUMBERS, name)
        if kind == 0:
            continue
        if key == _META:
            if kind == _CONTENT:
                content, content_end = start, min(end, start + _LONGEST_KIND)
            elif kind in (_PROPERTY, _NAME):
                value = _key_of(page, start, end)
                says_kind = value == _KINDS[0] or value == _KINDS[1] or value == _KINDS[2]
            continue
        _note(page, start, end, kind, found)
        if kind == _ITEMTYPE or (tag in (_BODY, _HTML) and kind in (_CLASS, _ID)):
            found[PAGE_WORDS_FOUND] |= _words_in(page, start, end, PAGE_NEXT, PAGE_FOUND)
    if closed:
        found[FLAGS] |= np.uint64(CLOSED)
    if says_kind:
        found[PAGE_WORDS_FOUND] |= _words_in(page, content, content_end, PAGE_NEXT, PAGE_FOUND)
    return j


@device
def words_of_data(page, start, end):
    """Bits of what JSON-LD says a page is: words behind each `@type`."""
    bits, k = np.uint64(0), start
    while k + len(_TYPE_KEY) < end:
        if page[k] == _TYPE_KEY[0] and _holds(page, k, k + len(_TYPE_KEY), _TYPE_KEY):
            k += len(_TYPE_KEY) + 1
            stop = k
            while stop < end and stop < k + _LONGEST_KIND and page[stop] not in (0x2C, 0x7D):
                stop += 1
            bits |= _words_in(page, k, stop, PAGE_NEXT, PAGE_FOUND)
            k = stop
        k += 1
    return bits
