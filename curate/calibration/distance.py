"""`curate compare`: how far apart two calibration sets are, or a set and any other texts.

    tokens   Jensen-Shannon distance (Endres, Schindelin 2003; base 2) of the frequencies of tokens
    lengths  Kolmogorov-Smirnov distance of the lengths of the documents that tokens stand in
    sources  total variation of the shares of sources, in tokens

The other texts are a release, a Parquet file or a text file. All distances are symmetric, 0 for equal distributions and
1 for those that have nothing in common.
"""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors import SafetensorError
from safetensors.numpy import load_file

from curate.calibration import shards
from curate.calibration.coverage import length_distance
from curate.errors import CurateError
from curate.models.resources import sha256
from curate.models.tokenizer import Tokenizer, load
from curate.release.fetched import is_published

LARGEST = 8
"""How many tokens are named that differ most."""

Lengths = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Profile:
    """What is compared.

    tokens   int64[vocabulary], how often each occurs
    lengths  int64[n] of documents, in tokens, with how many tokens each gives; None where documents are not told apart
    sources  {name: tokens}; None where they are not known
    coverage  what a set has of its release, as its lock says
    """

    name: str
    tokens: np.ndarray
    lengths: Lengths | None
    sources: dict[str, int] | None
    coverage: dict | None = None


def compare(calibration_set: str | Path, other: str | Path) -> dict:
    """Measure the distances between two sets, and what one contains that the other lacks.

    other  a set, a release (folder or address), a Parquet file with `text` and perhaps `source`, or a text file.
           Texts are tokenized with the tokenizer of `calibration_set`

    Returns {"set", "other": {"name", "tokens", "distinct_tokens", "missing", "median_length"}, "distance": {"tokens",
    "lengths", "sources"}, "largest": [{"id", "token", "set", "other"}], "sources": {name: {"set", "other"}},
    "coverage": {"set", "other"}}. `missing` is the share of the other side's tokens that do not occur in this one;
    `coverage` is what each set contains of its release. A measure that cannot be computed is None.

    Raises CurateError if `other` is none of these or cannot be read, or if the two sets have different tokenizers.
    """
    here, folder = _lock(Path(calibration_set)), Path(calibration_set)
    if here is None:
        fix = "pass a folder that `curate calibrate` wrote first, and what to compare it with second"
        raise CurateError("not a calibration set", str(calibration_set), fix)
    tokenizer = load(str(folder / "tokenizer.json"))
    first, second = _of_set(folder, here, tokenizer), _profile(other, tokenizer)
    p, q = (one.tokens / max(one.tokens.sum(), 1) for one in (first, second))
    terms = _divergence(p, q)
    largest = np.lexsort((np.arange(len(terms)), -terms))[:LARGEST]
    return {
        "set": _summary(first, second),
        "other": _summary(second, first),
        "distance": {
            "tokens": _rounded(np.sqrt(min(max(terms.sum(), 0), 1))),
            "lengths": _rounded(_lengths(first.lengths, second.lengths)),
            "sources": _rounded(_sources(first.sources, second.sources)),
        },
        "largest": [
            {
                "id": int(token),
                "token": tokenizer.decode(np.array([token])),
                "set": _rounded(p[token]),
                "other": _rounded(q[token]),
            }
            for token in largest
            if terms[token] > 0
        ],
        "sources": {
            name: {"set": _part(first.sources, name), "other": _part(second.sources, name)}
            for name in sorted({*(first.sources or ()), *(second.sources or ())})
        },
        "coverage": {"set": first.coverage, "other": second.coverage},
    }


def _profile(other: str | Path, tokenizer: Tokenizer) -> Profile:
    path = Path(other)
    if lock := _lock(path):
        with _reading(path):
            digest = sha256(path / "tokenizer.json")
        if digest != sha256(tokenizer.path):
            what = f"the two sets have different tokenizers: sha256 {sha256(tokenizer.path)[:12]}… and {digest[:12]}…"
            raise CurateError(what, str(other), "draw one of them again with the --tokenizer of the other")
        return _of_set(path, lock, tokenizer)
    if path.is_dir() or is_published(other):
        release = shards.open_shards(other)
        name = release.lock.title
        return _of_texts(name, shards.all_texts(release), tokenizer)
    try:
        if path.suffix == ".parquet":
            return _of_parquet(path, tokenizer)
        text = path.read_text(encoding="utf-8")
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        fix = "pass a set, a release, a Parquet file or a text file"
        raise CurateError(f"nothing to compare with: {error}", str(other), fix) from error
    return Profile(path.name, _counts(tokenizer.encode([text])[0], tokenizer), None, None)


