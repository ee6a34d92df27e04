"""MinHash signatures, interchangeable with datasketch's.

A signature holds, for each of a number of permutations of the 32-bit integers, the least value that the
permutation gives to any shingle of the document (Broder 1997). Two signatures agree in about the share of
places that is the Jaccard similarity of the documents' shingle sets. The permutations are the scheme
`affine32` of datasketch 2.0: ``a * mix32(h) + b`` modulo 2^32 with odd ``a``, where ``h`` is the low half of
the shingle's 64-bit hash.
"""

import numpy as np

from curate.kernels import device, kernel
from curate.kernels.hashing import mix32
from curate.kernels.shingles import WORDS, open_document, read_shingles

_BLOCK = 512
_GROUP = 8


def permutations(num_perm: int, seed: int = 1) -> np.ndarray:
    """Multipliers and summands of ``num_perm`` permutations, uint32[2, num_perm]: those that
    ``datasketch.MinHash(num_perm, seed, scheme="affine32")`` draws."""
    stream = np.random.RandomState(seed)  # NumPy promises never to change its numbers
    a = stream.randint(0, 1 << 31, num_perm, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
    b = stream.randint(0, 1 << 32, num_perm, dtype=np.uint32)
    return np.stack([a, b])


@device
def _lower(signature, a, b, block, count):
    """Lower a signature to the least permuted values of ``block[:count]``.

    Eight hashes a turn, with the loop over permutations inside: it compiles to vector instructions, and each
    load of a, b and the signature serves eight hashes. Repeating the last hash fills the last turn, which
    changes no minimum.
    """
    last = count - 1
    for i in range(0, count, _GROUP):
        h0 = mix32(np.uint32(block[i]))
        h1 = mix32(np.uint32(block[min(i + 1, last)]))
        h2 = mix32(np.uint32(block[min(i + 2, last)]))
        h3 = mix32(np.uint32(block[min(i + 3, last)]))
        h4 = mix32(np.uint32(block[min(i + 4, last)]))
        h5 = mix32(np.uint32(block[min(i + 5, last)]))
        h6 = mix32(np.uint32(block[min(i + 6, last)]))
        h7 = mix32(np.uint32(block[min(i + 7, last)]))
        for p in range(len(signature)):
            x, y = a[p], b[p]
            least = min(np.uint32(x * h0 + y), np.uint32(x * h1 + y))
            least = min(least, min(np.uint32(x * h2 + y), np.uint32(x * h3 + y)))
            least = min(least, min(np.uint32(x * h4 + y), np.uint32(x * h5 + y)))
            least = min(least, min(np.uint32(x * h6 + y), np.uint32(x * h7 + y)))
            signature[p] = min(signature[p], least)


@kernel
def signatures(data, offsets, permutations, n, unit=WORDS, fold=True):
    """MinHash signatures of documents, uint32[docs, num_perm], without an intermediate array.

    ``permutations`` as the function of that name gives them; ``n``, ``unit`` and ``fold`` as in
    `shingles.shingle_hashes`.
    """
    a, b = permutations[0], permutations[1]
    docs = len(offsets) - 1
    out = np.full((docs, len(a)), np.uint32(0xFFFFFFFF), np.uint32)
    state = np.empty(2, np.int64)
    ring = np.empty(n + 1, np.uint64)
    block = np.empty(_BLOCK, np.uint64)
    for doc in range(docs):
        open_document(offsets[doc], state, ring)
        while True:
            count = read_shingles(data, offsets[doc], offsets[doc + 1], unit, fold, state, ring, block)
            if count == 0:
                break
            _lower(out[doc], a, b, block, count)
    return out
