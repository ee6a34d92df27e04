"""Read a fastText model file, `.bin` or quantized `.ftz`, without the fastText library.

The format is that of ``FastText::saveModel`` in facebookresearch/fastText, versions 11 and 12, little-endian:
header, arguments, dictionary, input matrix, output matrix. A dense matrix stays on disk, mapped.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from curate.errors import CurateError
from curate.kernels.fasttext import hash_words, read_entries

MAGIC, OLDEST_VERSION, NEWEST_VERSION = 793712314, 11, 12
KINDS = {1: "cbow", 2: "skipgram", 3: "supervised"}
LOSSES = {1: "hs", 2: "ns", 3: "softmax", 4: "ova"}
CENTROIDS = 256
# Far beyond any real model: a damaged file shall not ask for the moon.
MOST_BUCKETS, LONGEST_NGRAM, MOST_OF_A_LABEL = 1 << 27, 64, 10**15


@dataclass(frozen=True)
class Model:
    """A supervised fastText model as its file has it."""

    path: Path
    dim: int
    loss: str  # "softmax", "hs", "ova" or "ns"
    word_ngrams: int  # longest word n-gram
    bucket: int  # n-gram buckets; 0 if words alone count
    minn: int  # shortest and longest character n-gram; maxn 0: none
    maxn: int
    labels: list[str]  # with fastText's prefix, most frequent in training first
    label_counts: np.ndarray  # int64[labels], in the training data
    keys: np.ndarray  # uint64[words + labels], `hash_words` of the dictionary
    prune: np.ndarray  # int32[bucket], row of each n-gram bucket or -1; empty: all are kept, after the words
    input: "np.ndarray | QuantizedMatrix"  # float32[words + n-grams, dim]
    output: np.ndarray  # float32[labels, dim]

    @property
    def n_words(self):
        return len(self.keys) - len(self.labels)

    @property
    def n_rows(self):
        """Rows of the input matrix that a text can reach."""
        if self.bucket == 0:
            return self.n_words
        return int(self.prune.max()) + 1 if len(self.prune) else self.n_words + self.bucket


class QuantizedMatrix:
    """A matrix under product quantization: a slice of it is those rows, as float32.

    A row is a code for every few columns, and perhaps one for its norm.
    """

    def __init__(self, codes, centroids, width, norms=None):
        self.codes = codes  # uint8[rows, ceil(columns / width)]
        self.centroids = centroids  # float32[columns * 256]: for each `width` columns, 256 times their values
        self.width = width
        self.norms = norms  # float32[rows] or None
        self.shape = (len(codes), len(centroids) // CENTROIDS)

    def __getitem__(self, rows):
        codes = self.codes[rows]
        result = np.empty((len(codes), self.shape[1]), np.float32)
        for i, first in enumerate(range(0, self.shape[1], self.width)):
            columns = result[:, first : first + self.width]
            table = self.centroids[first * CENTROIDS : (first + columns.shape[1]) * CENTROIDS]
            columns[:] = table.reshape(CENTROIDS, -1)[codes[:, i]]
        return result if self.norms is None else result * self.norms[rows, None]


def load_model(path):
    """Read a supervised model's header and dictionary; map its matrices.

    Raises CurateError for a file that is missing, damaged, not of fastText, or a model of another kind.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            empty = file.seek(0, 2) == 0
            data = np.empty(0, np.uint8) if empty else np.asarray(np.memmap(file, np.uint8, mode="r"))
    except OSError as error:
        raise CurateError(f"cannot read the fastText model: {error.strerror}", str(path)) from error
    return _Reader(path, data).model()


