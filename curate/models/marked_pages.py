"""Read published sets of web pages with hand-labeled main content."""

import gzip
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
from fastwarc.warc import ArchiveIterator, WarcRecordType

from curate.errors import CurateError
from curate.stages._charset import read


@dataclass(frozen=True)
class MarkedPage:
    """A page and what people say of it.

    html           UTF-8
    text           its main content; null where only parts are marked
    inside, out    parts of the page that main content has, and has not
    kind           article, forum ..., or nothing
    site           what pages of one site have in common, so that no site is both learned and measured
    """

    name: str
    html: bytes
    text: str | None
    inside: tuple[str, ...] = ()
    out: tuple[str, ...] = ()
    kind: str = ""
    site: str = ""


def marked_pages(path: Path, form: str) -> Iterator[MarkedPage]:
    """The pages of a set.

    form  `parquet`: columns html, main_content, and url, page_type, with, without where there are such (as WCXB has
          them); `segments`: a WARC with a `.gold.json` beside it, a list of {url, with, without} (as the evaluation set
          of Trafilatura is kept); `scrapinghub`: a folder with `ground-truth.json`, {name: {articleBody}}, and
          `html/NAME.html.gz`

    Raises CurateError for a set that is not there, or of another form.
    """
    try:
        yield from _FORMS[form](path)
    except (OSError, KeyError, TypeError, ValueError) as error:
        what = f"cannot read the labeled pages: {str(error) or type(error).__name__}"
        raise CurateError(what, str(path), f"use a set in the form `{form}`") from error


def files_of(path: Path, form: str) -> list[Path]:
    """The files of a set. Raises CurateError where there are none."""
    if form == "scrapinghub":
        files = [path / "ground-truth.json", *sorted(path.glob("html/*.html.gz"))]
    else:
        files = [path, *([_gold_of(path)] if form == "segments" else [])]
    for file in files:
        if not file.is_file():
            raise CurateError("no such file of labeled pages", str(file), "put the set there, or fix `path`")
    return files


def utf8(page: bytes, charset: str | None = None) -> bytes:
    """The UTF-8 of a page, decoded as `extract` does."""
    return read(page, charset)[1]


def _parquet(path: Path) -> Iterator[MarkedPage]:
    file = pq.ParquetFile(path)
    names = set(file.schema_arrow.names)
    wanted = [name for name in ("url", "html", "main_content", "page_type", "with", "without") if name in names]
    for batch in file.iter_batches(64, columns=wanted):
        for number, row in enumerate(batch.to_pylist()):
            name = row.get("url") or f"{path.name} {number}"
            yield MarkedPage(
                name,
                utf8(row["html"]),
                row["main_content"],
                tuple(row.get("with") or ()),
                tuple(row.get("without") or ()),
                row.get("page_type") or "",
                _site_of(name),
            )


def _segments(path: Path) -> Iterator[MarkedPage]:
    gold = json.loads(_gold_of(path).read_text(encoding="utf-8"))
    marked = {page["url"]: page for page in gold}
    with path.open("rb") as stream:
        for record in ArchiveIterator(stream, record_types=WarcRecordType.response):
            url = record.headers["WARC-Target-URI"]
            if page := marked.get(url):
                data = utf8(record.reader.read(), record.http_charset)
                yield MarkedPage(url, data, None, tuple(page["with"]), tuple(page["without"]), "", _site_of(url))


def _gold_of(path: Path) -> Path:
    stem = re.sub(r"\.warc(\.\w+)?$", "", path.name)
    return path.with_name(f"{stem}.gold.json")


def _scrapinghub(path: Path) -> Iterator[MarkedPage]:
    truth = json.loads((path / "ground-truth.json").read_text(encoding="utf-8"))
    for name in sorted(truth):
        data = gzip.decompress((path / "html" / f"{name}.html.gz").read_bytes())
        yield MarkedPage(name, utf8(data), truth[name]["articleBody"], kind="article", site=name)


_FORMS = {"parquet": _parquet, "segments": _segments, "scrapinghub": _scrapinghub}


def _site_of(url: str) -> str:
    found = re.match(r"[a-z]+://(?:www\.)?([^/:?#]+)", url, re.IGNORECASE)
    return found[1].lower() if found else url
