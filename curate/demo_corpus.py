"""The demo corpus: three sources built offline from files bundled with CPython, and a manifest for them.

- web: pydoc's pages of the standard library, as a WARC, with the odd records that crawls have
- reference: the language reference of `pydoc_data.topics`, as SlimPajama-style rows
- code: the standard library's own sources, as rows like those of The Stack
- exercises: what methods of built-in types do, as rows like those of evaluation sets, for manifests/moxin-7b-tiny.yaml

Beside it a recipe for a classifier, and a small evaluation set: paragraphs of the language reference.
"""

import gzip
import inspect
import json
import shutil
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from pydoc_data import topics
from uuid import NAMESPACE_URL, uuid5

import pyarrow as pa
import pyarrow.parquet as pq

from curate.base.library_pages import library_pages
from curate.inspect.making import run, train
from curate.inspect.opened import Release
from curate.manifest.library import library
from curate.models.resources import at_hand, sha256

DATE = "2025-01-01T00:00:00Z"
SITE = "https://docs.example"

ODD_PAGES = [
    ("404 Not Found", "text/html", "/gone.html", b"<html><body><h1>Not Found</h1></body></html>"),
    (
        "200 OK",
        "text/html",
        "/missing.html",
        b"<html><head><title>Page not found</title></head><body><h1>404</h1><p>The page you are looking for could "
        b"not be found.</p></body></html>",
    ),
    ("200 OK", "application/pdf", "/manual.pdf", b"%PDF-1.4\n%%EOF\n"),
    ("200 OK", "text/html", "/empty.html", b""),
]
"""(status, content type, path, body) of records as every crawl has them."""

SKIPPED_PACKAGES = {
    "test",
    "tests",
    "site-packages",
    "dist-packages",
    "lib2to3",
    "idlelib",
    "turtledemo",
    "ensurepip",
}


def demo(folder: str | Path = "curate-demo", *, workers: int | None = None, progress: bool = True) -> Release:
    """Build a demo corpus from files bundled with Python, a classifier, and a release. Works offline.

    folder    folder for the corpus, the manifest `quickstart.yaml` and the work folder
    progress  whether to show progress on stderr

        curate.demo().funnel
    """
    path, work = make_demo(folder), Path(folder) / "work"
    train(str(recipe_of(Path(folder))), work, workers=0, progress=progress)
    return run(path, work, workers=workers, replace=True, progress=progress)


def make_demo(folder: str | Path) -> Path:
    """Write the corpus and its manifest under `folder`. Returns the manifest's path.

    The same interpreter gives the same bytes; where they are there, they are not made again. A manifest that already
    exists is left as it is.
    """
    folder = Path(folder)
    corpus, stamp = folder / "corpus", folder / "work" / "corpus.json"
    corpus.mkdir(parents=True, exist_ok=True)
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != _stamp(corpus):
        _write_corpus(corpus)
        stamp.parent.mkdir(exist_ok=True)
        stamp.write_text(_stamp(corpus), encoding="utf-8")
    manifest, recipe = folder / "quickstart.yaml", recipe_of(folder)
    if not manifest.exists():
        text = (library("manifests") / "quickstart.yaml").read_text(encoding="utf-8")
        manifest.write_text(text.replace("# - language", "- language") if language_model() else text, encoding="utf-8")
    if not recipe.exists():
        shutil.copyfile(library("classifiers") / "quickstart.yaml", recipe)
    return manifest


def _write_corpus(corpus: Path) -> None:
    _write(corpus / "web.warc.gz", b"".join(_archive()))
    for name, rows in (("reference", _reference()), ("exercises", _exercises()), ("questions", _questions())):
        lines = (json.dumps(row, sort_keys=name != "exercises").encode() + b"\n" for row in rows)
        _write(corpus / f"{name}.jsonl", b"".join(lines))
    pq.write_table(_code(), corpus / "code.parquet", compression="zstd")


def _stamp(corpus: Path) -> str:
    """What the corpus is made by, and the SHA-256 of what is there."""
    makers = [Path(__file__), Path(library_pages.__code__.co_filename)]
    files = [*makers, *sorted(corpus.iterdir())]
    return json.dumps([sys.version, *([path.name, sha256(path)] for path in files)])


