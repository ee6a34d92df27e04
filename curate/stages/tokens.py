"""How many tokens a document is, to a given tokenizer."""

import itertools
import json
import re
from functools import lru_cache
from pathlib import Path

import pyarrow as pa
import tokenizers
import tokie

from curate.errors import CurateError
from curate.resources import locate, sha256
from curate.stage import set_column, stage

_ODD = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]|[\t\r]['’‘ʼ＇]")
"""Where tokie is known to cut otherwise: at controls, and at a tab before an apostrophe."""

_PIECES = ("a", "Z", "'s", "7", " ", "\n", "-", ".", "é", "中", "😀")
_PROBES = tuple("".join(triple) for triple in itertools.product(_PIECES, repeat=3))
_SAMPLED, _SAMPLE_CHARS = 256, 4096
"""One document in so many of a block is counted both ways, up to so many characters."""


def _file(tokenizer: str, **_) -> dict[str, Path]:
    return {"tokenizer": locate(tokenizer, "tokenizer")}


@stage(version=1, packages=("tokenizers", "tokie"), resources_from=_file, dry=True)
def tokens(docs: pa.Table, *, tokenizer: str) -> pa.Table:
    """Count the tokens of each document, without special tokens around it.

    The count is that of Hugging Face's `tokenizers`. tokie, which is tens of times faster, counts for byte-level BPE
    as long as it agrees with `tokenizers` on a thousand short texts and on a sample of each block; texts where it is
    known to differ go to `tokenizers` at once.

    tokenizer  a `tokenizer.json`: its path or folder, an address such as `hf://OWNER/MODEL/tokenizer.json`, or a
               name in the model folder

    Reads: text
    Adds: n_tokens (int32, tokens)
    """
    texts = [text or "" for text in docs["text"].to_pylist()]
    counts = _counter(locate(tokenizer, "tokenizer")).count(texts)
    return set_column(docs, "n_tokens", pa.array(counts, pa.int32()))


class Counter:
    """Counts tokens with tokie where it can be trusted, else with `tokenizers`."""

    def __init__(self, path: Path):
        spec = _spec(path)
        self.exact = tokenizers.Tokenizer.from_file(str(path))
        self.exact.no_truncation()
        self.exact.no_padding()
        self.fast = self._load(path) if _is_byte_level(spec) else None

    def _load(self, path: Path) -> tokie.Tokenizer | None:
        try:
            fast = tokie.Tokenizer.from_json(str(path))
        except (tokie.TokieError, ValueError, OSError):
            return None
        agrees = all(fast.count_tokens(text) == self.count_exactly(text) for text in _PROBES)
        return fast if agrees else None

    def count_exactly(self, text: str) -> int:
        return len(self.exact.encode_batch_fast([text], add_special_tokens=False)[0])

    def count(self, texts: list[str]) -> list[int]:
        sample = [text[:_SAMPLE_CHARS] for text in texts[::_SAMPLED] if not _ODD.search(text)]
        if not self.fast or any(self.fast.count_tokens(text) != self.count_exactly(text) for text in sample):
            return [self.count_exactly(text) for text in texts]
        return [self.count_exactly(text) if _ODD.search(text) else self.fast.count_tokens(text) for text in texts]


def _spec(path: Path) -> dict:
    try:
        spec = json.loads(path.read_bytes())
    except ValueError as error:
        raise CurateError(f"a tokenizer is no JSON: {error}", str(path), "give a tokenizer.json") from error
    if not isinstance(spec, dict) or not isinstance(spec.get("model"), dict):
        raise CurateError("a tokenizer has no `model`", str(path), "give a tokenizer.json of Hugging Face's format")
    return spec


def _is_byte_level(spec: dict) -> bool:
    """Whether it is a byte-level BPE, the one kind for which tokie was found to agree throughout."""
    return spec["model"].get("type") == "BPE" and (spec.get("decoder") or {}).get("type") == "ByteLevel"


def _counter(path: Path) -> Counter:
    return _load(path, sha256(path))


@lru_cache(maxsize=4)
def _load(path: Path, digest: str) -> Counter:
    return Counter(path)
