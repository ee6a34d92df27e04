"""A lock is checked before it is believed: what is used of it as a path, a name, a digest or a number has that form."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from unicodedata import normalize

import pydantic
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from curate.base.features import feature
from curate.base.names import Name, Version, checked_repository
from curate.errors import CurateError
from curate.tokens.requested import CONTEXTS


def _relative(path: str) -> str:
    """The path, which is of a file within a folder on any system. Raises ValueError for another one."""
    odd = re.search(r'[\x00-\x1f\x7f\ud800-\udfff\\:*?"<>|]', path)
    if odd or any(not part or part.strip(". ") != part for part in path.split("/")):
        raise ValueError("not a path within the release")
    return path


Count = Annotated[int, Field(ge=0, lt=1 << 63, strict=True)]
Ratio = Annotated[float, Field(ge=0, lt=1e9, allow_inf_nan=False, strict=True)]
Number = Annotated[float, Field(ge=0, lt=1 << 63, allow_inf_nan=False, strict=True)]
RelativePath = Annotated[str, Field(max_length=1000), AfterValidator(_relative)]
TokenId = Annotated[int, Field(ge=0, lt=1 << 32, strict=True)]
Context = Annotated[int, Field(ge=CONTEXTS[0], le=CONTEXTS[-1], strict=True)]
Sha256 = Annotated[str, Field(pattern=r"\A[0-9a-f]{64}\z")]
Digest = Annotated[str, Field(pattern=r"\Asha256:[0-9a-f]{64}\z")]


class Open(BaseModel):
    """A part of a lock that may hold more than is checked."""

    model_config = ConfigDict(extra="allow", protected_namespaces=())


class File(Open):
    path: RelativePath
    bytes: Count
    sha256: Sha256
    rows: Count = 0
    text_bytes: Count = 0

    @model_validator(mode="after")
    def _counted(self) -> Self:
        if self.path.startswith("data/") and not {"rows", "text_bytes"} <= self.model_fields_set:
            raise ValueError("a shard without its rows or the bytes of its text")
        return self


class Amount(Open):
    """Documents, drawn or each once, and their text. What else it may have is counted too."""

    __pydantic_extra__: dict[str, Count]
    documents: Count
    bytes: Count
    tokens: Count = 0


class Composition(Open):
    """Amounts by the values of columns."""

    __pydantic_extra__: dict[str, dict[str, Amount]]
    source: dict[Name, Amount] = {}


class Passed(Open):
    """What went through a stage or was read: so many in, so many kept, the others for these reasons."""

    in_: Count = Field(alias="in")
    kept: Count
    reasons: dict[str, Count]


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
            raise ValueError("a document without its place")
        return self


class Example(Shown):
    stage: str
    reason: str


class Cluster(Shown):
    cluster: str
    cluster_size: Count


class Scheme(Open):
    """How documents are compared. bands, rows: of MinHash, whose curve the pages show."""

    ngram: Count = 0
    unit: str = "words"
    bands: Annotated[Count, Field(le=1 << 20)] = 0
    rows: Annotated[Count, Field(le=1 << 20)] = 0


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
        there = self.scheme.model_fields_set if self.scheme else set()
        if "bands" in there and not ({"rows", "ngram", "unit"} <= there and _is_share(self.params)):
            raise ValueError("a scheme without what its curve is drawn of")
        return self


RELIED_ON = {"tokens": {"tokenizer": str}, "decontaminate": {"sets": dict, "mode": str}}
"""{stage: parameters} that are read again."""


def _is_share(params: dict) -> bool:
    threshold = params.get("threshold")
    return isinstance(threshold, int | float) and 0 <= threshold <= 1


class Key(Amount):
    unique: Count = 0
    share: Ratio
    asked: Ratio = 0
    epochs: Ratio = 0


class Split(Amount):
    __pydantic_extra__: dict[str, Any]
    phase: Name | None
    split: Name
    shards: Count
    keys: dict[str, Key]
    unique: Count = 0
    asked: Number = 0
    amount: Number = 0
    context: Count | None = None
    longest: Count = 0

    @model_validator(mode="after")
    def _realized(self) -> Self:
        if "asked" in self.model_fields_set and "amount" not in self.model_fields_set:
            raise ValueError("it does not say what came of what was asked")
        return self


class Mixture(Open):
    by: str
    unit: Literal["tokens", "bytes", "documents"]
    notes: list[str]
    left_out: Count
    splits: Annotated[list[Split], Field(min_length=1)]

    @model_validator(mode="after")
    def _measured(self) -> Self:
        if any(self.unit not in key.model_fields_set for split in self.splits for key in split.keys.values()):
            raise ValueError(f"a key without its {self.unit}")
        return self


class TokenSplit(Open):
    """Token shards of a split. context, sequences, padding, cut: where documents are packed."""

    phase: Name | None
    split: Name
    documents: Count
    tokens: Count
    context: Context | None
    sequences: Count = 0
    padding: Count = 0
    cut: Count = 0
    notes: list[str]


class Tokenizer(Open):
    name: str
    sha256: Sha256


class End(Open):
    token: str
    id: TokenId


class Tokens(Open):
    tokenizer: Tokenizer
    dtype: Literal["uint16", "uint32"]
    eos: End | None
    pad: TokenId | None
    pack: Literal["concat", "best-fit"] | None
    formats: list[Literal["npy", "megatron", "mds"]]
    splits: list[TokenSplit]

    @model_validator(mode="after")
    def _packed(self) -> Self:
        packed = {"sequences", "padding", "cut"}
        if any(split.context and not packed <= split.model_fields_set for split in self.splits):
            raise ValueError("a split without what came of its sequences")
        if self.dtype == "uint16" and max(self.pad or 0, self.eos.id if self.eos else 0) >= 1 << 16:
            raise ValueError("an id that its type cannot hold")
        if self.pack and not all(split.context for split in self.splits):
            raise ValueError("sequences without their length")
        return self


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
    name: Name | None = None
    version: Version | None = None
    license: str | None = None
    documents: Count = 0
    drawn: Count = 0
    rejected: Count = 0
    description: str = ""
    card: str = ""
    publish: Publish | None = None
    versions: dict[str, str] = {}
    kept: dict[str, Amount] = {}
    sources: dict[Name, Source] = {}
    stages: list[Stage] = []
    composition: Composition = Composition()
    unique: Composition = Composition()
    warnings: list[str] = []
    columns: dict[str, str] = {}
    clusters: list[Cluster] = []
    examples: list[Example] = []
    removed: list[Removed] = []
    mixture: Mixture | None = None
    tokens: Tokens | None = None
    index: dict | None = None


def check(lock: Any, where: str | Path) -> dict:
    """The lock, unchanged. Raises CurateError that names what of it is not as it should be.

    where  the file it was read from
    """
    try:
        Lock.model_validate(lock)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        place = ".".join(map(str, first["loc"])) or "the lock"
        what = f"invalid lock: {place}: {first['msg']}, not {repr(first['input'])[:80]}"
        raise CurateError(what, str(where), "run the manifest that made the release again") from None
    paths = [normalize("NFC", file["path"]).casefold() for file in lock["files"]]
    if len({*paths}) < len(paths):  # on some systems such names are one
        raise CurateError("the lock lists a file twice", str(where), "run the manifest that made the release again")
    return lock


def inside(release: Path, path: str) -> Path:
    """A file of a release, by its path there. Raises CurateError where a link leads out of the release's folder, and
    for what is no regular file: a pipe would wait for a writer."""
    file = release / _relative(path)
    if not file.resolve().is_relative_to(release.resolve()):
        what = "a file of the release links outside its folder"
        raise CurateError(what, str(file), "replace the link with the file")
    if file.exists() and not file.is_file():
        raise CurateError("a file of the release is not a regular file", str(file), "run the manifest again")
    return file


WHOLE = ("name", "version", "license", "publish", "description", "documents", "rejected", "sources", "stages", "kept")
WHOLE += ("card", "composition", "columns", "examples", "clusters", "removed", "mixture", "tokens", "index", "versions")
"""Keys that a lock has of which the pages of a release can be written."""


def complete(lock: dict, where: str | Path) -> dict:
    """The lock, unchanged. Raises CurateError for one that lacks what a release is written from again."""
    again = "run the manifest that made the release again"
    if missing := [key for key in WHOLE if key not in lock or (lock[key] is None and key not in ("index", "tokens"))]:
        what = f"the lock lacks {', '.join(f'`{key}`' for key in missing)}"
        raise CurateError(what, str(where), again)
    for name, kind in lock["columns"].items():
        try:
            feature(name, kind)
        except ValueError as error:
            raise CurateError(f"the lock cannot be believed: columns.{name}: {error}", str(where), again) from None
    return lock
