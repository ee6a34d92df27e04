"""Read a fastText model file, ``.bin`` or quantized ``.ftz``, without the fastText library.

The format is that of ``FastText::saveModel`` in facebookresearch/fastText (versions 11 and 12), little-endian:
header, arguments, dictionary, input matrix, output matrix. Dense matrices stay on disk, mapped.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from curate.errors import CurateError
from curate.kernels.fasttext import hash_words, read_entries

MAGIC, NEWEST_VERSION = 793712314, 12
SUPERVISED, LOSSES = 3, {1: "hs", 2: "ns", 3: "softmax", 4: "ova"}
CENTROIDS = 256


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
    """A matrix under product quantization: each row a code for every few columns, and perhaps one for its norm.

    A slice gives those rows as float32.
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

    Raises CurateError for a file that is missing, not of fastText, damaged, or of another kind (word vectors).
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            data = np.asarray(np.memmap(file, np.uint8, mode="r")) if path.stat().st_size else np.empty(0, np.uint8)
    except OSError as error:
        raise CurateError(f"cannot read the fastText model: {error.strerror}", str(path)) from error
    return _Reader(path, data).model()


class _Reader:
    def __init__(self, path, data):
        self.path, self.data, self.position = path, data, 0

    def fail(self, what):
        fix = "fetch or train the model again: the file is cut off or damaged"
        raise CurateError(f"damaged fastText model: {what}", str(self.path), fix)

    def check(self, holds, what):
        if not holds:
            self.fail(f"{what} (at byte {self.position})")

    def array(self, dtype, count):
        """The next ``count`` numbers, still in the file."""
        size = np.dtype(dtype).itemsize * count
        self.check(0 <= size <= len(self.data) - self.position, f"{size} more bytes should follow")
        result = np.frombuffer(self.data, dtype, count, self.position) if count else np.empty(0, dtype)
        self.position += size
        return result

    def number(self, dtype="<i4"):
        return int(self.array(dtype, 1)[0])

    def model(self):
        if len(self.data) < 8 or self.number() != MAGIC:
            raise CurateError("not a fastText model", str(self.path), "give a .bin or .ftz file saved by fastText")
        version = self.number()
        if not 11 <= version <= NEWEST_VERSION:
            raise CurateError(f"fastText model of unknown version {version}", str(self.path))
        arguments = self.array("<i4", 12).tolist()
        dim, _, _, _, _, word_ngrams, loss, kind, bucket, minn, maxn, _ = arguments
        self.array("<f8", 1)  # sampling threshold
        if kind != SUPERVISED:
            raise CurateError(
                f"a fastText model of word vectors ({ {1: 'cbow', 2: 'skipgram'}.get(kind, kind) }), not a classifier",
                str(self.path),
                "give a model trained with `fasttext supervised`",
            )
        self.check(dim > 0 and bucket >= 0 and loss in LOSSES, "arguments out of range")
        if version == 11:
            maxn = 0  # supervised models had no character n-grams then
        if word_ngrams <= 1 and maxn <= 0:
            bucket = 0

        labels, label_counts, keys, prune = self.dictionary(bucket)
        if prune is None:
            prune = np.empty(0, np.int32)
        elif not (prune >= 0).any():
            bucket = 0
        quantized = self.number("u1") != 0
        self.check(quantized or len(prune) == 0, "a pruned model must be quantized")
        inputs = self.quantized_matrix() if quantized else self.dense_matrix()
        outputs = self.quantized_matrix() if self.number("u1") and quantized else self.dense_matrix()
        self.check(outputs.shape[0] == len(labels), f"an output matrix of {outputs.shape[0]} rows")
        self.check(inputs.shape[1] == outputs.shape[1] == dim, f"matrices that are not {dim} wide")
        self.check(self.position == len(self.data), "the file should end")
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
        self.check(inputs.shape[0] >= model.n_rows, f"an input matrix of {inputs.shape[0]} rows is too small")
        return model

    def dictionary(self, bucket):
        size, n_words, n_labels = self.array("<i4", 3).tolist()
        _, n_pruned = self.array("<i8", 2).tolist()
        self.check(n_words >= 0 and n_labels > 0 and size == n_words + n_labels, f"a dictionary of {size} entries")
        self.check(size <= len(self.data) // 10, f"a dictionary of {size} entries")
        starts, ends, kinds, position = read_entries(self.data, self.position, size)
        self.check(position >= 0, f"a dictionary of {size} entries should follow")
        self.check((kinds[:n_words] == 0).all() and (kinds[n_words:] == 1).all(), "words should precede labels")
        self.position = position
        words = zip(starts[n_words:], ends[n_words:], strict=True)
        labels = [bytes(self.data[start:end]).decode(errors="replace") for start, end in words]
        counts = [int.from_bytes(bytes(self.data[end + 1 : end + 9]), "little") for end in ends[n_words:]]
        self.check(max(counts) < 10**15, "label counts out of range")
        prune = None
        if n_pruned >= 0:
            buckets, rows = self.array("<i4", 2 * n_pruned).reshape(-1, 2).T
            in_range = (0 <= buckets) & (buckets < bucket) & (0 <= rows) & (rows < n_pruned)
            self.check(in_range.all(), "pruned n-grams out of range")
            prune = np.full(bucket, -1, np.int32)
            prune[buckets] = n_words + rows
        return labels, np.array(counts, np.int64), hash_words(self.data, starts, ends), prune

    def dense_matrix(self):
        rows, columns = self.array("<i8", 2).tolist()
        self.check(rows >= 0 and columns > 0, f"a matrix of {rows} x {columns}")
        return self.array("<f4", rows * columns).reshape(rows, columns)

    def quantized_matrix(self):
        has_norms = self.number("u1") != 0
        rows, columns = self.array("<i8", 2).tolist()
        n_codes = self.number()
        self.check(rows >= 0 and columns > 0, f"a matrix of {rows} x {columns}")
        codes = self.array("u1", n_codes)
        width, centroids = self.quantizer(columns)
        self.check(n_codes == rows * -(-columns // width), f"{n_codes} codes for {rows} rows")
        norms = None
        if has_norms:
            norm_codes = self.array("u1", rows)
            norms = self.quantizer(1)[1][norm_codes]
        return QuantizedMatrix(codes.reshape(rows, -1), centroids, width, norms)

    def quantizer(self, columns):
        """A product quantizer: (columns coded together, float32[columns * 256] centroids)."""
        dim, n_codes, width, last_width = self.array("<i4", 4).tolist()
        fits = dim == columns and width > 0 and n_codes == -(-columns // width)
        self.check(fits and last_width == columns - (n_codes - 1) * width, "a quantizer of another matrix")
        return width, self.array("<f4", columns * CENTROIDS)
