"""JSONL and Parquet: every line and row becomes a document or a named reason, in any of the known layouts."""

import gzip
import json
import math
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from source_rows import lines, table

from curate.errors import CurateError
from curate.sources import File, Origin, layouts, row_mapping
from curate.sources.format_api import format_for, format_of
from curate.sources.formats import jsonl
from curate.sources.row_mapping import mapping

SHARED = Path(__file__).resolve().parents[1].parent / "shared" / "data" / "rows"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared rows are not on this machine")
# Layouts ---------------------------------------------------------------------------------------------------

# fmt: off
STACK = {
    "hexsha": "ab12", "size": 9, "ext": "py", "lang": "Python", "content": "x = 1", "avg_line_length": 5.0,
    "max_line_length": 5, "alphanum_fraction": 0.6, "max_stars_repo_path": "a/b.py",
    "max_stars_repo_name": "o/r", "max_stars_repo_head_hexsha": "cd34", "max_stars_count": None,
    "max_stars_repo_licenses": ["MIT", "Apache-2.0"],
    "max_stars_repo_stars_event_min_datetime": "2020-01-01T00:00:00.000Z",
}
DCLM = {
    "text": "t", "url": "http://a",
    "metadata": {"WARC-Date": "2013-05-18T10:00:00Z", "WARC-Record-ID": "<urn:1>"},
    "language_id_whole_page_fasttext": {"en": 0.9}, "previous_word_count": 7, "warcinfo": "robots: classic",
    "fasttext_openhermes_reddit_eli5_vs_rw_v2_bigram_200k_train_prob": 0.02,
}
ROWS = [
    (
        "slimpajama",
        {"text": "t", "meta": {"redpajama_set_name": "RedPajamaC4"}},
        {"meta": {"set": "RedPajamaC4"}},
    ),
    (
        "redpajama",
        {"text": "t", "meta": {"url": "http://a", "timestamp": "2023", "language": "en", "source": "arxiv"}},
        {"url": "http://a", "date": "2023", "language": "en", "meta": {"set": "arxiv"}},
    ),
    (
        "dclm",
        DCLM,
        {
            "url": "http://a",
            "date": "2013-05-18T10:00:00Z",
            "meta": {"record_id": "<urn:1>", "english": 0.9, "quality": 0.02, "previous_word_count": 7},
        },
    ),
    (
        "the-stack",
        STACK,
        {
            "text": "x = 1",
            "language": "Python",
            "license": "MIT, Apache-2.0",
            "date": "2020-01-01T00:00:00.000Z",
            "meta": {
                "id": "ab12", "path": "a/b.py", "commit": "cd34", "extension": "py", "size": 9,
                "max_stars_repo": "o/r", "avg_line_length": 5.0, "max_line_length": 5,
                "alphanum_fraction": 0.6,
            },
        },
    ),
    (
        "fineweb",
        {"text": "t", "id": "<urn:1>", "dump": "CC-MAIN-2013-20", "url": "http://a", "date": "2013",
         "file_path": "s3", "language": "en", "language_score": 0.9, "token_count": 3},
        {"url": "http://a", "date": "2013", "language": "en",
         "meta": {"id": "<urn:1>", "dump": "CC-MAIN-2013-20", "file_path": "s3", "language_score": 0.9,
                  "token_count": 3}},
    ),
    (
        "dolma",
        {"text": "t", "id": "x", "source": "common-crawl", "created": "2020", "metadata": {"url": "http://a"}},
        {"url": "http://a", "date": "2020", "meta": {"id": "x", "set": "common-crawl"}},
    ),
    (
        "c4",
        {"text": "t", "url": "http://a", "timestamp": "2019"},
        {"url": "http://a", "date": "2019", "meta": None},
    ),
]


# fmt: on


@pytest.mark.parametrize("store", ["jsonl", "parquet", "meta as a string"])
@pytest.mark.parametrize(("layout", "row", "expected"), ROWS, ids=[row[0] for row in ROWS])
def test_layouts_of_known_datasets(tmp_path, layout, row, expected, store):
    if store == "meta as a string":
        row = {key: json.dumps(value) if isinstance(value, dict) else value for key, value in row.items()}
    if store == "parquet":
        [found] = table(tmp_path, pa.Table.from_pylist([row]), layout=layout)
    else:
        [found] = lines(tmp_path, json.dumps(row).encode(), layout=layout)
    expected = {"text": "t", "url": None, "date": None, "language": None, "license": None} | expected
    assert {key: found[key] for key in expected if key != "meta"} == {
        key: value for key, value in expected.items() if key != "meta"
    }
    assert (json.loads(found["meta"]) if found["meta"] else None) == expected["meta"]
    assert found["reject"] is None


