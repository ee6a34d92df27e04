"""Small corpora, manifests over them, and runs, for the tests of the engine."""

import gzip
import io
import json
import random
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from texts import reference_words

from curate.cli.commands import main
from curate.release.make import Released, run_events

WORDS = [
    "the",
    "of",
    "and",
    "to",
    "in",
    "model",
    "data",
    "page",
    "crawl",
    "token",
    "river",
    "stone",
    "light",
    "über",
    "naïve",
    "数据",
    "текст",
]
COPY = "The very same words stand in more than one place, and only the first of them stays. "


def sentence(random: random.Random, words: int) -> str:
    return " ".join(random.choices(WORDS, k=words)) + "."


def rows(seed: int, count: int, words: int = 80) -> list[dict]:
    """Documents of some words; every seventh is a copy that other seeds have too, every eleventh is short."""
    chance = random.Random(seed)
    texts = [
        COPY * (1 + row % 3) if row % 7 == 3 else sentence(chance, 3 if row % 11 == 5 else words)
        for row in range(count)
    ]
    return [{"text": text, "url": f"https://{seed}.example/{row}"} for row, text in enumerate(texts)]


def resembling(seed: int, documents: list[dict]) -> list[dict]:
    """These documents again, with a run of 1 to 8 words changed: some are near-duplicates, some are not."""
    chance = random.Random(seed)
    found = []
    for number, document in enumerate(documents):
        words = document["text"].split()
        start, length = chance.randrange(len(words)), 1 + number % 8
        words[start : start + length] = [f"changed{seed}x{number}x{place}" for place in range(length)]
        found.append({"text": " ".join(words), "url": f"https://{seed}.example/again/{number}"})
    return found


def jaccard(one: str, other: str, n: int = 5) -> float:
    """True similarity of two texts by their word n-grams, in plain Python."""
    first, second = (_shingles(reference_words(text.lower().encode()), n) for text in (one, other))
    return len(first & second) / len(first | second)


def _shingles(words: list[str], n: int) -> set[tuple[str, ...]]:
    return {tuple(words[start : start + n]) for start in range(max(len(words) - n + 1, 1))}


def write_jsonl(path: Path, rows: list[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(lines, mtime=0) if path.suffix == ".gz" else lines)


def record(kind: str, url: str, content: bytes, content_type: str) -> bytes:
    """One WARC record, compressed on its own."""
    head = (
        f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Record-ID: <urn:test:{url}>\r\nWARC-Date: 2025-01-01T00:00:00Z\r\n"
        f"WARC-Target-URI: {url}\r\nContent-Type: {content_type}\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    return gzip.compress(head.encode() + content + b"\r\n\r\n", mtime=0)


def response(url: str, body: str, status: str = "200 OK", kind: str = "text/html; charset=utf-8") -> bytes:
    payload = body.encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(payload)}\r\n\r\n"
    return record("response", url, head.encode() + payload, "application/http; msgtype=response")


def write_warc(path: Path, pages: list[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    page = "<html><head><title>A page</title></head><body><p>{}</p></body></html>"
    path.write_bytes(b"".join(response(row["url"], page.format(row["text"])) for row in pages))


def write_corpus(folder: Path) -> Path:
    """Four sources in all formats (a few hundred documents), and a manifest that takes them through map stages, a filter
    and group stages. Returns the manifest's path."""  # noqa: E501
    write_warc(folder / "in" / "web.warc.gz", rows(1, 60))
    write_jsonl(folder / "in" / "old" / "a.jsonl", rows(2, 70))
    write_jsonl(folder / "in" / "old" / "b.jsonl.gz", rows(3, 50))
    pq.write_table(pa.Table.from_pylist(rows(4, 90)), folder / "in" / "table.parquet", row_group_size=40)
    write_jsonl(folder / "in" / "extra.jsonl", rows(5, 40))
    return write_manifest(folder / "manifest.yaml", CORPUS)


CORPUS = {
    "name": "small",
    "version": "1.0.0",
    "license": "cc0-1.0",
    "sources": {
        "web": {
            "inputs": ["in/web.warc.gz"],
            "pipeline": ["extract", "normalize", {"exact_dedup": "url"}],
            "priority": 1,
        },
        "old": {"inputs": ["in/old"], "pipeline": ["normalize", "fragile"], "license": "mit"},
        "table": {"inputs": ["in/table.parquet"], "priority": 3},
        "extra": {"inputs": ["in/extra.jsonl"], "priority": 2},
    },
    "stages": [
        {"length": {"min_words": 5}},
        {"exact_dedup": {"by": "normalized_text", "bins": 3}},
        {"filter": {"too_few": "n_words < 12", "from_nowhere": "url like '%/13'"}},
    ],
    "shards": {"size": "20KB", "columns": ["n_words"]},
}


def write_manifest(path: Path, document: dict) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(document, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return path


def one_source(folder: Path, documents: list[dict], pipeline: list, **more) -> Path:
    """A manifest over one file of rows."""
    write_jsonl(folder / "in.jsonl", documents)
    source = {"inputs": ["in.jsonl"], "pipeline": pipeline}
    document = {"name": "one", "version": "1.0.0", "license": "cc0-1.0", "sources": {"only": source}}
    return write_manifest(folder / "manifest.yaml", document | more)


def release(manifest: Path, work: Path, workers: int = 0, **options) -> Released:
    """Run a manifest to its end; tests change manifests and run them again, and may leave nothing."""
    *_, last = run_events(manifest, work, workers=workers, **{"replace": True, "allow_empty": True} | options)
    assert isinstance(last, Released)
    return last


def released_rows(release: Path) -> list[dict]:
    files = sorted((release / "data").glob("*.parquet"))
    return [row for file in files for row in pq.read_table(file).to_pylist()]


def rejected_rows(release: Path) -> list[dict]:
    return pq.read_table(release / "evidence" / "rejected.parquet").to_pylist()


def curate(*arguments: str | Path, **options) -> subprocess.CompletedProcess:
    """Run the command line: in this process, or with options of `subprocess.run` in one of its own."""
    words = ["curate", *map(str, arguments)]
    if options:
        command = [sys.executable, "-m", *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, **options)
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="") for _ in range(2))
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as ended:
            main()
    told = [stream.flush() or stream.buffer.getvalue().decode() for stream in (out, err)]
    return subprocess.CompletedProcess(words, ended.value.code, *told)
