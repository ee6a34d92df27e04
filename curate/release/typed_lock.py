"""The lock as typed values: every field of lock.json.

Paths, names, digests and numbers in it are checked. `as_json` writes it back with the same keys in the same order.
"""

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

import pydantic
from pydantic import AfterValidator, Field, model_validator

from curate.base.names import Name, Version, checked_repository
from curate.release.lock_values import Count, Digest, Number, Open, Ratio, RelativePath, Sha256, as_json
from curate.release.token_lock import Tokens


class File(Open):
    path: RelativePath
    bytes: Count
    sha256: Sha256
    rows: Count | None = None
    text_bytes: Count | None = None

    @model_validator(mode="after")
    def _counted(self) -> Self:
        if self.is_shard and None in (self.rows, self.text_bytes):
            raise ValueError("a shard without its row count or text size")
        return self

    @property
    def is_shard(self) -> bool:
        return self.path.startswith("data/")


class Amount(Open):
    """Documents, drawn or each once, and their text. What else it may have is counted too."""

    __pydantic_extra__: dict[str, Count]
    documents: Count
    bytes: Count
    tokens: Count | None = None

    def __add__(self, other: "Amount") -> "Amount":
        sizes, more = as_json(self), as_json(other)
        return Amount(**{name: sizes.get(name, 0) + more.get(name, 0) for name in sizes | more})


def _of_sources(found: dict[str, dict[str, Amount]]) -> dict[str, dict[str, Amount]]:
    """The composition. Raises ValueError for the name of a source that no source has."""
    for name in found.get("source", {}):
        try:
            NAME.validate_python(name)
        except pydantic.ValidationError:
            raise ValueError(f"not the name of a source: {name[:80]!r}") from None
    return found


NAME = pydantic.TypeAdapter(Name)
Composition = Annotated[dict[str, dict[str, Amount]], AfterValidator(_of_sources)]
"""{column: {value: amount}}."""


class Passed(Open):
    """What went through a stage or was read: so many in, so many kept, the others for these reasons. tally: the sums
    of what else the stage counts."""

    in_: Count = Field(alias="in")
    kept: Count
    reasons: dict[str, Count]
    bytes: Count | None = None
    tally: dict[str, Count] = {}


class Input(Open):
    path: str
    digest: str | None
    documents: Count
    lost: Count = 0
    damage: list[str] = []
    notes: list[str] = []
    bad_rows: Count = 0


class NotTaken(Open):
    why: str
    files: Count
    paths: list[str]


class Source(Open):
    description: str
    license: str | None
    read: Passed
    skipped: dict[str, Count]
    files: list[Input]
    not_taken: list[NotTaken] = []


class Shown(Open):
    id: str
    source: str
    path: str | None = None
    position: int | None = None
    url: str | None = None

    @model_validator(mode="after")
    def _placed(self) -> Self:
        if not self.url and (self.path is None or self.position is None):
            raise ValueError("a document without its position")
        return self


class Example(Shown):
    stage: str
    reason: str


class Cluster(Shown):
    cluster: str
    cluster_size: Count


class Scheme(Open):
    """How documents are compared. bands, rows: of MinHash, whose curve the pages show."""

    ngram: Count | None = None
    unit: str | None = None
    bands: Annotated[Count, Field(le=1 << 20)] | None = None
    rows: Annotated[Count, Field(le=1 << 20)] | None = None


class Stage(Open):
    scope: str
    label: Name
    stage: Name
    params: dict
    notes: list[str]
    scheme: Scheme | None
    sources: dict[str, Passed]

    @model_validator(mode="after")
    def _relied_on(self) -> Self:
        for name, kind in RELIED_ON.get(self.stage, {}).items():
            if not isinstance(self.params.get(name), kind):
                raise ValueError(f"a stage `{self.stage}` without its `{name}`")
        return self

    @model_validator(mode="after")
    def _drawn(self) -> Self:
        drawn = self.scheme and (self.scheme.rows, self.scheme.ngram, self.scheme.unit)
        if self.has_curve and (None in drawn or not _is_share(self.params)):
            raise ValueError("a scheme without the data for its curve")
        return self

    @property
    def title(self) -> str:
        """Its label, behind the source whose stage it is."""
        return self.label if self.scope == "all" else f"{self.scope}: {self.label}"

    @property
    def has_curve(self) -> bool:
        """Whether the chance to compare two documents is a curve over their similarity."""
        return self.scheme is not None and self.scheme.bands is not None


RELIED_ON = {"tokens": {"tokenizer": str}, "decontaminate": {"sets": dict, "mode": str}}
"""{stage: parameters} that are read again."""


def _is_share(params: dict) -> bool:
    threshold = params.get("threshold")
    return isinstance(threshold, int | float) and 0 <= threshold <= 1


class Key(Amount):
    """What a split has of a value of the mixture's column. unique: documents, each once."""

    unique: Count | None = None
    share: Ratio
    asked: Ratio | None = None
    epochs: Ratio | None = None

    @property
    def once(self) -> int:
        return self.documents if self.unique is None else self.unique


