"""Tokenizers: any `tokenizer.json` of Hugging Face, on the fastest implementation verified to give the same ids.

Hugging Face's `tokenizers` is the reference. For byte-level BPE, tokie, which is tens of times faster, is used instead
if it agrees with `tokenizers` on a thousand short texts; texts on which it is known to differ are always encoded by
`tokenizers`. Which of the two encodes a text depends on that text alone, so no count depends on the rest of the block.

Special tokens in a document's text, such as `<|endoftext|>`, are encoded as ordinary characters, so no text can end a
document or begin a turn.
"""

import ctypes
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property, lru_cache
from itertools import pairwise, product
from pathlib import Path
from typing import TYPE_CHECKING
from zlib import crc32

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.errors import CurateError, did_you_mean
from curate.models.resources import locate, sha256

if TYPE_CHECKING:  # both are loaded with the first tokenizer, as most commands need none
    import tokenizers
    import tokie

_ODD = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x{9f}]|[\t\r]['’‘ʼ＇]"
"""Where tokie is known to cut otherwise: at controls, and at a tab before an apostrophe."""

_PIECES = ("a", "Z", "'s", "7", " ", "\n", "-", ".", "é", "中", "😀")
_PROBES = tuple("".join(triple) for triple in product(_PIECES, repeat=3))
_SAMPLED, _SAMPLE_CHARS = 256, 4096
"""One text in so many, chosen by its own hash, is tokenized both ways, up to so many characters."""

_LONG = 10_000 // 4
"""Characters from which on a text may have the bytes that tokie divides among the processors it sees. It cuts at any
space, or where there is none at any byte: what it counts then depends on the machine, and half a character stops it."""


class Tokenizer:
    """Counts and encodes with tokie where it can be trusted, else with `tokenizers`. Adds no special tokens.

    Raises CurateError for a file that is no `tokenizer.json`.
    """

    def __init__(self, path: Path):
        import tokenizers

        spec = _spec(path)
        self.path = path
        with _panics_caught("cannot load the tokenizer", path):
            self.exact = tokenizers.Tokenizer.from_file(str(path))
            self.exact.no_truncation()
            self.exact.no_padding()
            self.exact.encode_special_tokens = True  # a special token that a text spells is no special token
            special = self.special_tokens
            self.special = {self.exact.token_to_id(token) for token in special}
            self.spelled = re.compile("|".join(map(re.escape, special)) or r"(?!)")
            self.odd = "|".join([_ODD, *map(_literal, special)])
            self.fast = self._load(path) if _is_byte_level(spec) else None

    def _load(self, path: Path) -> "tokie.Tokenizer | None":
        import tokie

        try:
            fast = tokie.Tokenizer.from_json(str(path))
        except (tokie.TokieError, ValueError, OSError):
            return None
        return fast if self._agree(fast, _PROBES) else None

    @property
    def special_tokens(self) -> list[str]:
        """What the special tokens are spelled like, sorted."""
        added = self.exact.get_added_tokens_decoder().values()
        return sorted(token.content for token in added if token.special and token.content)

    @property
    def ids(self) -> int:
        """How many ids there are: one more than the highest, those of added tokens too."""
        return max(self.exact.get_vocab(with_added_tokens=True).values(), default=-1) + 1

    def id_of(self, token: str) -> int:
        """The id of a token, such as `<|endoftext|>`. Raises CurateError for one that it has not."""
        found = self.exact.token_to_id(token)
        if found is None:
            what = f"the tokenizer has no token `{token}`"
            raise CurateError(what, str(self.path), did_you_mean(token, self.special_tokens))
        return found

    def count(self, texts: list[str]) -> list[int]:
        """How many tokens each text is."""
        with _panics_caught("the tokenizer failed", self.path):
            return [
                len(self._encode(text)) if exact else self._fast(self.fast.count_tokens, len, text)
                for text, exact in zip(texts, self._exactly(texts), strict=True)
            ]

    def encode(self, texts: list[str]) -> list[np.ndarray]:
        """The ids of each text, uint32[tokens]."""
        with _panics_caught("the tokenizer failed", self.path):
            return [
                np.array(self._encode(text) if exact else self._fast(self._tokie_ids, list, text), np.uint32)
                for text, exact in zip(texts, self._exactly(texts), strict=True)
            ]

    def encode_chat(self, texts: list[str], special: bool = True) -> list[tuple[np.ndarray, np.ndarray]]:
        """The ids of what a chat template wrote (uint32[tokens]), and where in its text each token lies, start and stop
        in characters (int32[tokens, 2]).

        special  whether special tokens that stand in it are tokens. If not they are text, as everywhere else
        """
        with _panics_caught("the tokenizer failed", self.path):
            encoded = (self._with_special if special else self.exact).encode_batch(texts, add_special_tokens=False)
        return [(np.array(one.ids, np.uint32), np.array(one.offsets, np.int32).reshape(-1, 2)) for one in encoded]

    @cached_property
    def _with_special(self) -> "tokenizers.Tokenizer":
        import tokenizers

        found = tokenizers.Tokenizer.from_file(str(self.path))
        found.no_truncation()
        found.no_padding()
        return found

    def decode(self, ids: np.ndarray) -> str:
        """The text of ids, special tokens too."""
        return self.exact.decode(ids.tolist(), skip_special_tokens=False)

    def _fast(self, of_tokie: Callable, of_ids: Callable, text: str):
        """What tokie makes of a text; where it panics, as on some long texts, the same of `tokenizers`."""
        try:
            if len(text) < _LONG:
                return of_tokie(text)
            with _one_processor():
                return of_tokie(text)
        except (KeyboardInterrupt, SystemExit, MemoryError):
            raise
        except BaseException:
            return of_ids(self._encode(text))

    def _tokie_ids(self, text: str) -> list[int]:
        return self.fast.encode(text, False).ids

    def _encode(self, text: str) -> list[int]:
        ids = self._ids([text])
        if self.special.isdisjoint(ids) or not (found := list(self.spelled.finditer(text))):
            return ids
        # A Unigram model has special tokens among its pieces too: apart, their letters are pieces of their own.
        cuts = [0, *(match.start() + 1 for match in found), len(text)]
        return self._ids([text[start:stop] for start, stop in pairwise(cuts)])

    def _ids(self, texts: list[str]) -> list[int]:
        encoded = self.exact.encode_batch_fast(texts, add_special_tokens=False)
        return [id for one in encoded for id in one.ids]

    def _exactly(self, texts: list[str]) -> list[bool]:
        """Which texts are not for tokie: the odd ones, and among those looked at closely the ones where it differs."""
        if not self.fast:
            return [True] * len(texts)
        odd = pc.match_substring_regex(pa.array(texts, pa.large_string()), self.odd).to_pylist()
        if not _PINS:
            odd = [odd or len(text) >= _LONG for odd, text in zip(odd, texts, strict=True)]
        return [
            odd or (crc32(text.encode()) % _SAMPLED == 0 and not self._agree(self.fast, [text[:_SAMPLE_CHARS]]))
            for odd, text in zip(odd, texts, strict=True)
        ]

    def _agree(self, fast: "tokie.Tokenizer", texts) -> bool:
        return all(fast.encode(text, False).ids == self._encode(text) for text in texts)


_PINS = hasattr(os, "sched_setaffinity")


@contextmanager
def _one_processor() -> Iterator[None]:
    """Let this thread see no processor but the one it is on."""
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {ctypes.CDLL(None).sched_getcpu()})
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def _panics_caught(what: str, path: Path) -> Iterator[None]:
    """Whatever the library raises as a CurateError: it knows nothing narrower than Exception, and a panic is not even
    that."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit, CurateError, MemoryError):
        raise
    except BaseException as error:
        raise CurateError(f"{what}: {error}", str(path), "use a tokenizer.json that `tokenizers` can read") from None


def load(name: str) -> Tokenizer:
    """The tokenizer of a path, folder, address or name, as in `curate.models.resources`. Raises CurateError."""
    path = locate(name, "tokenizer")
    return _loaded(path, sha256(path))


@lru_cache(maxsize=4)
def _loaded(path: Path, digest: str) -> Tokenizer:
    return Tokenizer(path)


def _literal(token: str) -> str:
    """A token as a pattern of RE2."""
    return "".join(rf"\x{{{ord(char):x}}}" for char in token)


def _spec(path: Path) -> dict:
    try:
        spec = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise CurateError(f"the tokenizer file is not JSON: {error}", str(path), "use a tokenizer.json") from error
    if not isinstance(spec, dict) or not isinstance(spec.get("model"), dict):
        raise CurateError(
            "the tokenizer file has no `model`", str(path), "use a tokenizer.json in Hugging Face's format"
        )
    return spec


def _is_byte_level(spec: dict) -> bool:
    """Whether it is a byte-level BPE, the one kind for which tokie was found to agree throughout."""
    return spec["model"].get("type") == "BPE" and (spec.get("decoder") or {}).get("type") == "ByteLevel"
