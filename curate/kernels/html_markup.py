"""Read the bytes of markup: names of tags, attributes, where comments and scripts end."""

import numpy as np

from curate.kernels import device
from curate.kernels.html_names import AMP_REF, BASIS, CDATA, GT_REF, LT_REF, PLAINTEXT, PRIME, QUOT_REF, SCRIPT_KEY

LT, GT, SLASH, EQUALS, BANG, QUESTION, DASH, AND = (ord(sign) for sign in "<>/=!?-&")
QUOTE, APOSTROPHE, HASH, BRACKET = ord('"'), ord("'"), ord("#"), ord("]")


@device
def is_space(byte):
    return byte == 0x20 or (byte <= 0x0D and byte >= 0x09 and byte != 0x0B)


@device
def is_letter(byte):
    return (byte >= 0x61 and byte <= 0x7A) or (byte >= 0x41 and byte <= 0x5A)


@device
def lower(byte):
    return byte + 0x20 if byte >= 0x41 and byte <= 0x5A else byte


@device
def hashed(key, byte):
    return (key ^ np.uint64(lower(byte))) * PRIME


@device
def look_up(keys, values, key):
    """What `html_names.table` has for a key, or 0."""
    slot = key % np.uint64(len(keys))
    while keys[slot] != 0:
        if keys[slot] == key:
            return values[slot]
        slot = (slot + np.uint64(1)) % np.uint64(len(keys))
    return 0


@device
def read_tag_name(page, j):
    """(hash of the name that begins at ``j``, where it ends)."""
    n, key = len(page), BASIS
    while j < n and not (is_space(page[j]) or page[j] == SLASH or page[j] == GT):
        key = hashed(key, page[j])
        j += 1
    return key, j


@device
def read_attribute(page, j):
    """(hash of the name of the attribute that begins at ``j``, start and end of its value, where it is over)."""
    n, name, first = len(page), BASIS, j
    while j < n and not (is_space(page[j]) or page[j] == SLASH or page[j] == GT):
        if page[j] == EQUALS and j > first:
            break
        name = hashed(name, page[j])
        j += 1
    while j < n and is_space(page[j]):
        j += 1
    value, value_end = j, j
    if j < n and page[j] == EQUALS:
        j += 1
        while j < n and is_space(page[j]):
            j += 1
        if j < n and (page[j] == QUOTE or page[j] == APOSTROPHE):
            quote = page[j]
            j += 1
            value = j
            while j < n and page[j] != quote:
                j += 1
            value_end = j
            j += 1
        else:
            value = j
            while j < n and not (is_space(page[j]) or page[j] == GT):
                j += 1
            value_end = j
    return name, value, value_end, j


@device
def starts_with(page, start, end, text):
    if end - start < len(text):
        return False
    k = 0
    while k < len(text) and page[start + k] == text[k]:
        k += 1
    return k == len(text)


@device
def may_start_with(page, start, end, text):
    """In any case, and before references are read."""
    k = 0
    while k < len(text) and start + k < end and lower(page[start + k]) == text[k]:
        k += 1
    return k == len(text) or (start + k < end and page[start + k] == AND)


@device
def is_unread(page, k, end):
    """Whether an ampersand may begin the reference of a letter, or of white space."""
    if k + 1 >= end or not (page[k + 1] == HASH or is_letter(page[k + 1])):
        return False
    return not (
        starts_with(page, k, end, AMP_REF)
        or starts_with(page, k, end, GT_REF)
        or starts_with(page, k, end, LT_REF)
        or starts_with(page, k, end, QUOT_REF)
    )


@device
def end_of_comment(page, i):
    """Where the comment that begins at ``i``, with ``<!--``, is over."""
    n = len(page)
    i += 4
    if i < n and page[i] == GT:
        return i + 1
    if i + 1 < n and page[i] == DASH and page[i + 1] == GT:
        return i + 2
    while i + 2 < n:
        if page[i + 2] == GT and page[i] == DASH and page[i + 1] == DASH:
            return i + 3
        if page[i + 2] == BANG and i + 3 < n and page[i + 3] == GT and page[i] == DASH and page[i + 1] == DASH:
            return i + 4
        i += 1
    return n


@device
def end_of_raw(page, i, key):
    """Where the end tag of a raw text begins: in a comment of a script, not that of a script therein."""
    n = len(page)
    if key == PLAINTEXT:
        return n
    comment, inner = False, False
    while i + 1 < n:
        byte, following = page[i], page[i + 1]
        if byte == DASH and comment and following == DASH and i + 2 < n and page[i + 2] == GT:
            comment, inner = False, False
        if byte == LT and (following == SLASH or (comment and not inner and is_letter(following))):
            closing = following == SLASH
            k, found = i + 1 + closing, BASIS
            while k < n and is_letter(page[k]):
                found = hashed(found, page[k])
                k += 1
            if found == key and k < n and (is_space(page[k]) or page[k] == SLASH or page[k] == GT):
                if closing and not inner:
                    return i
                inner = not closing
            i = k
            continue
        if byte == LT and following == BANG and key == SCRIPT_KEY and i + 3 < n:
            comment |= page[i + 2] == DASH and page[i + 3] == DASH
            i += 1
        i += 1
    return n


@device
def end_of_cdata(page, i):
    n = len(page)
    i += len(CDATA)
    while i + 2 < n:
        if page[i + 2] == GT and page[i] == BRACKET and page[i + 1] == BRACKET:
            return i + 3
        i += 1
    return n
