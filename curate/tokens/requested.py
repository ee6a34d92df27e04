"""`tokens:` of a manifest: token shards for trainers, beside the Parquet."""

from collections.abc import Iterator
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

PACKED = ("npy", "mds")
"""Formats of sequences; that of Megatron has whole documents, which the trainer itself joins and cuts."""

MOST_IDS = 1 << 31
"""What fits the integers of all formats: Megatron's are signed."""

CONTEXTS = range(2, (1 << 28) + 1)
"""Tokens that a sequence can have."""

COUNTS = ("documents", "tokens", "longest", "sequences", "padding", "cut")
"""What is counted of a token shard; the first three where it has no sequences. longest: tokens of a document."""

PADDED = 0.05
"""Share of padding above which a note says how to have less."""


class Tokens(BaseModel, extra="forbid"):
    """Token shards for trainers, beside the Parquet."""

    tokenizer: Name = Field(description="a tokenizer.json: its path or folder, an address, or a name")
    context: Annotated[int, Field(ge=CONTEXTS[0], le=CONTEXTS[-1]), NotTruth] | None = Field(
        None, description="tokens of a sequence; default: the phase's own `context`"
    )
    pack: Literal["concat", "best-fit"] = Field(
        "concat",
        description="concat: documents end to end, cut each `context` tokens; best-fit: only longer documents are cut",
    )
    eos: str | None = Field(None, description="token after each document, such as <|endoftext|>; null: none")
    formats: list[Literal["npy", "megatron", "mds"]] = Field(
        ["npy"], min_length=1, description="NumPy arrays, Megatron-LM's .bin/.idx, MosaicML's MDS"
    )

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
    """

    tokenizer: str
    dtype: str
    eos: int | None
    packages: dict[str, str]

    @property
    def identity(self) -> dict:
        return asdict(self) | {"version": ENCODING}

    @property
    def pad(self) -> int:
        """The id where a sequence has no token; the boundaries say from where on."""
        return self.eos or 0


def encoding(tokens: Tokens) -> tuple[Encoding, Path]:
    """The encoding that is asked for, and where its tokenizer lies.

    Raises CurateError, whose `where` is the key of `tokens:` at fault, for a tokenizer that cannot be loaded or whose
    ids are too many, and for an `eos` that it does not know.
    """
    try:
        path = locate(tokens.tokenizer, "tokenizer")
        loaded = tokenizers.load(str(path))
    except CurateError as error:
        at = f": {error.where}" if error.where else ""
        raise CurateError(error.what + at, "tokenizer", error.fix) from None
    if loaded.ids > MOST_IDS:
        raise CurateError(
            f"ids of the tokenizer go up to {loaded.ids - 1:,}; token shards hold ids up to {MOST_IDS - 1:,}",
            "tokenizer",
            "number its tokens from 0 without gaps",
        )
    try:
        eos = loaded.id_of(tokens.eos) if tokens.eos is not None else None
    except CurateError as error:
        fix = f"{error.fix} Or leave `eos` out, and nothing is put between documents"
        raise CurateError(error.what, "eos", fix.strip()) from None
    dtype = "uint16" if loaded.ids <= 1 << 16 else "uint32"
    packages = {name: version(name) for name in ("tokenizers", "tokie")}
    return Encoding(f"sha256:{sha256(path)}", dtype, eos, packages), path


def mistakes(tokens: Tokens, mixture: Mixture) -> Iterator[tuple[tuple, str, str]]:
    """What types cannot tell: (place, what, fix) of each mistake."""
    if not tokens.packs:
        return
    fix = "add `context:` to `tokens:`, such as 2048"
    if not mixture.phases and not tokens.context:
        yield (), "`tokens` has no `context`, the tokens of a sequence", fix
    for phase in mixture.phases:
        context = tokens.context_of(phase.name, mixture)
        if not context:
            yield (), f"phase `{phase.name}` has no `context`, the tokens of a sequence", f"{fix}, or to the phase"
        elif context not in CONTEXTS:
            what = f"phase `{phase.name}` has a `context` of {context:,}; a sequence has 2 to {CONTEXTS[-1]:,} tokens"
            yield (), what, fix


def notes(tokens: Tokens) -> list[str]:
    """What the setting means, for the plan."""
    lines = []
    if tokens.packs and tokens.pack == "concat":
        lines.append("documents end to end, cut each `context` tokens; the last sequence of a shard is padded")
    elif tokens.packs:
        lines.append("a document is cut only where it is longer than the context; room that nothing fits is padded")
    if "megatron" in tokens.formats:
        lines.append("`.bin/.idx` hold whole documents, whatever `pack` is: Megatron-LM itself joins and cuts them")
    if tokens.eos is None:
        lines.append("no `eos`: nothing between documents but the boundaries recorded beside them")
    return lines


def described(split: dict) -> dict:
    """An entry of the lock with the totals of its `shards`, and `notes` on what to know of them."""
    context, shards, lines = split["context"], split["shards"], []
    split = {name: split[name] for name in ("phase", "split", "context")}
    split |= {name: sum(shard[name] for shard in shards) for name in (COUNTS if context else COUNTS[:3])}
    split |= {"longest": max((shard["longest"] for shard in shards), default=0), "shards": shards}
    if context and shards:
        if split["longest"] < context:
            lines.append(f"no document fills a sequence of {context:,} tokens: the longest has {split['longest']:,}")
        if (share := split["padding"] / (split["sequences"] * context)) > PADDED:
            lines.append(f"{share:.1%} of all positions are padding: larger shards or a shorter `context` have less")
    return split | {"notes": lines}


def check_filled(split: dict) -> None:
    """Raise CurateError where the tokens of a split do not fill one sequence. split: an entry of the lock."""
    if split["documents"] and split["tokens"] < (split["context"] or 0):
        name, most = split["phase"] or split["split"], split["tokens"]
        raise CurateError(
            f"`{name}` has {most:,} tokens, which do not fill one sequence of {split['context']:,}; "
            f"its longest document has {split['longest']:,}",
            "tokens.context",
            f"lower `context` to {most:,} or less",
        )