def _of_set(folder: Path, lock: dict, tokenizer: Tokenizer) -> Profile:
    with _reading(folder):
        documents = pq.read_table(folder / "documents.parquet")
        if lock["recipe"] == "kernel":
            tokens = load_file(folder / "kernel.safetensors")["token_counts"]
        elif lock["recipe"] == "imatrix":
            text = (folder / "calibration.txt").read_bytes().decode()
            tokens = _counts(tokenizer.encode([text])[0], tokenizer)
        else:
            tokens = _counts(load_file(folder / "calibration.safetensors")["input_ids"].ravel(), tokenizer)
    given = documents["stop"].to_numpy() - documents["start"].to_numpy()
    sources: dict[str, int] = {}
    for name, count in zip(documents["source"].to_pylist(), given.tolist(), strict=True):
        sources[name] = sources.get(name, 0) + count
    name = f"{lock['release']['name']} {lock['release']['version']} {lock['recipe']}"
    lengths = (documents["n_tokens"].to_numpy(), given)
    return Profile(name, tokens, lengths, sources, lock.get("coverage"))


def _of_parquet(path: Path, tokenizer: Tokenizer) -> Profile:
    file = pq.ParquetFile(path)
    there = [name for name in ("text", "source") if name in file.schema_arrow.names]
    if "text" not in there:
        columns = ", ".join(file.schema_arrow.names)
        raise CurateError(f"no column `text`; the columns are {columns}", str(path), "rename the text column")
    kind = file.schema_arrow.field("text").type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        fix = "pass a file whose column `text` is text"
        raise CurateError(f"nothing to compare with: column `text` is {kind}", str(path), fix)
    blocks = (pa.Table.from_batches([batch]) for batch in file.iter_batches(batch_size=1024, columns=there))
    return _of_texts(path.name, blocks, tokenizer)


def _of_texts(name: str, blocks: Iterable[pa.Table], tokenizer: Tokenizer) -> Profile:
    tokens, lengths = np.zeros(tokenizer.ids, np.int64), [np.empty(0, np.int64)]
    sources: dict[str, int] = {}
    for block in blocks:
        encoded = tokenizer.encode([text or "" for text in block["text"].to_pylist()])
        tokens += _counts(np.concatenate([np.empty(0, np.uint32), *encoded]), tokenizer)
        lengths.append(np.array([len(ids) for ids in encoded], np.int64))
        if "source" in block.column_names:
            names = block["source"].cast(pa.string()).to_pylist()
            for source, count in zip(names, lengths[-1].tolist(), strict=True):
                sources[source or "unknown"] = sources.get(source or "unknown", 0) + count
    length = np.concatenate(lengths)
    return Profile(name, tokens, (length, length), sources or None)


@contextmanager
def _reading(folder: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, SafetensorError, OSError) as error:
        fix = "rerun `curate calibrate`"
        raise CurateError(f"a calibration set cannot be read: {error}", str(folder), fix) from error


def _lock(folder: Path) -> dict | None:
    """The lock of a calibration set, or None where there is none."""
    try:
        lock = json.loads((folder / "lock.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return lock if isinstance(lock, dict) and "calibration" in lock else None


def _counts(ids: np.ndarray, tokenizer: Tokenizer) -> np.ndarray:
    return np.bincount(ids.astype(np.int64), minlength=tokenizer.ids)


def _divergence(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """What each outcome adds to the Jensen-Shannon divergence of two distributions, in bits: float64[n]."""
    middle = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        of_p, of_q = (np.where(one > 0, one * np.log2(one / middle), 0) for one in (p, q))
    return (of_p + of_q) / 2


def _lengths(first: Lengths | None, second: Lengths | None) -> float | None:
    """The largest difference of two weighted cumulative distributions of lengths."""
    return None if first is None or second is None else length_distance(first, second)


def _sources(first: dict | None, second: dict | None) -> float | None:
    if first is None or second is None:
        return None
    return sum(abs((_part(first, name) or 0) - (_part(second, name) or 0)) for name in {*first, *second}) / 2


def _part(sources: dict | None, name: str) -> float | None:
    return None if sources is None else _rounded(sources.get(name, 0) / max(sum(sources.values()), 1))


def _summary(mine: Profile, other: Profile) -> dict:
    total, found = other.tokens.sum(), None
    if mine.lengths is not None and mine.lengths[1].sum():
        order = np.argsort(mine.lengths[0], kind="stable")
        weight = np.cumsum(mine.lengths[1][order])
        found = int(mine.lengths[0][order][np.searchsorted(weight, weight[-1] / 2)])
    return {
        "name": mine.name,
        "tokens": int(mine.tokens.sum()),
        "distinct_tokens": int((mine.tokens > 0).sum()),
        "missing": _rounded(other.tokens[mine.tokens == 0].sum() / max(total, 1)),
        "median_length": found,
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(float(value), 6)
