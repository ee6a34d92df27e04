"""What a lock records about token shards."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from curate.base.names import Name
from curate.release.lock_values import Count, Digest, Open, Sha256
from curate.tokens.requested import CONTEXTS

TokenId = Annotated[int, Field(ge=0, lt=1 << 32, strict=True)]
Context = Annotated[int, Field(ge=CONTEXTS[0], le=CONTEXTS[-1], strict=True)]


class TokenCounts(Open):
    """What is counted of token shards. longest: of its documents, in tokens. sequences, padding, cut: where packed.
    trained: tokens in the mask. left_out: {reason: documents without tokens}."""

    documents: Count
    tokens: Count
    longest: Count | None = None
    sequences: Count | None = None
    padding: Count | None = None
    cut: Count | None = None
    trained: Count | None = None
    left_out: dict[str, Count] | None = None


class TokenSplit(TokenCounts):
    """Token shards of a split. context: where documents are packed."""

    phase: Name | None
    split: Name
    context: Context | None
    notes: list[str]
    shards: list[TokenCounts] = []

    @property
    def name(self) -> str:
        return self.phase or self.split


class Tokenizer(Open):
    name: str
    sha256: Sha256


class End(Open):
    token: str
    id: TokenId


class Chat(Open):
    """The chat template of token shards. files: {name: `sha256:` and digest}. date: what it writes as the current."""

    name: str
    files: dict[str, Digest]
    date: str | None
    train_on: Literal["assistant", "all"]


class Tokens(Open):
    tokenizer: Tokenizer
    dtype: Literal["uint16", "uint32"]
    eos: End | None
    pad: TokenId | None
    pack: Literal["concat", "best-fit"] | None
    formats: list[Literal["npy", "megatron", "mds"]]
    split: Literal["never", "when_longer"] | None = None
    chat: Chat | None = None
    splits: list[TokenSplit]

    @property
    def masked(self) -> bool:
        """Whether there is a mask of the tokens to train on."""
        return self.chat is not None and self.chat.train_on == "assistant"

    @model_validator(mode="after")
    def _packed(self) -> Self:
        if any(split.context and None in (split.sequences, split.padding, split.cut) for split in self.splits):
            raise ValueError("a split without the counts of its sequences")
        if self.dtype == "uint16" and max(self.pad or 0, self.eos.id if self.eos else 0) >= 1 << 16:
            raise ValueError("an id too large for its type")
        if self.pack and not all(split.context for split in self.splits):
            raise ValueError("sequences without their length")
        return self
