"""Count lines and letters of source files, as The Stack does."""

import numpy as np

from curate.kernels import kernel
from curate.kernels.characters import LETTER, NUMERIC, character_classes
from curate.kernels.words import decode

_NEWLINE = 0x0A


def measure(data: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Longest line (int64), mean line (float64), both in characters, and alphanumeric share (float64, 0 to 1) of texts.

    Lines end at newlines, which do not count for their length; a text without a line has 0. The share is that of all
    characters, as `str.isalnum` knows them.
    """
    return _measure(data, offsets, character_classes())


@kernel
def _measure(data, offsets, classes):
    count = len(offsets) - 1
    longest = np.zeros(count, np.int64)
    mean = np.zeros(count)
    share = np.zeros(count)
    for doc in range(count):
        end = offsets[doc + 1]
        characters, alphanumeric, lines, length = 0, 0, 0, 0
        i = offsets[doc]
        while i < end:
            code, size = decode(data, i, end)
            i += size
            characters += 1
            if code == _NEWLINE:
                lines += 1
                longest[doc] = max(longest[doc], length)
                length = 0
                continue
            length += 1
            if classes[code] & (LETTER | NUMERIC):
                alphanumeric += 1
        newlines = lines
        if length:
            lines += 1
            longest[doc] = max(longest[doc], length)
        if lines:
            mean[doc] = (characters - newlines) / lines
            share[doc] = alphanumeric / characters
    return longest, mean, share
