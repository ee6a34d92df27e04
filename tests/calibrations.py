"""Two releases to draw calibration sets from, and what is in a release or a set."""

import random
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from releases import release, write_jsonl, write_manifest
from small_tokenizers import small_tokenizer

SOURCES = {"news": (60, 40, 400), "code": (90, 10, 150), "chat": (150, 6, 40)}
"""Documents of each source, with the least and the most words of one."""
SMALL = {"sequences": 24, "length": 64}


def prose(chance: random.Random, words: int) -> str:
    return " ".join("".join(chance.choices("abcdefghij", k=chance.randint(2, 7))) for _ in range(words))


def write_sources(folder: Path) -> dict:
    for number, (name, (count, least, most)) in enumerate(SOURCES.items()):
        chance = random.Random(number)
        texts = [prose(chance, chance.randint(least, most)) for _ in range(count)]
        write_jsonl(folder / f"{name}.jsonl", [{"text": text} for text in texts])
    return {"sources": {name: {"inputs": [f"{name}.jsonl"]} for name in SOURCES}}


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    """A release with counted tokens, documents held out, and two phases of which one sees documents again."""
    folder = tmp_path_factory.mktemp("small")
    mixture = {"validation": 0.1, "repeats": 2}
    mixture["phases"] = [
        {"name": "main", "budget": 30_000, "context": 32, "weights": {"news": 0.5, "code": 0.3, "chat": 0.2}},
        {"name": "late", "budget": 6_000, "weights": {"code": 1}},
    ]
    document = {"name": "small", "version": "1.0.0", "license": "cc0-1.0"} | write_sources(folder)
    document |= {"stages": [{"tokens": {"tokenizer": small_tokenizer()}}, "exact_dedup"], "mixture": mixture}
    return release(write_manifest(folder / "small.yaml", document | {"shards": {"size": "40KB"}}), folder / "work").path


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> Path:
    """A release without tokens, phases and validation."""
    folder = tmp_path_factory.mktemp("plain")
    document = {"name": "plain", "version": "2.0.0", "license": "mine"} | write_sources(folder)
    return release(write_manifest(folder / "plain.yaml", document), folder / "work").path


def rows_of(path: Path, pattern: str) -> list[dict]:
    return [row for file in sorted((path / "data").glob(pattern)) for row in pq.read_table(file).to_pylist()]


def trained_rows(path: Path) -> list[dict]:
    held_out = held_out_ids(path)
    return [row for row in rows_of(path, "**/*.parquet") if row["id"] not in held_out]


def held_out_ids(path: Path) -> set[str]:
    return {row["id"] for row in rows_of(path, "validation/*.parquet")}


def pieces_of(path: Path) -> list[dict]:
    return pq.read_table(path / "documents.parquet").to_pylist()


def files_of(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in path.iterdir()}
