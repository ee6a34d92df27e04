"""fastText's inference: from a text to its words, their mean vector, and softmax.

The rules are those of ``src/dictionary.cc`` and ``src/loss.cc`` of facebookresearch/fastText, oddities
included, because weights were trained against them. A text is one line: a newline is a space like the
other white space (space, tab, ``\\n``, ``\\v``, ``\\f``, ``\\r``, NUL), and ``</s>`` ends the text.
"""

from typing import NamedTuple

import numpy as np

from curate.kernels import device, kernel

FNV32_BASIS, FNV32_PRIME = np.uint32(2166136261), np.uint32(16777619)
FNV64_BASIS, FNV64_PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)
NGRAM_PRIME = np.uint64(116049371)
EOS_HASH, EOS_KEY = np.uint32(0xD79C9359), np.uint64(0x7BD4011AD427EA99)  # of "</s>"
LABEL_PREFIX = np.frombuffer(b"__label__", np.uint8)  # model files do not hold it: fastText's own default
MEMO_SLOTS, CHUNK = 1 << 15, 256
MOST_PROBES = 512


class Tokens(NamedTuple):
    """Texts cut into words, for any number of models. A word that returns is most often the same entry."""

    entries: np.ndarray  # int32[tokens], which word each token is
    offsets: np.ndarray  # int64[docs + 1], tokens of each text; the last one is its </s>
    keys: np.ndarray  # uint64[words], as `hash_words` makes them
    hashes: np.ndarray  # uint32[words], fastText's own hash
    starts: np.ndarray  # int64[words], where in the data the word is
    ends: np.ndarray


class Features(NamedTuple):
    """How words become rows of a model's input matrix."""

    keys: np.ndarray  # uint64[words + labels], `hash_words` of the dictionary, words first
    slots: np.ndarray  # int32[power of two], `index_keys` of those
    n_words: int
    rows: np.ndarray  # float32[words + n-grams, dim]
    prune: np.ndarray  # int32[bucket], row of each n-gram bucket or -1; empty: all are kept, after the words
    kept: np.ndarray  # uint64[ceil(bucket / 64)], `pack_kept` of that, which fits a processor's cache
    bucket: int  # number of n-gram buckets, 0 if n-grams are not used
    minn: int  # shortest and longest character n-gram; maxn 0: none
    maxn: int
    word_ngrams: int  # longest word n-gram


@device
def _fnv32(h, byte):
    """fastText's step: the byte is sign-extended, unlike in true FNV-1a."""
    return np.uint32((h ^ np.uint32(np.int8(byte))) * FNV32_PRIME)


@device
def _fnv64(h, byte):
    return (h ^ np.uint64(byte)) * FNV64_PRIME


@device
def _is_space(byte):
    return byte <= 32 and (byte == 32 or 9 <= byte <= 13 or byte == 0)


@device
def _slot(key, mask):
    return np.int64((key ^ (key >> np.uint64(32))) >> np.uint64(1)) & mask


@kernel
def read_entries(data, position, entries):
    """Find the entries of a model file's dictionary: word, zero byte, int64 count, int8 kind (1: a label).

    Returns (starts and ends of the words, int64[entries] each; kinds, uint8[entries]; position after the last
    entry, or -1 if ``data`` ends before).
    """
    starts, ends = np.empty(entries, np.int64), np.empty(entries, np.int64)
    kinds = np.empty(entries, np.uint8)
    for i in range(entries):
        starts[i] = position
        while position < len(data) and data[position] != 0:
            position += 1
        ends[i] = position
        position += 10
        if position > len(data):
            return starts, ends, kinds, -1
        kinds[i] = data[position - 1]
    return starts, ends, kinds, position


@kernel
def hash_words(data, starts, ends):
    """The key of each word ``data[starts[i]:ends[i]]``: uint64[words], 64-bit FNV-1a made odd.

    Keys stand for words: of a million in the dictionary, one in 10**13 other words is taken for one.
    """
    keys = np.empty(len(starts), np.uint64)
    for i in range(len(starts)):
        key = FNV64_BASIS
        for position in range(starts[i], ends[i]):
            key = _fnv64(key, data[position])
        keys[i] = key | np.uint64(1)
    return keys


@kernel
def index_keys(keys):
    """An open-addressing table of places in ``keys``: int32[power of two], half full at most, -1 if free.

    Empty where more than ``MOST_PROBES`` keys meet in one run of slots, as those of no real dictionary do.
    """
    size = 2
    while size < 2 * len(keys):
        size *= 2
    slots = np.full(size, -1, np.int32)
    for i in range(len(keys)):
        slot, probes = _slot(keys[i], size - 1), 0
        while slots[slot] >= 0:
            slot = (slot + 1) & (size - 1)
            probes += 1
            if probes > MOST_PROBES:
                return slots[:0].copy()
        slots[slot] = i
    return slots


