"""Exact duplicates against ten lines of plain Python, in every partitioning."""

import re
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from releases import one_source, release, write_jsonl, write_manifest

from curate.dedup.exact_dedup import exact_dedup
from curate.documents import comparable
from curate.errors import ManifestError
from curate.manifest.manifest import load
from curate.release.make import prepare
from curate.testing import check, docs, run_steps


def reference(rows: list[dict], key, keep: list[str]) -> dict[str, str]:
    """{id of a duplicate: id of the document that stays}: sort in keep order, then first come, first kept."""

    def order(row):
        keys = [row["priority"]]
        for name in keep:
            value = row[name.removeprefix("-")]
            keys += [value is None, 0 if value is None else -value if name.startswith("-") else value]
        return (*keys, row["id"])

    kept: dict = {}
    pairs = [
        (row["id"], kept.setdefault(key(row), row["id"])) for row in sorted(rows, key=order) if key(row) is not None
    ]
    return {id: first for id, first in pairs if id != first}


def decisions(partitions: list[list[dict]], bins: int, by: str, keep: list[str]) -> dict[str, str]:
    """What the stage's steps say, over these partitions."""
    schema = pa.schema(
        [
            ("id", pa.string()),
            ("text", pa.string()),
            ("url", pa.string()),
            ("score", pa.float64()),
            ("priority", pa.int32()),
        ]
    )
    tables, ids = [], {}
    for number, rows in enumerate(partitions):
        doc = np.arange(len(rows), dtype=np.uint64) | np.uint64(number << 32)
        ids |= {int(one): row["id"] for one, row in zip(doc, rows, strict=True)}
        tables.append(pa.Table.from_pylist(rows, schema).append_column("doc", pa.array(doc)))
    found = run_steps(exact_dedup.function(by=by, keep=keep, bins=bins), tables)[-1].to_pylist()
    assert {row["reject"] for row in found} <= {"duplicate_url" if by == "url" else "duplicate_text"}
    return {ids[row["doc"]]: row["duplicate_of"] for row in found}


def plain(text: str | None) -> str | None:
    if text is None:
        return None
    return " ".join(re.sub(r"[!-/:-@\[-`{-~]+", "", text.lower()).split())


def address(url: str | None) -> tuple | None:
    return url and (urlsplit(url).scheme.lower(), urlsplit(url).netloc.lower(), urlsplit(url).path, urlsplit(url).query)


KEYS = {
    "text": lambda row: row["text"],
    "normalized_text": lambda row: plain(row["text"]),
    "url": lambda row: address(row["url"]),
}

documents = st.lists(
    st.fixed_dictionaries(
        {
            "text": st.none() | st.sampled_from(["", "a", "A", "a!", " a ", "a b", "A  b.", "é", "数"]),
            "url": st.none()
            | st.sampled_from(["http://a/x", "HTTP://A/x", "http://a/X", "http://a/x#y", "http://a/x?"]),
            "score": st.none() | st.sampled_from([0.0, 0.5, 1.0]),
            "priority": st.integers(0, 2),
        }
    ),
    max_size=25,
)


@given(
    documents,
    st.sampled_from(sorted(KEYS)),
    st.sampled_from([[], ["score"], ["-score"]]),
    st.integers(1, 5),
    st.integers(1, 4),
    st.randoms(use_true_random=False),
)
def test_against_the_reference(rows, by, keep, bins, count, chance):
    for number, row in enumerate(rows):
        row["id"] = f"{number:032x}"
    chance.shuffle(rows)
    partitions = [rows[start::count] for start in range(count)]
    assert decisions(partitions, bins, by, keep) == reference(rows, KEYS[by], keep)


@given(st.lists(st.none() | st.text(alphabet="aBÉß .,!~\t\n\u00a0\u3000中")))
def test_comparable(texts):
    result = comparable(pa.chunked_array([pa.array(texts, pa.string())])).to_pylist()
    assert result == [plain(text) for text in texts]


@pytest.mark.parametrize("by", sorted(KEYS))
def test_laws(by):
    texts = ["a", "b", "a", None, "A."]
    check("exact_dedup", docs(*texts, url=[*"xyx", None, "z"]), {"by": by, "bins": 2})


def test_spellings_of_one_url_are_one(tmp_path):
    spellings = ["https://bücher.example/café", "https://XN--BCHER-KVA.example:443/x/../caf%c3%a9#top"]
    others = ["http://bücher.example/café", "https://[::1", "https://[::2", "https://bücher.example/Café"]
    rows = [{"text": f"text {place}", "url": url} for place, url in enumerate(spellings + others)]
    made = release(one_source(tmp_path, rows, [{"exact_dedup": "url"}]), tmp_path / "work")
    assert (made.lock["documents"], made.lock["rejected"]) == (5, 1)


def test_in_a_release(tmp_path):
    """Priority before the column, the column before the id; the same in any number of bins."""
    texts = {"first": [("same", 1), ("own", 1)], "second": [("same", 9), ("twice", 1), ("twice", 2)]}
    for name, pairs in texts.items():
        write_jsonl(tmp_path / f"{name}.jsonl", [{"text": text, "n": "w " * n} for text, n in pairs])
    sources = {
        name: {"inputs": [f"{name}.jsonl"], "priority": place, "pipeline": [{"length": {"min_words": 0}}]}
        for place, name in enumerate(texts)
    }
    digests = set()
    for bins in (0, 1, 7):
        stages = [{"exact_dedup": {"by": "text", "keep": ["-position"], "bins": bins}}]
        document = {"name": "d", "version": "1.0.0", "license": "mit", "sources": sources, "stages": stages}
        made = release(write_manifest(tmp_path / "m.yaml", document), tmp_path / "work")
        digests.add(made.lock["digest"])
        out = {name: count["kept"] for name, count in made.lock["stages"][-1]["sources"].items()}
        assert out == {"first": 2, "second": 1}
    assert len(digests) == 1


@pytest.mark.parametrize("keep", [["id"], ["-id"], ["date", "date"], ["n_words", "-n_words"]])
def test_odd_keep_orders(tmp_path, keep):
    pipeline = ["length", {"exact_dedup": {"by": "url", "keep": keep}}]
    made = release(one_source(tmp_path, [{"text": "w " * 60, "url": "http://a"}] * 3, pipeline), tmp_path / "work")
    assert made.lock["documents"] == 1


def test_an_unknown_column_is_named_before_anything_runs(tmp_path):
    manifest = one_source(tmp_path, [{"text": "a"}], [{"exact_dedup": {"keep": ["-langage"]}}])
    with pytest.raises(ManifestError, match="did you mean `language`"):
        prepare(load(manifest), tmp_path / "work")
