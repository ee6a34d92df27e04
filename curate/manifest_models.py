"""What may stand in a manifest: its keys, their types and bounds, and what each is for."""

import math
import re
from typing import Annotated, Any, Literal

import pydantic
from pydantic import BaseModel, ConfigDict, Field

from curate.mix.settings import Mixture
from curate.mix.tokens import Tokens
from curate.parameters import Large, Priority, Seed, Share
from curate.vocabulary.licenses import canonical
from curate.vocabulary.names import checked_name, checked_repository

UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


def parse_size(value: Any) -> int:
    """Bytes of `256MB`, `1.5 GiB` or a plain number. Raises ValueError."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", str(value))
    if not match or match[2].upper() not in UNITS:
        raise ValueError("a size is a number with KB, MB, GB, KiB, MiB or GiB, such as 256MB")
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
Version = Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+([-+][0-9A-Za-z.-]+)?$")]
License = Annotated[str, pydantic.AfterValidator(canonical)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=96)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", protected_namespaces=(), allow_inf_nan=False)


class CommonCrawl(Strict):
    """A number of files of one crawl, taken by hash."""

    crawl: str = Field(description="name of the crawl, such as CC-MAIN-2024-22")
    files: Large = Field(description="how many of its files to take")
    seed: Seed = Field(0, description="another seed takes other files")
    kind: Literal["warc", "wet"] = Field("warc", description="raw archives, or CommonCrawl's own text")
    base: str = Field("https://data.commoncrawl.org/", description="where the crawl is served")


class CommonCrawlInput(Strict):
    commoncrawl: CommonCrawl


class PathsInput(Strict):
    """A list of files, one a line, plain or compressed."""

    paths: str = Field(description="where the list is")
    base: str | None = Field(None, description="what its lines are relative to")


StageList = list[str | dict[str, Any]]


class Source(Strict):
    """Where documents come from, and what is done to them alone."""

    inputs: list[str | CommonCrawlInput | PathsInput] = Field(
        min_length=1, description="files, globs, folders, lists of paths, https://, s3://, hf://, commoncrawl"
    )
    format: Literal["warc", "arc", "wet", "jsonl", "parquet"] | None = Field(
        None, description="of the files; by default told from their names"
    )
    follow_links: bool = Field(False, description="whether links in input folders may lead out of them")
    layout: str | None = Field(None, description="a known dataset whose columns these are")
    columns: dict[str, Any] | None = Field(
        None, description="our column: theirs, for rows that are no known layout; meta: a list"
    )
    max_bad_rows: Share = Field(
        0.01, description="share of the rows of a file that may be unusable; more stops the run"
    )
    max_damaged: Share = Field(
        0.01, description="share of the bytes of its files that may be unreadable; more stops the run"
    )
    pipeline: str | StageList = Field([], description="stages for this source: a pipeline's name, or a list")
    set: dict[str, Any] = Field({}, description="`stage.parameter: value` in place of the pipeline's own")
    priority: Priority = Field(0, description="which copy of a duplicate is kept: that of the lowest number")
    license: License | None = Field(None, description="license of its documents, where they name none themselves")
    description: str = Field("", description="a sentence for the card")


class Shards(Strict):
    """How the release is cut into files."""

    size: Size = Field("256MB", validate_default=True, description="text in a shard, before compression")
    columns: list[str] = Field([], description="columns to publish beside the usual ones")


class Publish(Strict):
    """Where the release goes."""

    repo: Annotated[str, pydantic.AfterValidator(checked_repository)] | None = None
    private: bool = False


class Document(Strict):
    """A manifest, as it stands in its file."""

    name: Annotated[Name, pydantic.AfterValidator(checked_name)] = Field(description="of the release")
    version: Version = Field(description="of the release: MAJOR.MINOR.PATCH")
    license: License = Field(description="license of the release, as SPDX or the Hub names it")
    description: str = Field("", description="a paragraph for the card")
    card: str = Field("", description="more of your own for the card: Markdown, or the path of a .md file")
    seed: Seed = Field(0, description="of the shuffle and of every sample")
    sources: dict[Name, Source] = Field(min_length=1)
    stages: str | StageList = Field(
        [], description="stages over the documents of all sources together: a pipeline's name, or a list"
    )
    set: dict[str, Any] = Field({}, description="`stage.parameter: value` for those stages, in place of their own")
    removed: list[str] = Field(
        [], description="lists of what is to stay out: ids, URLs or domains, or evidence/removed.parquet of a release"
    )
    extends: str | None = Field(
        None, description="earlier release whose shards stay as they are; only what does not resemble it is added"
    )
    against: list[str] = Field([], description="earlier releases: what resembles their documents goes")
    mixture: Annotated[Mixture, pydantic.BeforeValidator(lambda given: {} if given == "everything" else given)] = Field(
        default_factory=Mixture, description="which documents are released: everything, or some in shares"
    )
    shards: Shards = Field(default_factory=Shards)
    tokens: Tokens | None = Field(None, description="token shards beside the Parquet, for trainers")
    publish: Publish = Field(default_factory=Publish)