class _Reader:
    def __init__(self, path, data):
        self.path, self.data, self.position = path, data, 0

    def check(self, holds, what):
        if not holds:
            what = f"damaged fastText model: {what} (at byte {self.position})"
            raise CurateError(what, str(self.path), "fetch or train the model again")

    def array(self, dtype, count):
        """The next ``count`` numbers, which stay in the file."""
        size = np.dtype(dtype).itemsize * count
        self.check(0 <= size <= len(self.data) - self.position, f"{size} more bytes should follow")
        start, self.position = self.position, self.position + size
        return np.frombuffer(self.data, dtype, count, start) if count else np.empty(0, dtype)

    def number(self, dtype="<i4"):
        return int(self.array(dtype, 1)[0])

    def model(self):
        if len(self.data) < 8 or self.number() != MAGIC:
            fix = "use a .bin or .ftz file saved by fastText"
            raise CurateError("not a fastText model", str(self.path), fix)
        version = self.number()
        if not OLDEST_VERSION <= version <= NEWEST_VERSION:
            raise CurateError(f"unknown fastText model version {version}", str(self.path))
        arguments = self.array("<i4", 12).tolist()
        dim, _, _, _, _, word_ngrams, loss, kind, bucket, minn, maxn, _ = arguments
        self.array("<f8", 1)  # sampling threshold
        self.check(kind in KINDS and loss in LOSSES and dim > 0, "arguments out of range")
        if KINDS[kind] != "supervised":
            what = f"a fastText word-vector model ({KINDS[kind]}), not a classifier"
            raise CurateError(what, str(self.path), "use a model trained with `fasttext supervised`")
        if version == OLDEST_VERSION:
            maxn = 0  # supervised models had no character n-grams then
        self.check(0 <= bucket <= MOST_BUCKETS, f"{bucket} buckets")
        self.check(max(word_ngrams, minn, maxn) <= LONGEST_NGRAM, "n-grams out of range")
        if word_ngrams <= 1 and maxn <= 0:
            bucket = 0
        else:
            self.check(bucket > 0, "n-grams without buckets")  # by which the library divides

        labels, label_counts, keys, prune = self.dictionary(bucket)
        quantized = self.number("u1") != 0
        self.check(quantized or prune is None, "a pruned model should be quantized")
        inputs = self.quantized_matrix() if quantized else self.dense_matrix()
        outputs = self.quantized_matrix() if self.number("u1") and quantized else self.dense_matrix()
        self.check(inputs.shape[1] == outputs.shape[1] == dim, f"matrices should be {dim} wide")
        self.check(outputs.shape[0] == len(labels), f"the output should have {len(labels)} rows")
        self.check(self.position == len(self.data), "the file should end")
        if prune is None:
            prune = np.empty(0, np.int32)
        elif not (prune >= 0).any():
            bucket, prune = 0, np.empty(0, np.int32)
        model = Model(
            path=self.path,
            dim=dim,
            loss=LOSSES[loss],
            word_ngrams=word_ngrams,
            bucket=bucket,
            minn=minn,
            maxn=maxn,
            labels=labels,
            label_counts=label_counts,
            keys=keys,
            prune=prune,
            input=inputs,
            output=outputs[:],
        )
        self.check(model.n_rows > 0, "it should have a word or an n-gram")
        self.check(inputs.shape[0] >= model.n_rows, f"the input should have {model.n_rows} rows")
        return model

    def dictionary(self, bucket):
        """(labels, their counts, keys of words and labels, row of each bucket or None if none is pruned)."""
        size, n_words, n_labels = self.array("<i4", 3).tolist()
        _, n_pruned = self.array("<i8", 2).tolist()
        plausible = n_words >= 0 and n_labels > 0 and n_words + n_labels == size <= len(self.data)
        self.check(plausible, f"a dictionary of {size} entries")
        starts, ends, kinds, position = read_entries(self.data, self.position, size)
        self.check(position >= 0, f"{size} dictionary entries should follow")
        self.position = position
        self.check((kinds == (np.arange(size) >= n_words)).all(), "words should come before labels")
        labels, counts = [], []
        for start, end in zip(starts[n_words:], ends[n_words:], strict=True):
            labels.append(bytes(self.data[start:end]).decode(errors="replace"))
            counts.append(int.from_bytes(bytes(self.data[end + 1 : end + 9]), "little"))
        self.check(max(counts) < MOST_OF_A_LABEL, "label counts out of range")
        prune = None
        if n_pruned >= 0:
            buckets, rows = self.array("<i4", 2 * n_pruned).reshape(-1, 2).T
            in_range = (buckets >= 0) & (buckets < bucket) & (rows >= 0) & (rows < n_pruned)
            self.check(in_range.all(), "pruned n-grams out of range")
            prune = np.full(bucket, -1, np.int32)
            prune[buckets] = n_words + rows
        return labels, np.array(counts, np.int64), hash_words(self.data, starts, ends), prune

    def shape(self):
        """Rows and columns of a matrix."""
        rows, columns = self.array("<i8", 2).tolist()
        self.check(0 <= rows < 1 << 32 and 0 < columns < 1 << 31, f"a matrix of {rows} x {columns}")
        return rows, columns

    def dense_matrix(self):
        rows, columns = self.shape()
        return self.array("<f4", rows * columns).reshape(rows, columns)

    def quantized_matrix(self):
        has_norms = self.number("u1") != 0
        rows, columns = self.shape()
        n_codes = self.number()
        codes = self.array("u1", n_codes)
        width, centroids = self.quantizer(columns)
        self.check(n_codes == rows * -(-columns // width), f"{n_codes} codes for {rows} rows")
        norms = None
        if has_norms:
            norm_codes = self.array("u1", rows)
            norms = self.quantizer(1)[1][norm_codes]
        return QuantizedMatrix(codes.reshape(rows, -(-columns // width)), centroids, width, norms)

    def quantizer(self, columns):
        """A product quantizer: (columns coded together, float32[columns * 256] centroids)."""
        dim, n_codes, width, last_width = self.array("<i4", 4).tolist()
        fits = dim == columns and width > 0 and n_codes == -(-columns // width)
        self.check(fits and last_width == columns - (n_codes - 1) * width, "a quantizer of another matrix")
        return width, self.array("<f4", columns * CENTROIDS)
