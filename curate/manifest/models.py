"""The keys of a manifest: their types, bounds and descriptions."""

import math
import re
from typing import Annotated, Any, Literal

import pydantic
from pydantic import BaseModel, ConfigDict, Field

from curate.base.licenses import canonical
from curate.base.names import Name, Version, checked_name, checked_repository
from curate.base.parameters import Large, Priority, Seed, Share
from curate.mix.mixture import Mixture
from curate.sources.format_api import formats
from curate.tokens.requested import Tokens

UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


def parse_size(value: Any) -> int:
    """Bytes of `256MB`, `1.5 GiB` or a plain number. Raises ValueError."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", str(value))
    if not match or match[2].upper() not in UNITS:
        raise ValueError("a size must be a number with KB, MB, GB, KiB, MiB or GiB, such as 256MB")
    size = float(match[1]) * UNITS[match[2].upper()]
    return int(size) if math.isfinite(size) else LARGEST + 1


LARGEST = 2**50
"""Bytes that a size may be: a pebibyte."""


Size = Annotated[
    int,
    pydantic.BeforeValidator(parse_size),
    Field(gt=0, le=LARGEST),
    pydantic.WithJsonSchema({"type": ["string", "integer"]}),
]
License = Annotated[str, pydantic.AfterValidator(canonical)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", protected_namespaces=(), allow_inf_nan=False)


class CommonCrawl(Strict):
    """A sample of the files of one crawl, chosen by hash."""

    crawl: str = Field(description="name of the crawl, such as CC-MAIN-2024-22")
    files: Large = Field(description="number of files to use")
    seed: Seed = Field(0, description="seed for choosing the files")
    kind: Literal["warc", "wet"] = Field("warc", description="raw archives, or CommonCrawl's own text")
    base: str = Field("https://data.commoncrawl.org/", description="base URL of the crawl")


class CommonCrawlInput(Strict):
    """Some files of a crawl."""

    commoncrawl: CommonCrawl


class PathsInput(Strict):
    """A list of files, one per line, plain or compressed."""

    paths: str = Field(description="path or URL of the list")
    base: str | None = Field(None, description="folder or URL that relative lines are resolved against")


StageList = list[str | dict[str, Any]]
Path = Annotated[str, Field(min_length=1)]


class Source(Strict):
    """Where documents come from, and the stages that apply only to them."""

    inputs: list[Annotated[str, Field(min_length=1)] | CommonCrawlInput | PathsInput] = Field(
        min_length=1, description="files, globs, folders, lists of paths, https://, s3://, hf://, commoncrawl"
    )
    format: str | None = Field(
        None,
        description="format of the files, such as csv or html; default: inferred from their names",
        json_schema_extra=lambda schema: schema["anyOf"][0].update(enum=sorted(formats())),
    )
    options: dict[str, Any] = Field({}, description="options of the format, such as `delimiter` of csv")
    images: Path | list[Path] = Field(
        [], description="local folders, .zip, .tar or .tar.gz files with the images that rows refer to"
    )
    follow_links: bool = Field(False, description="follow links that point outside an input or image folder")
    layout: str | None = Field(None, description="name of a known dataset with the same columns")
    columns: dict[str, Any] | None = Field(
        None, description="maps curate's columns to the source's where no layout fits; `meta` takes a list"
    )
    max_bad_rows: Share = Field(
        0.01,
        description="share of a file's rows, or of one-row files, that may be unusable; exceeding it stops the run",
    )
    max_damaged: Share = Field(
        0.01, description="share of the bytes of its files that may be unreadable; exceeding it stops the run"
    )
    pipeline: str | StageList = Field([], description="stages for this source: a pipeline's name, or a list")
    set: dict[str, Any] = Field({}, description="`stage.parameter: value` overrides for the pipeline")
    priority: Priority = Field(0, description="which copy of a duplicate is kept: lowest number wins")
    license: License | None = Field(None, description="license of documents that do not specify one")
    description: str = Field("", description="one sentence for the card")


class Shards(Strict):
    """How the release is cut into files."""

    size: Size = Field("256MB", validate_default=True, description="text per shard, before compression")
    columns: list[str] = Field([], description="additional columns to publish")


class Publish(Strict):
    """Where the release is published."""

    repo: Annotated[str, pydantic.AfterValidator(checked_repository)] | None = Field(
        None, description="repository on the Hub, USER/NAME"
    )
    private: bool = Field(False, description="create the repository as private")


class Spec(Strict):
    """The contents of a manifest file."""

    name: Annotated[Name, pydantic.AfterValidator(checked_name)] = Field(description="name of the release")
    version: Version = Field(description="version of the release: MAJOR.MINOR.PATCH")
    license: License = Field(description="license of the release: an SPDX or Hub identifier")
    description: str = Field("", description="a paragraph for the card")
    card: str = Field("", description="additional text for the card: Markdown, or the path of a .md file")
    seed: Seed = Field(0, description="seed of the shuffle and of every sample")
    sources: dict[Name, Source] = Field(min_length=1)
    stages: str | StageList = Field(
        [], description="stages for the documents of all sources together: a pipeline's name, or a list"
    )
    set: dict[str, Any] = Field({}, description="`stage.parameter: value` overrides for those stages")
    removed: list[str] = Field(
        [], description="lists of ids, URLs or domains to keep out, or a release's evidence/removed.parquet"
    )
    extends: str | None = Field(
        None,
        description="earlier release whose shards are kept as is; only documents unlike those in it are added",
    )
    against: list[str] = Field([], description="earlier releases: documents similar to theirs are removed")
    mixture: Annotated[Mixture, pydantic.BeforeValidator(lambda given: {} if given == "everything" else given)] = Field(
        default_factory=Mixture, description="which documents are released and how often; default: all, once"
    )
    shards: Shards = Field(default_factory=Shards)
    tokens: Tokens | None = Field(None, description="token shards for trainers, in addition to the Parquet shards")
    publish: Publish = Field(default_factory=Publish)