def recipe_of(folder: Path) -> Path:
    """Where the demo's classifier recipe is."""
    return folder / "quickstart-classifier.yaml"


def language_model() -> Path | None:
    """The language model that the demo uses, if it is on this machine: it is not worth a download."""
    return at_hand("lid.176.ftz")


def _write(path: Path, content: bytes) -> None:
    if not path.exists() or path.read_bytes() != content:
        path.write_bytes(content)


def _archive() -> Iterator[bytes]:
    yield _record("warcinfo", f"{SITE}/", b"software: curate\r\n", "application/warc-fields")
    for name, page in library_pages().items():
        yield _response(f"{SITE}/library/{name}.html", "200 OK", "text/html; charset=utf-8", page)
    for status, kind, path, body in ODD_PAGES:
        yield _response(SITE + path, status, kind, body)
    yield _record("revisit", f"{SITE}/library/json.html", b"HTTP/1.1 304 Not Modified\r\n\r\n", "application/http")


def _response(url: str, status: str, kind: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    return _record("response", url, head + body, "application/http; msgtype=response")


def _record(kind: str, url: str, content: bytes, content_type: str) -> bytes:
    """One WARC record, compressed on its own. Its id is a name-based UUID, the same on every machine."""
    head = (
        f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Record-ID: <urn:uuid:{uuid5(NAMESPACE_URL, kind + url)}>\r\n"
        f"WARC-Date: {DATE}\r\nWARC-Target-URI: {url}\r\nContent-Type: {content_type}\r\n"
        f"Content-Length: {len(content)}\r\n\r\n"
    )
    return gzip.compress(head.encode() + content + b"\r\n\r\n", mtime=0)


def _reference() -> Iterator[dict]:
    for name, text in sorted(topics.topics.items()):
        yield {"text": text, "meta": {"redpajama_set_name": "RedPajamaBook", "topic": name}}


def _exercises() -> Iterator[dict]:
    """What the methods of built-in types do, with four options of which one is right."""
    for kind in (str, bytes, list, dict, set, int, float):
        summaries = {name: (inspect.getdoc(getattr(kind, name)) or "").split("\n")[0] for name in dir(kind)}
        names = [name for name, summary in summaries.items() if summary and not name.startswith("_")]
        for place, name in enumerate(names):
            answer = place % 4
            options = [summaries[names[(place - answer + option) % len(names)]] for option in range(4)]
            question = f"What does the method `{name}` of `{kind.__name__}` do?"
            yield {"question": question, "options": options, "answer": answer}


def _questions() -> Iterator[dict]:
    """The first long paragraph of some topics, so that there is something to find."""
    for name, text in sorted(topics.topics.items())[::16]:
        paragraphs = (" ".join(paragraph.split()) for paragraph in text.split("\n\n"))
        question = next((one for one in paragraphs if len(one.split()) >= 20), None)
        if question:
            yield {"topic": name, "question": question}


def _code() -> pa.Table:
    root = Path(sysconfig.get_paths()["stdlib"])
    rows = []
    for path in sorted(root.rglob("*.py")):
        name = path.relative_to(root)
        if SKIPPED_PACKAGES.isdisjoint(name.parts) and not name.parts[0].startswith("config-"):
            content = path.read_text(encoding="utf-8", errors="replace")
            rows.append({"content": content, "max_stars_repo_path": f"Lib/{name.as_posix()}"})
    lines = [row["content"].splitlines() or [""] for row in rows]
    columns = {
        "hexsha": [f"{place:040x}" for place in range(len(rows))],
        "size": [len(row["content"].encode()) for row in rows],
        "ext": ["py"] * len(rows),
        "lang": ["Python"] * len(rows),
        "content": [row["content"] for row in rows],
        "max_stars_repo_path": [row["max_stars_repo_path"] for row in rows],
        "max_stars_repo_name": ["python/cpython"] * len(rows),
        "max_stars_repo_licenses": [["PSF-2.0"]] * len(rows),
        "max_stars_count": pa.array([None] * len(rows), pa.int64()),
        "avg_line_length": [sum(map(len, split)) / len(split) for split in lines],
        "max_line_length": [max(map(len, split)) for split in lines],
    }
    return pa.table(columns)
