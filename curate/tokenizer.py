"""Tokenizers: any `tokenizer.json` of Hugging Face's format, as fast as it can be trusted to be.

What counts is what Hugging Face's `tokenizers` says. tokie, which is tens of times faster, is asked instead for
byte-level BPE as long as it agrees with `tokenizers` on a thousand short texts and on a sample of what it is given;
texts where it is known to differ go to `tokenizers` at once.
"""

import itertools
import json
import re
from functools import lru_cache
from pathlib import Path

import numpy as np
import tokenizers
import tokie

from curate.errors import CurateError, did_you_mean
from curate.resources import locate, sha256

_ODD = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]|[\t\r]['’‘ʼ＇]")
"""Where tokie is known to cut otherwise: at controls, and at a tab before an apostrophe."""

_PIECES = ("a", "Z", "'s", "7", " ", "\n", "-", ".", "é", "中", "😀")
_PROBES = tuple("".join(triple) for triple in itertools.product(_PIECES, repeat=3))
_SAMPLED, _SAMPLE_CHARS = 256, 4096
"""One text in so many is tokenized both ways, up to so many characters."""


class Tokenizer:
    """Counts and encodes with tokie where it can be trusted, else with `tokenizers`. Adds no special tokens.

    Raises CurateError for a file that is no `tokenizer.json`.
    """

    def __init__(self, path: Path):
        spec = _spec(path)
        self.path = path
        try:
            self.exact = tokenizers.Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises nothing narrower
            fix = "give one that `tokenizers` reads"
            raise CurateError(f"a tokenizer cannot be loaded: {error}", str(path), fix) from error
        self.exact.no_truncation()
        self.exact.no_padding()
        self.fast = self._load(path) if _is_byte_level(spec) else None

    def _load(self, path: Path) -> tokie.Tokenizer | None:
        try:
            fast = tokie.Tokenizer.from_json(str(path))
        except (tokie.TokieError, ValueError, OSError):
            return None
        return fast if self._agree(fast, _PROBES) else None

    @property
    def ids(self) -> int:
        """How many ids there are: one more than the highest, those of added tokens too."""
        return max(self.exact.get_vocab(with_added_tokens=True).values(), default=-1) + 1

    def id_of(self, token: str) -> int:
        """The id of a token, such as `<|endoftext|>`. Raises CurateError for one that it has not."""
        found = self.exact.token_to_id(token)
        if found is None:
            special = [added.content for added in self.exact.get_added_tokens_decoder().values()]
            raise CurateError(f"the tokenizer has no token `{token}`", str(self.path), did_you_mean(token, special))
        return found

    def count(self, texts: list[str]) -> list[int]:
        """How many tokens each text is."""
        if not self._trusted(texts):
            return [len(self._encode(text)) for text in texts]
        return [len(self._encode(text)) if _ODD.search(text) else self.fast.count_tokens(text) for text in texts]

    def encode(self, texts: list[str]) -> list[np.ndarray]:
        """The ids of each text, uint32[tokens]."""
        fast = self._trusted(texts)
        return [
            np.array(
                self._encode(text) if not fast or _ODD.search(text) else fast.encode(text, False).ids,
                np.uint32,
            )
            for text in texts
        ]

    def decode(self, ids: np.ndarray) -> str:
        """The text of ids, special tokens too."""
        return self.exact.decode(ids.tolist(), skip_special_tokens=False)

    def _encode(self, text: str) -> list[int]:
        return self.exact.encode_batch_fast([text], add_special_tokens=False)[0].ids

    def _trusted(self, texts: list[str]) -> tokie.Tokenizer | None:
        """tokie's tokenizer, if it agrees on a sample of the texts."""
        sample = [text[:_SAMPLE_CHARS] for text in texts[::_SAMPLED] if not _ODD.search(text)]
        return self.fast if self.fast and self._agree(self.fast, sample) else None

    def _agree(self, fast: tokie.Tokenizer, texts) -> bool:
        return all(fast.encode(text, False).ids == self._encode(text) for text in texts)


def load(name: str) -> Tokenizer:
    """The tokenizer of a path, folder, address or name, as in `curate.resources`. Raises CurateError."""
    path = locate(name, "tokenizer")
    return _loaded(path, sha256(path))


@lru_cache(maxsize=4)
def _loaded(path: Path, digest: str) -> Tokenizer:
    return Tokenizer(path)


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
