"""The word of each document with the lowest hash, as its topic: MinHash with one permutation.

Two documents have the same one with a chance equal to the Jaccard similarity of their sets of words (Broder 1997), and
the word says what they have in common.
"""

import numpy as np

from curate.kernels import kernel
from curate.kernels.words import next_word

_ONE, _LAST = np.uint64(1), np.uint64(63)


@kernel
def lowest_words(data, offsets, characters):
    """Where each document has the word of the lowest hash, case-folded, among those of at least so many characters;
    among all of its words if it has none so long.

    Returns (starts int64[docs], stops int64[docs]): the first place of that word; equal where there is no word.
    """
    docs = len(offsets) - 1
    starts = np.empty(docs, np.int64)
    stops = np.empty(docs, np.int64)
    for doc in range(docs):
        end = offsets[doc + 1]
        starts[doc] = stops[doc] = end
        lowest = ~np.uint64(0)
        start, stop, value = next_word(data, offsets[doc], end, True)
        while start < end:
            length = 0
            for i in range(start, stop):
                length += np.int64(data[i]) & 0xC0 != 0x80  # all but continuation bytes
            key = np.uint64(length < characters) << _LAST | value >> _ONE  # any long word is before a short one
            if key < lowest:
                starts[doc], stops[doc], lowest = start, stop, key
            start, stop, value = next_word(data, stop, end, True)
    return starts, stops
