"""`tokens:` of a manifest: which token shards to write, for which trainers."""

import datetime
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from curate.base.parameters import NotTruth
from curate.errors import CurateError
from curate.mix.mixture import Mixture
from curate.models import tokenizer as tokenizers
from curate.models.resources import Name, locate, sha256
from curate.models.tokenizer import Tokenizer
from curate.tokens import chat

PACKED = ("npy", "mds")
"""Formats of sequences; that of Megatron has whole documents, which the trainer itself joins and cuts."""

MOST_IDS = 1 << 31
"""What fits the integers of all formats: Megatron's are signed."""

CONTEXTS = range(2, (1 << 28) + 1)
"""Tokens that a sequence can have."""

COUNTS = ("documents", "tokens", "longest", "sequences", "padding", "cut")
"""What is counted of a token shard; the first three where it has no sequences. longest: tokens of a document."""

TRAINED, LEFT_OUT = "trained", "left_out"
"""What is counted beside it where there is a mask, and where rows may be left out: tokens that the mask has, and
{reason: documents}."""

LONGER = "longer_than_context"
"""Why a document is left out that would have to be split."""

PADDED = 0.05
"""Share of padding above which a note says how to have less."""


class Tokens(BaseModel, extra="forbid"):
    """Token shards for trainers, in addition to the Parquet shards."""

    tokenizer: Name = Field(description="a tokenizer.json: its path or folder, a URL, or a name")
    context: Annotated[int, Field(ge=CONTEXTS[0], le=CONTEXTS[-1]), NotTruth] | None = Field(
        None, description="tokens per sequence; default: the phase's own `context`"
    )
    pack: Literal["concat", "best-fit"] | None = Field(
        None,
        description="concat: documents end to end, cut every `context` tokens; best-fit: only longer documents are "
        "cut; default: concat, or best-fit with a chat template",
    )
    split: Literal["never", "when_longer"] | None = Field(
        None,
        description="how best-fit handles documents longer than the context: never leaves them out, when_longer cuts "
        "them; default: when_longer, or never with a chat template",
    )
    eos: str | None = Field(None, description="token after each document, such as <|endoftext|>; null: none")
    chat_template: Name | None = Field(
        None,
        description="a tokenizer_config.json or a .jinja file that turns `messages` into text: its path, its folder, "
        "or a URL",
    )
    train_on: Literal["assistant", "all"] = Field(
        "assistant",
        description="with a chat template: assistant adds a mask of the assistant's tokens; all adds no mask",
    )
    date: datetime.date | None = Field(
        None, description="the current date for a chat template to write, such as 2025-01-31"
    )
    formats: list[Literal["npy", "megatron", "mds"]] = Field(
        ["npy"], min_length=1, description="NumPy arrays, Megatron-LM's .bin/.idx, MosaicML's MDS"
    )

    @property
    def way(self) -> str | None:
        """How sequences are packed, if there are any."""
        return (self.pack or ("best-fit" if self.chat_template else "concat")) if self.packs else None

    @property
    def splits(self) -> str:
        """What is done with a document that is longer than the context."""
        whole = self.chat_template and self.way == "best-fit"
        return self.split or ("never" if whole else "when_longer")

    @property
    def leaves_out(self) -> bool:
        """Whether a document that is longer than the context is left out."""
        return self.packs and self.splits == "never"

    @property
    def masks(self) -> bool:
        """Whether tokens come with a mask of those to train on."""
        return self.chat_template is not None and self.train_on == "assistant"

    @property
    def packs(self) -> bool:
        """Whether any format has sequences, and so needs a context."""
        return any(name in PACKED for name in self.formats)

    def context_of(self, phase: str | None, mixture: Mixture) -> int | None:
        """Tokens of a sequence of a phase. What is held out has the sequences of the first phase."""
        own = {given.name: given.context for given in mixture.phases}
        return self.context or own.get(phase, next(iter(own.values()), None))