@kernel
def pack_kept(prune, bucket):
    """One bit for each n-gram bucket, set where it has a row: uint64[ceil(bucket / 64)]."""
    kept = np.zeros((bucket + 63) // 64, np.uint64)
    for place in range(bucket):
        if len(prune) == 0 or prune[place] >= 0:
            kept[place >> 6] |= np.uint64(1) << np.uint64(place & 63)
    return kept


@kernel
def tokenize(data, offsets):
    """Cut texts into words as fastText does: ``Tokens``."""
    docs = len(offsets) - 1
    most = (offsets[docs] - offsets[0]) // 2 + 2 * docs
    entries, token_offsets = np.empty(most, np.int32), np.zeros(docs + 1, np.int64)
    keys, hashes = np.empty(most + 1, np.uint64), np.empty(most + 1, np.uint32)
    starts, ends = np.empty(most + 1, np.int64), np.empty(most + 1, np.int64)
    memo = np.zeros(MEMO_SLOTS, np.int32)  # the last entry with such a key
    keys[0], hashes[0], starts[0], ends[0] = EOS_KEY, EOS_HASH, 0, 0
    tokens, words = 0, 1
    for doc in range(docs):
        position, end = offsets[doc], offsets[doc + 1]
        while True:
            while position < end and _is_space(data[position]):
                position += 1
            if position == end:
                break
            start, h, key = position, FNV32_BASIS, FNV64_BASIS
            while position < end and not _is_space(data[position]):
                h, key = _fnv32(h, data[position]), _fnv64(key, data[position])
                position += 1
            key |= np.uint64(1)
            if key == EOS_KEY:
                break
            slot = _slot(key, MEMO_SLOTS - 1)
            if keys[memo[slot]] != key:
                memo[slot] = words
                keys[words], hashes[words], starts[words], ends[words] = key, h, start, position
                words += 1
            entries[tokens] = memo[slot]
            tokens += 1
        entries[tokens] = 0
        tokens += 1
        token_offsets[doc + 1] = tokens
    return Tokens(entries[:tokens], token_offsets, keys[:words], hashes[:words], starts[:words], ends[:words])


@device
def _find(keys, slots, key):
    """Position of a key in the dictionary, or -1."""
    mask = len(slots) - 1
    slot = _slot(key, mask)
    while slots[slot] >= 0 and keys[slots[slot]] != key:
        slot = (slot + 1) & mask
    return np.int64(slots[slot])


@device
def _is_label(data, start, end):
    """Whether fastText takes an unknown word for a label."""
    if end - start < len(LABEL_PREFIX):
        return False
    for k in range(len(LABEL_PREFIX)):  # noqa: SIM110 - no generators in a kernel
        if data[start + k] != LABEL_PREFIX[k]:
            return False
    return True


@device
def _is_kept(kept, place):
    return np.int64((kept[place >> 6] >> np.uint64(place & 63)) & np.uint64(1))


@device
def _add_ngrams(total, rows, prune, n_words, places, n):
    """Add the rows of the first ``n`` of these buckets, four in one go: fewer round trips through memory."""
    for i in range(n):
        places[i] = prune[places[i]] if len(prune) else n_words + places[i]
    fours = n // 4 * 4
    for i in range(0, fours, 4):
        a, b, c, d = places[i], places[i + 1], places[i + 2], places[i + 3]
        for k in range(len(total)):
            total[k] += (np.float64(rows[a, k]) + rows[b, k]) + (np.float64(rows[c, k]) + rows[d, k])
    for i in range(fours, n):
        for k in range(len(total)):
            total[k] += rows[places[i], k]


@kernel
def sum_words(data, tokens, features):
    """Sum of the rows of each word and its character n-grams.

    Returns (float32[words, dim], int32[words] number of rows, -1 for what fastText takes for a label).
    """
    keys, slots, n_words, rows, prune, kept, bucket, minn, maxn, _ = features
    words, dim = len(tokens.keys), rows.shape[1]
    sums, counts = np.zeros((words, dim), np.float32), np.zeros(words, np.int32)
    total = np.empty(dim)
    room = 0
    for i in range(words):
        room = max(room, tokens.ends[i] - tokens.starts[i])
    word = np.empty(room + 3, np.uint8)
    places = np.empty(CHUNK + max(maxn, 1), np.int64)
    for i in range(words):
        key, start, end = tokens.keys[i], tokens.starts[i], tokens.ends[i]
        found = _find(keys, slots, key)
        if found >= n_words or (found < 0 and _is_label(data, start, end)):
            counts[i] = -1
            continue
        total[:] = 0
        if found >= 0:
            for k in range(dim):
                total[k] = rows[found, k]
            counts[i] = 1
        length = 0
        if bucket > 0 and maxn > 0 and key != EOS_KEY:
            length = end - start + 2
            word[0], word[length - 1], word[length] = 60, 62, 0  # "<", ">", and what continues no character
            for k in range(start, end):
                word[k - start + 1] = data[k]
        n = 0
        for first in range(length):
            if word[first] & 0xC0 == 0x80:
                continue  # not the first byte of a character
            h, position = FNV32_BASIS, first
            for characters in range(1, maxn + 1):
                h = _fnv32(h, word[position])
                position += 1
                while word[position] & 0xC0 == 0x80:
                    h = _fnv32(h, word[position])
                    position += 1
                if characters >= minn and (characters > 1 or 0 < first < length - 1):
                    places[n] = np.uint64(h) % np.uint64(bucket)
                    n += _is_kept(kept, places[n])
                if position == length:
                    break
            if n >= CHUNK or first == length - 1:
                _add_ngrams(total, rows, prune, n_words, places, n)
                counts[i] += n
                n = 0
        for k in range(dim):
            sums[i, k] = total[k]
    return sums, counts


@kernel
def embed(tokens, sums, counts, features):
    """Mean of the input rows of each text, from what ``sum_words`` gave and the word n-grams.

    Returns (float64[docs, dim], int64[docs] number of rows; 0, and a mean of zeros, for a text without any).
    """
    _, _, n_words, rows, prune, kept, bucket, _, _, word_ngrams = features
    docs, dim = len(tokens.offsets) - 1, rows.shape[1]
    means, n_rows = np.zeros((docs, dim)), np.zeros(docs, np.int64)
    total = np.empty(dim)
    longest = max(word_ngrams, 1) - 1 if bucket > 0 else 0
    chains = np.zeros(longest + 1, np.uint64)  # hashes of the n-grams that end at the last word
    places = np.empty(CHUNK + longest, np.int64)
    for doc in range(docs):
        total[:] = 0
        count = n = n_chains = 0
        for i in range(tokens.offsets[doc], tokens.offsets[doc + 1]):
            entry = tokens.entries[i]
            if counts[entry] < 0:
                continue
            for k in range(dim):
                total[k] += sums[entry, k]
            count += counts[entry]
            word = np.uint64(np.int64(np.int32(tokens.hashes[entry])))  # sign-extended, as fastText does
            j = n_chains
            while j > 0:
                chains[j] = chains[j - 1] * NGRAM_PRIME + word
                places[n] = chains[j] % np.uint64(bucket)
                n += _is_kept(kept, places[n])
                j -= 1
            chains[0] = word
            n_chains = min(n_chains + 1, longest)
            if n >= CHUNK:
                _add_ngrams(total, rows, prune, n_words, places, n)
                count, n = count + n, 0
        _add_ngrams(total, rows, prune, n_words, places, n)
        n_rows[doc] = count + n
        for k in range(dim):
            means[doc, k] = total[k] / max(n_rows[doc], 1)
    return means, n_rows


@kernel
def project(rows, direction):
    """``rows @ direction`` in double precision and a fixed order: float32[rows]."""
    result = np.empty(len(rows), np.float32)
    for i in range(len(rows)):
        total = 0.0
        for k in range(len(direction)):
            total += rows[i, k] * direction[k]
        result[i] = total
    return result


@device
def _multiply(mean, output, logits):
    """Set ``logits`` to ``mean @ output``."""
    logits[:] = 0
    for k in range(len(mean)):
        for label in range(len(logits)):
            logits[label] += mean[k] * output[k, label]


@kernel
def softmax(means, output):
    """Probability of each label, from the transposed output matrix: float32[docs, labels].

    fastText adds 1e-5 to a probability before it takes the logarithm that it reports.
    """
    labels = output.shape[1]
    result, logits = np.empty((len(means), labels), np.float32), np.empty(labels)
    for doc in range(len(means)):
        _multiply(means[doc], output, logits)
        highest, total = logits.max(), 0.0
        for label in range(labels):
            logits[label] = np.exp(logits[label] - highest)
            total += logits[label]
        for label in range(labels):
            result[doc, label] = min(logits[label] / total + 1e-5, 1.0)
    return result


@kernel
def hierarchical_softmax(means, output, children):
    """Probability of each label, from the transposed output matrix and a Huffman tree: float32[docs, labels].

    ``children``, int32[2 labels - 1, 2], are those of each node: first the labels, which have none, then the
    inner nodes, whose weights are the columns of ``output``, each after its children and the root last.
    fastText adds 1e-5 to the probability of each step down the tree.
    """
    labels = output.shape[1]
    result = np.empty((len(means), labels), np.float32)
    logits, reach = np.empty(labels), np.empty(len(children))
    for doc in range(len(means)):
        _multiply(means[doc], output, logits)
        reach[-1] = 1
        for node in range(len(children) - 1, labels - 1, -1):
            right = 1 / (1 + np.exp(-logits[node - labels]))
            reach[children[node, 0]] = reach[node] * (1 - right + 1e-5)
            reach[children[node, 1]] = reach[node] * (right + 1e-5)
        for label in range(labels):
            result[doc, label] = min(reach[label], 1.0)
    return result