def test_columns_map_anything_else(tmp_path):
    columns = {"text": "content", "url": "link", "date": "at", "meta": ["stars", "repo.name"]}
    row = {"content": "t", "link": "u", "at": "2020", "stars": 3, "repo": {"name": "n"}, "other": 1}
    [found] = lines(tmp_path, json.dumps(row).encode(), columns=columns)
    assert (found["text"], found["url"], found["date"]) == ("t", "u", "2020")
    assert found["meta"] == '{"repo.name": "n", "stars": 3}'
    row["at"] = datetime(2020, 1, 2, tzinfo=UTC)
    [found] = table(tmp_path, pa.Table.from_pylist([row]), columns=columns | {"meta": {"s": "stars"}})
    assert (found["text"], found["date"], found["meta"]) == ("t", "2020-01-02T00:00:00+00:00", '{"s": 3}')


def test_a_nested_text_is_found(tmp_path):
    rows = [{"doc": {"body": "a"}}, {"doc": None}]
    found = lines(tmp_path, "\n".join(map(json.dumps, rows)).encode(), columns={"text": "doc.body"})
    assert [(row["text"], row["reject"]) for row in found] == [("a", None), (None, "no_text")]
    found = table(tmp_path, pa.Table.from_pylist(rows), columns={"text": "doc.body"})
    assert [(row["text"], row["reject"]) for row in found] == [("a", None), (None, "no_text")]


def test_mistakes_in_a_mapping():
    with pytest.raises(CurateError, match="did you mean `slimpajama`"):
        row_mapping.mapping("slimpyjama")
    with pytest.raises(CurateError, match="did you mean `text`"):
        row_mapping.mapping(columns={"txt": "a"})


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=["Cs"])),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
        max_leaves=20,
    )
)
def test_meta_is_always_json(value):
    def spelled(v):
        if isinstance(v, dict):
            return {key: spelled(item) for key, item in v.items()}
        if isinstance(v, list):
            return [spelled(item) for item in v]
        odd = isinstance(v, float) and not math.isfinite(v)
        return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(v)] if odd else v

    assert json.loads(layouts.as_json(value), parse_constant=lambda name: pytest.fail(name)) == spelled(value)


@needs_shared
def test_real_rows():
    for name, layout in (
        ("c4/c4-sample.01.json.gz", "c4"),
        ("dolma/cc_en_head-0091.jsonl", "dolma"),
        ("dolma/documents-000.json.gz", "dolma"),
        ("data-juicer/arxiv.jsonl", "redpajama"),
        ("llamafactory/c4_demo.jsonl", None),
    ):
        path = SHARED / name
        data = gzip.decompress(path.read_bytes()) if name.endswith(".gz") else path.read_bytes()
        texts = [json.loads(line)["text"] for line in data.splitlines()]
        tables = format_for(name).read(File(name, str(path)), origin=Origin("t"), layout=layout)
        assert [text for found in tables for text in found["text"].to_pylist()] == texts, name


def test_formats_by_name():
    names = {
        "a.warc.gz": "warc", "a.WARC": "warc", "a.warc.wet.gz": "wet", "a.arc.gz": "arc",
        "a.jsonl.zst": "jsonl", "a.json.gz": "jsonl", "a.parquet": "parquet", "a.parquet.gz": None,
        "a.warc.wat.gz": None, "a.html": "html", "a.tsv.xz": "csv", "a.TXT": "text", "a.page": None,
    }  # fmt: skip
    assert {name: format_of(name) for name in names} == names
    with pytest.raises(CurateError, match="cannot infer the format"):
        format_for("a.page")
    assert format_for("a.page", "jsonl") is jsonl.FORMAT


def test_json_in_a_column_is_read_once_for_all_places(monkeypatch):
    place, read = mapping("redpajama"), []
    monkeypatch.setattr(layouts, "parsed", lambda text: read.append(text) or json.loads(text))
    row = {"text": "a", "meta": '{"url": "http://a.example/", "language": "en", "title": "b"}'}
    assert place.others(row)[0] == "http://a.example/"
    assert place.others(row | {"meta": '{"url": "b"}'})[0] == "b"
    assert len(read) == 2