ENCODING = 2
"""Raised when the same tokenizer gives the same text other ids."""


@dataclass(frozen=True)
class Encoding:
    """A tokenizer and what follows each document, as they affect tokens.

    tokenizer  `sha256:` and the digest of its file
    dtype      of ids: "uint16" where all fit, else "uint32"
    eos        id of the token after each document, or None
    packages   {library: version}
    chat       of a chat template, if there is one: {"files": {name: `sha256:` and digest}, "date", "train_on"}
    """

    tokenizer: str
    dtype: str
    eos: int | None
    packages: dict[str, str]
    chat: dict | None = None

    @property
    def identity(self) -> dict:
        held = {name: value for name, value in asdict(self).items() if name != "chat" or value}
        return held | {"version": ENCODING}

    @property
    def pad(self) -> int:
        """The id where a sequence has no token; the boundaries say from where on."""
        return self.eos or 0


def encoding(tokens: Tokens) -> tuple[Encoding, dict[str, Path]]:
    """The encoding that is asked for, and where its files lie: {`sha256:` and digest: path}, the tokenizer first.

    Raises CurateError, whose `where` is the key of `tokens:` at fault, for a tokenizer that cannot be loaded or whose
    ids are too many, for an `eos` that it does not know, and for a chat template that cannot be used with it.
    """
    with _at("tokenizer"):
        path = locate(tokens.tokenizer, "tokenizer")
        loaded = tokenizers.load(str(path))
    if loaded.ids > MOST_IDS:
        raise CurateError(
            f"the tokenizer's ids go up to {loaded.ids - 1:,}; token shards support ids up to {MOST_IDS - 1:,}",
            "tokenizer",
            "number its tokens from 0 without gaps",
        )
    try:
        eos = loaded.id_of(tokens.eos) if tokens.eos is not None else None
    except CurateError as error:
        fix = f"{error.fix} Or leave out `eos` to put nothing between documents"
        raise CurateError(error.what, "eos", fix.strip()) from None
    dtype = "uint16" if loaded.ids <= 1 << 16 else "uint32"
    packages, held = {name: version(name) for name in ("tokenizers", "tokie")}, {f"sha256:{sha256(path)}": path}
    digest = next(iter(held))
    if not tokens.chat_template:
        return Encoding(digest, dtype, eos, packages), held
    files = _template(tokens, loaded)
    digests = chat.digests(files)
    held |= {digests[name]: file for name, file in files.items()}
    day = tokens.date.isoformat() if tokens.date else None
    asked = {"files": digests, "date": day, "train_on": tokens.train_on}
    return Encoding(digest, dtype, eos, packages | {"jinja2": version("jinja2")}, asked), held


def _template(tokens: Tokens, tokenizer: Tokenizer) -> dict[str, Path]:
    """The files of the chat template. Raises CurateError for one that cannot be used with the tokenizer."""
    with _at("chat_template"):
        files = chat.files(tokens.chat_template)
        day = tokens.date.isoformat() if tokens.date else None
        chat.check(chat.read(files, day), files, tokenizer)
    return files


@contextmanager
def _at(key: str) -> Iterator[None]:
    """The key of `tokens:` as the place of an error, which names the file in its words."""
    try:
        yield
    except CurateError as error:
        at = f": {error.where}" if error.where else ""
        raise type(error)(error.what + at, key, error.fix) from None


def mistakes(tokens: Tokens, mixture: Mixture) -> Iterator[tuple[tuple, str, str]]:
    """What types cannot tell: (place, what, fix) of each mistake."""
    yield from _of_chat(tokens)
    if not tokens.packs:
        return
    fix = "add `context:` to `tokens:`, such as 2048"
    if not mixture.phases and not tokens.context:
        yield (), "`tokens` has no `context`, the number of tokens per sequence", fix
    for phase in mixture.phases:
        context = tokens.context_of(phase.name, mixture)
        if not context:
            yield (
                (),
                f"phase `{phase.name}` has no `context`, the number of tokens per sequence",
                f"{fix}, or to the phase",
            )
        elif context not in CONTEXTS:
            what = f"phase `{phase.name}` has a `context` of {context:,}; it must be 2 to {CONTEXTS[-1]:,} tokens"
            yield (), what, fix


