"""`curate init` looks at the data: what it finds is so, is in the manifest, and the manifest can be planned."""

import csv
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import curate
from curate.inspect.first_look import look
from curate.inspect.row_guess import columns_of, layout_of
from curate.sources.layouts import LAYOUTS

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
PROSE = "The river carries sand to the sea, and the sea gives it back. " * 5


def jsonl(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def started(tmp_path, *items):
    """The sources of the manifest that is written for inputs, which must be one that can be planned."""
    path = tmp_path / "manifest.yaml"
    curate.init(path, [str(item) for item in items])
    assert curate.plan(path, tmp_path / "work")["run"] > 0
    return yaml.safe_load(path.read_text())["sources"]


def test_columns_of_other_names_are_told(tmp_path):
    row = {"id": 7, "payload": {"Body": PROSE, "note": "x"}, "link": "https://a.example/", "created_at": "2024-01-01"}
    sources = started(tmp_path, jsonl(tmp_path / "a.jsonl", row, row | {"id": 8}))
    assert sources["rows"]["columns"] == {"text": "payload.Body", "url": "link", "date": "created_at"}


def test_a_known_layout_is_told_by_its_columns(tmp_path):
    row = {"content": "print(1)\n" * 9, "lang": "Python", "hexsha": "0", "size": 9, "ext": "py"}
    names = list(LAYOUTS["the-stack"]["meta"].values())
    row |= {name: 1 for name in names if name not in row} | {"max_stars_repo_licenses": ["MIT"]}
    pq.write_table(pa.Table.from_pylist([row, row]), tmp_path / "a.parquet")
    assert started(tmp_path, tmp_path / "a.parquet")["the_stack"]["layout"] == "the-stack"


@pytest.mark.parametrize(
    ("name", "rows", "expected"),
    [
        ("own names", [{"text": "a b", "url": "u"}], {}),
        ("no text", [{"n": 1, "when": None}], {}),
        ("the longest", [{"title": "Sand", "essay": PROSE}], {"text": "essay"}),
        ("no address", [{"link": "https://a.example", "story": "Once."}], {"text": "story", "url": "link"}),
        ("now and then", [{"body": PROSE}, {"title": "x"}, {"body": PROSE}], {"text": "body"}),
    ],
)
def test_where_the_text_is(name, rows, expected):
    assert columns_of(rows) == expected


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9) | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(st.dictionaries(st.text(max_size=6) | st.sampled_from(["text", "url", "a.b"]), VALUES), max_size=4))
def test_any_rows_can_be_looked_at(rows):
    for place in columns_of(rows).values():
        assert isinstance(place, str)
    assert layout_of(rows) in {None, *LAYOUTS}


def test_formats_that_must_be_set_are_set(tmp_path):
    for name, text in {
        "pages/a.html": f"<p>{PROSE}",
        "texts/a.txt": PROSE,
        "table.tsv": f"body\tn\n{PROSE}\t1\n",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    sources = started(tmp_path, tmp_path / "pages", tmp_path / "texts", tmp_path / "table.tsv")
    assert {name: source["format"] for name, source in sources.items()} == {
        "rows": "csv",
        "pages": "html",
        "texts": "text",
    }
    assert sources["rows"]["columns"] == {"text": "body"}
    assert sources["pages"]["pipeline"] == "quickstart"


def test_a_long_field_of_a_table_is_looked_at(tmp_path):
    csv.field_size_limit(1 << 17)  # Python's own, which other packages raise
    (tmp_path / "a.csv").write_text(f'body,n\n"{PROSE * 1000}",1\n')
    assert started(tmp_path, tmp_path / "a.csv")["rows"]["columns"] == {"text": "body"}


def test_inputs_that_are_read_in_one_way_are_one_source(tmp_path):
    one, two = (jsonl(tmp_path / f"{name}.jsonl", {"text": PROSE, "n": 1}) for name in "ab")
    three = jsonl(tmp_path / "c.jsonl", {"story": PROSE})
    sources = started(tmp_path, one, three, two)
    assert sorted(len(source["inputs"]) for source in sources.values()) == [1, 2]


def test_nothing_of_a_document_and_no_line_of_a_stranger_is_in_the_manifest(tmp_path):
    path = tmp_path / "manifest.yaml"
    name = "te\nxt:\n  - run\x1b[31m"
    jsonl(tmp_path / "a.jsonl", {name: "secret words of a person", "page": "https://a.example/?token=123"})
    (found,) = curate.init(path, [str(tmp_path / "a.jsonl")])
    text = path.read_text()
    assert found.documents[0]["text"] == "secret words of a person"
    assert "secret words" not in text
    assert "token=123" not in text
    assert "\x1b" not in text
    assert yaml.safe_load(text)["sources"]["rows"]["columns"] == {"text": name}


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.parquet", b"PAR1 and no more", "cannot be read"),
        ("a.jsonl", b"{broken\n", "none of the first documents"),
        ("a.jsonl.gz", b"not gzip at all", ""),
        ("a.warc.gz", b"neither", ""),
        ("a.csv", "text\n".encode("utf-16"), "UTF-16"),
    ],
)
def test_what_cannot_be_read_is_said_and_a_manifest_is_written(tmp_path, name, content, problem):
    (tmp_path / name).write_bytes(content)
    (found,) = curate.init(tmp_path / "manifest.yaml", [str(tmp_path / name)])
    assert problem in found.problem
    assert found.problem
    assert yaml.safe_load((tmp_path / "manifest.yaml").read_text())["sources"]


def test_the_schema_lies_beside_it_for_editors(tmp_path):
    path = tmp_path / "manifest.yaml"
    curate.init(path)
    assert path.read_text().startswith("# yaml-language-server: $schema=manifest.schema.json\n")
    assert json.loads((tmp_path / "manifest.schema.json").read_text())["title"]
    with pytest.raises(curate.CurateError, match="already exists"):
        curate.init(path)


@pytest.mark.skipif(not SHARED.exists(), reason="needs ../shared/data")
@pytest.mark.parametrize(
    ("rows", "layout"), [("rows/c4/c4-sample.01.json.gz", "c4"), ("rows/dolma", "dolma"), ("crawl/web-a.warc.gz", None)]
)
def test_real_data(rows, layout):
    found = look(str(SHARED / rows), SHARED)
    assert (found.layout, found.problem) == (layout, "")
    assert found.sampled >= 10