class Split(Amount):
    """What the mixture put in a split. asked, amount, unique_amount (each document once): in its unit. context,
    longest: in tokens."""

    __pydantic_extra__: dict[str, Any]
    phase: Name | None
    split: Name
    shards: Count
    keys: dict[str, Key]
    unique: Count | None = None
    asked: Number | None = None
    amount: Number | None = None
    unique_amount: Number | None = None
    context: Count | None = None
    longest: Count | None = None
    experimental: Any = None

    @model_validator(mode="after")
    def _realized(self) -> Self:
        if self.asked is not None and self.amount is None:
            raise ValueError("a requested amount without the amount drawn")
        return self

    @property
    def once(self) -> int:
        return self.documents if self.unique is None else self.unique

    @property
    def name(self) -> str:
        return self.phase or self.split


class Curve(Open):
    """How often documents are used: `repeats` by the bucket in a column."""

    column: str
    repeats: dict[str, Ratio]


class Mixture(Open):
    """by: what its keys are made of: one column, or several, whose values stand side by side; last the bucket of the
    curve, and the number of copies."""

    by: str | Annotated[list[str], Field(min_length=2)]
    curve: Curve | None = None
    rehydrate: Annotated[list[tuple[Count, Ratio]], Field(min_length=1)] | None = None
    unit: Literal["tokens", "bytes", "documents"]
    notes: list[str]
    left_out: Count
    splits: Annotated[list[Split], Field(min_length=1)]

    @property
    def columns(self) -> list[str]:
        return [self.by] if isinstance(self.by, str) else self.by

    def margins(self, split: Split) -> Iterator[tuple[str, dict[str, Key]]]:
        """(column, {value: what a split has of it}) of each column that keys are made of."""
        if isinstance(self.by, str):
            yield self.by, split.keys
            return
        for place, column in enumerate(self.by):
            found: dict[str, list[Key]] = {}
            for name, key in split.keys.items():
                found.setdefault(name.rsplit("/", len(self.by) - 1)[place], []).append(key)
            yield column, {value: _together(keys, self.unit) for value, keys in sorted(found.items(), key=_by_number)}

    @model_validator(mode="after")
    def _measured(self) -> Self:
        firsts = [first for first, _ in self.rehydrate or [(1, 1)]]
        if firsts[0] != 1 or firsts != sorted({*firsts}):
            raise ValueError("numbers of copies that do not ascend from 1")
        if len(self.columns) <= (self.curve is not None) + (self.rehydrate is not None):
            raise ValueError("a mixture by nothing but buckets and copies")
        if any(name.count("/") < len(self.columns) - 1 for split in self.splits for name in split.keys):
            raise ValueError("a key without a value of each column")
        if any(getattr(key, self.unit) is None for split in self.splits for key in split.keys.values()):
            raise ValueError(f"a key without its {self.unit}")
        return self


def _by_number(value: tuple[str, Any]) -> tuple:
    """Numbers, and ranges of such, before other names."""
    first = re.match(r"\d{1,18}", value[0])
    return (0, int(first[0]), value[0]) if first else (1, 0, value[0])


def _together(keys: list[Key], unit: str) -> Key:
    """What several keys of a split amount to."""

    def total(name: str) -> Any:
        values = [value for key in keys if (value := getattr(key, name)) is not None]
        return sum(values) if values else None

    sizes = {name: total(name) for name in ("documents", "unique", "bytes", "tokens", "share", "asked")}
    there = sum(getattr(key, unit) / key.epochs for key in keys if key.epochs)
    return Key(**sizes, epochs=total(unit) / there if there and keys[0].epochs is not None else None)


class Publish(Open):
    repo: Annotated[str, AfterValidator(checked_repository)] | None
    private: Annotated[bool, Field(strict=True)] = False


class Removed(Open):
    version: str = Field(pattern=r"\A[\w.+-]*\z", max_length=96)
    list: str = Field(pattern=r"\A\w+\z", max_length=255)
    documents: Count


class Lock(Open):
    """What is relied on of a lock. A key that is absent is the business of who needs it; one that is there holds."""

    digest: Digest
    files: list[File]
    lock: int | None = None
    name: Name | None = None
    version: Version | None = None
    license: str | None = None
    documents: Count = 0
    drawn: Count | None = None
    rejected: Count = 0
    description: str = ""
    card: str = ""
    publish: Publish | None = None
    versions: dict[str, str] = {}
    kept: dict[str, Amount] = {}
    sources: dict[Name, Source] = {}
    stages: list[Stage] = []
    composition: Composition = {}
    unique: Composition | None = None
    warnings: list[str] = []
    columns: dict[str, str] = {}
    clusters: list[Cluster] = []
    examples: list[Example] = []
    removed: list[Removed] = []
    mixture: Mixture | None = None
    tokens: Tokens | None = None
    index: dict | None = None
    extends: dict | None = None
    parent: dict | None = None

    @property
    def shards(self) -> list[File]:
        return [file for file in self.files if file.is_shard]

    @property
    def rows(self) -> int:
        """Rows of all shards: more than documents where the mixture repeats some."""
        return self.documents if self.drawn is None else self.drawn

    @property
    def once(self) -> Composition:
        """The composition by documents, each once however often the mixture drew it."""
        return self.composition if self.unique is None else self.unique

    @property
    def title(self) -> str:
        """Name and version."""
        return f"{self.name} {self.version}"