def _of_chat(tokens: Tokens) -> Iterator[tuple[tuple, str, str]]:
    """Mistakes around the chat template and what is not split."""
    given = tokens.model_fields_set
    for key in ("train_on", "date"):
        if key in given and not tokens.chat_template:
            yield (key,), f"`{key}` needs a chat template, but there is none", "add `chat_template:`, or leave it out"
    if tokens.split == "never" and tokens.way != "best-fit":
        yield ("split",), "`split: never` needs sequences packed by `best-fit`", "add `pack: best-fit`"
    if tokens.masks and "megatron" in tokens.formats:
        what = "Megatron-LM does not read a mask, so it would train on every token"
        yield ("formats",), what, "remove `megatron` from `formats`, or set `train_on: all`"


def notes(tokens: Tokens) -> list[str]:
    """What the setting means, for the plan."""
    lines = []
    if tokens.masks:
        lines.append("the mask covers the assistant's tokens, and all tokens of documents without `messages`")
    if tokens.way == "concat":
        lines.append("documents end to end, cut every `context` tokens; the last sequence of a shard is padded")
    elif tokens.packs and tokens.splits == "never":
        lines.append("documents longer than the context are left out and counted; leftover room is padded")
    elif tokens.packs:
        lines.append("only documents longer than the context are cut; leftover room is padded")
    if "megatron" in tokens.formats:
        lines.append(
            "`.bin/.idx` contain whole documents, regardless of `pack`: Megatron-LM joins and cuts them itself"
        )
    if tokens.eos is None:
        lines.append("no `eos`: documents are separated only by the recorded boundaries")
    return lines


def described(split: dict) -> dict:
    """An entry of the lock with the totals of its `shards`, and `notes` on what to know of them."""
    context, shards, lines = split["context"], split["shards"], []
    split = {name: split[name] for name in ("phase", "split", "context")}
    split |= {name: sum(shard[name] for shard in shards) for name in (COUNTS if context else COUNTS[:3])}
    split |= {"longest": max((shard["longest"] for shard in shards), default=0)}
    split |= {TRAINED: sum(shard[TRAINED] for shard in shards)} if any(TRAINED in shard for shard in shards) else {}
    if left := sum((Counter(shard.get(LEFT_OUT)) for shard in shards), Counter()):
        split |= {LEFT_OUT: dict(sorted(left.items()))}
        lines.append(f"{left.total():,} of {split['documents']:,} documents are left out: {_told(left)}")
    split |= {"shards": shards}
    if context and shards:
        if split["longest"] < context:
            lines.append(f"no document fills a sequence of {context:,} tokens: the longest has {split['longest']:,}")
        if (share := split["padding"] / (split["sequences"] * context)) > PADDED:
            lines.append(
                f"{share:.1%} of all positions are padding: larger shards or a shorter `context` would have less"
            )
    return split | {"notes": lines}


def check_filled(split: dict) -> None:
    """Raise CurateError where the tokens of a split do not fill one sequence. split: an entry of the lock."""
    if split["documents"] and split["tokens"] < (split["context"] or 0):
        name, most, left = split["phase"] or split["split"], split["tokens"], split.get(LEFT_OUT)
        what = f"`{name}` has {most:,} tokens, which do not fill one sequence of {split['context']:,}; "
        what += f"its longest document has {split['longest']:,}"
        what += f"; left out: {_told(left)}" if left else ""
        raise CurateError(what, "tokens.context", f"lower `context` to {most:,} or less" if most > 1 else "")


def _told(left: dict[str, int]) -> str:
    return ", ".join(f"{reason} {count:,}" for reason, count in sorted(left.items()))
