"""A few seconds of fuzzing for each reader of data that strangers may have written; the benchmark has minutes."""

import json
import random
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "fuzz"))
from fuzz_loop import Watch, fuzz, mutated

TARGETS = [
    "warc",
    "arc",
    "http",
    "html",
    "jsonl",
    "json",
    "csv",
    "text",
    "parquet",
    "manifest",
    "lock",
    "fasttext",
    "npz",
]
EXECUTIONS = 40


def test_every_reader_takes_whatever_it_is_given(tmp_path):
    found = fuzz(TARGETS, tmp_path, executions=EXECUTIONS, seed=1)
    assert not found.found, json.dumps(found.found, indent=1)
    assert all(count > EXECUTIONS for count in found.executions.values()), found.executions
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("error", [KeyError("a"), RecursionError(), SystemExit(70)])
def test_what_a_reader_must_not_raise_is_found(tmp_path, error):
    def attempt(name: str, data: bytes) -> None:
        if b"bad" in data:
            raise error

    watch = Watch("jsonl", tmp_path, attempt)
    for data in (b"good", b"bad 1", b"bad 2"):
        watch(data)
    [found] = map(json.loads, (tmp_path / "log").read_text().splitlines())
    assert found["error"].startswith(type(error).__name__)
    assert Path(found["input"]).read_bytes() == b"bad 1"  # the second is at the same place


def test_mutations_are_the_same_for_the_same_seed():
    seeds = [b'{"text": "words", "n": 12}\n' * 5, b"other", b""]
    made = [[mutated(seeds[n % 3], seeds, random.Random(n)) for n in range(300)] for _ in range(2)]
    assert made[0] == made[1]
    assert len(set(made[0])) > 200
