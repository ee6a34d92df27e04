"""Source formats: each is one object; and what the reader of each new one gives, rejects and counts."""

import bz2
import csv
import gzip
import io
import json
import lzma
from importlib.metadata import version

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from releases import release, released_rows, write_manifest

from curate.errors import CurateError, ManifestError
from curate.sources import File, Origin, compression, inputs, json_scan, row_tables
from curate.sources.format_api import find_format, format_for, format_of, formats
from curate.sources.partitions import partitions


def read(folder, name, data, **options):
    """(rows, what was counted) of a file."""
    path = folder / name
    path.write_bytes(data)
    origin = Origin("s")
    found = find_format(options.pop("format", None) or format_of(name, data) or "")
    tables = found.read(File(name, str(path), len(data)), origin=origin, **found.configure(options))
    return [row for table in tables for row in table.to_pylist()], origin


def texts(rows):
    return [row["text"] if row["reject"] is None else row["reject"] for row in rows]


def source(folder, inputs, **more):
    document = {"name": "n", "version": "1.0.0", "license": "mit", "sources": {"s": {"inputs": inputs} | more}}
    return write_manifest(folder / "m.yaml", document)


# Formats as objects


def test_identities_of_the_first_formats_are_those_they_always_had():
    files = [File(name, f"/x/{name}", 100, "sha256:1") for name in ("a.warc.gz", "b.jsonl", "c.json.gz", "d.parquet")]
    made = [part.identity for part in partitions("s", None, {"layout": "c4", "columns": None}, files)]
    packages = {name: version(name) for name in ("fastwarc", "isal", "zstandard")}
    rows = {"source": "s", "version": 3, "packages": {}, "options": {"layout": "c4", "columns": None}}
    assert made == [
        {"source": "s", "format": "warc", "version": 3, "packages": packages, "options": {}}
        | {"pieces": [["a.warc.gz", "sha256:1", None]]},
        rows | {"format": "jsonl", "pieces": [["b.jsonl", "sha256:1", None], ["c.json.gz", "sha256:1", None]]},
        rows | {"format": "parquet", "pieces": [["d.parquet", "sha256:1", None]]},
    ]


def test_every_format_says_all_of_itself():
    for name, found in formats().items():
        assert found.name == name
        assert found.title
        assert found.reasons
        assert format_for(f"a{found.endings[0]}", name) is found
        for option, field in found.own_options.items():
            assert field.description, f"{name}: {option}"


def test_a_plugin_adds_a_format(tmp_path, odd_stages):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.poem").write_text("A Title\n\nRoses\nare red\n\nViolets\n")
    made = release(source(tmp_path, ["in"], options={"title": True}), tmp_path / "work")
    assert {row["text"] for row in released_rows(made.path)} == {"Roses\nare red", "Violets"}


def test_without_the_plugin_its_format_is_unknown(tmp_path):
    (tmp_path / "a.poem").write_text("a")
    with pytest.raises(CurateError, match="cannot infer the format"):
        release(source(tmp_path, ["a.poem"]), tmp_path / "work")
    with pytest.raises(CurateError, match="unknown format `stanzas`"):
        release(source(tmp_path, ["a.poem"], format="stanzas"), tmp_path / "work")


@pytest.mark.parametrize(
    ("settings", "what", "fix"),
    [
        ({"format": "cvs"}, "unknown format `cvs`", "csv"),
        ({"format": "csv", "options": {"separator": "x"}}, "format `csv` has no option `separator`", ""),
        ({"options": {"delimeter": ";"}}, "no format has an option `delimeter`", "delimiter"),
        (
            {"options": {"delimiter": ";;"}},
            "a delimiter must be one character other than a quote or a line break",
            "write `delimiter",
        ),
        ({"options": {"base_url": "site"}}, "a URL such as https://site.example/", ""),
    ],
)
def test_settings_of_formats_are_checked_with_the_manifest(tmp_path, settings, what, fix):
    (tmp_path / "a.csv").write_text("text\na\n")
    with pytest.raises(CurateError) as caught:
        release(source(tmp_path, ["a.csv"], **settings), tmp_path / "work")
    problems = caught.value.problems if isinstance(caught.value, ManifestError) else [caught.value]
    assert what in problems[0].what
    assert fix in problems[0].fix


def test_an_option_that_no_file_takes_is_an_error(tmp_path):
    (tmp_path / "a.csv").write_text("text\na\n")
    with pytest.raises(CurateError, match="no file of source `s` has a format with the option `separator`"):
        release(source(tmp_path, ["a.csv"], options={"separator": "x"}), tmp_path / "work")


def test_a_folder_without_a_format_takes_what_it_always_took(tmp_path):
    for name in ("a.jsonl", "README.md", "numbers.csv", "index.html", "notes.txt"):
        (tmp_path / name).write_text('{"text": "a"}\n')
    found = inputs.discover([str(tmp_path)], tmp_path)
    assert [file.path for file in found.files] == ["a.jsonl"]
    assert found.passed["unknown extension"] == ["README.md", "index.html", "notes.txt", "numbers.csv"]
    assert len(inputs.discover([str(tmp_path)], tmp_path, "text").files) == 5


def test_a_glob_of_texts_needs_no_format_and_a_single_one_does(tmp_path):
    for name in ("one", "two"):
        (tmp_path / f"{name}.txt").write_text("It was a dark night.\nIt rained.\n")
    made = release(source(tmp_path, ["*.txt"]), tmp_path / "work")
    assert len(released_rows(made.path)) == 2
    with pytest.raises(CurateError, match="line 1 of a list of paths") as caught:
        release(source(tmp_path, ["one.txt"]), tmp_path / "work")
    assert "if it is a document, set `format: text`" in caught.value.fix


# JSON


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress, zstandard.compress])
@pytest.mark.parametrize(
    ("content", "format"),
    [
        ('[{"text": "a"}, {"text": "b"}]', "json"),
        ('\ufeff[\n  {"text": "a"},\n  {"text": "b"}\n]\n', "json"),
        ('{\n "text": "a"\n}\n{\n "text": "b"\n}\n', "json"),
        ('{"text": "a"}\n{"text": "b"}\n', "jsonl"),
        ('{"text": "a"}', "jsonl"),
        ("", "jsonl"),
    ],
)
def test_what_a_json_file_is_is_told_by_its_beginning(tmp_path, content, format, pack):
    path = tmp_path / "a.json"
    path.write_bytes(pack(content.encode()))
    if not path.stat().st_size:
        return
    [file] = inputs.resolve(["a.json"], tmp_path, tmp_path / "work").files
    assert file.format == format
    rows, _ = read(tmp_path, "a.json", path.read_bytes(), format=format)
    assert texts(rows) == list("ab")[: content.count("text")]


VALUES = [{"text": "a"}, {"text": 'b"]}, \\'}, {"text": None}, [1, [2]], "x", 5, {"text": "c", "in": [{"d": {}}]}]


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1 << 20])
def test_an_array_is_read_piece_by_piece(tmp_path, monkeypatch, indent, size):
    monkeypatch.setattr(compression, "_OUT", size)
    rows, origin = read(tmp_path, "a.json", json.dumps(VALUES, indent=indent).encode())
    wrong = ["not_object"] * 3
    assert texts(rows) == ["a", 'b"]}, \\', "no_text", *wrong, "c"]
    assert [row["position"] for row in rows] == list(range(7))
    assert json.loads(rows[-1]["meta"]) == {"in": [{"d": {}}]}
    assert (origin.files["a.json"].rows, origin.files["a.json"].bad_rows, origin.files["a.json"].lost) == (7, 4, 0)
    assert origin.files["a.json"].first_bad.startswith("value 3: no_text")


inner = st.recursive(
    st.none() | st.integers() | st.text(max_size=5), lambda one: st.lists(one, max_size=3), max_leaves=5
)
objects = st.dictionaries(st.text(max_size=3), inner, max_size=3).map(lambda one: one | {"text": "t"})


@settings(max_examples=150, deadline=None)
@given(st.lists(objects, max_size=6), st.sampled_from([None, 0, 2]), st.booleans(), st.integers(1, 9), st.booleans())
def test_values_are_those_of_json(found, indent, ascii, size, array):
    if array:
        data = json.dumps(found, indent=indent, ensure_ascii=ascii)
    else:
        data = "\n".join(json.dumps(one, indent=indent, ensure_ascii=ascii) for one in found)
    content = Pieces(data.encode("utf-8", "surrogatepass"), size)
    got = [json.loads(value.data) for value in json_scan.values(content, 1 << 20)]
    assert got == found


class Pieces:
    """A file that comes by a few bytes."""

    def __init__(self, data, size):
        self.data, self.step, self.before, self.after = data, size, 0, 0

    def __iter__(self):
        for start in range(0, len(self.data), self.step):
            piece = self.data[start : start + self.step]
            self.before, self.after = start, start + len(piece)
            yield piece

    def place(self, left):
        return self.after - left


@pytest.mark.parametrize(
    ("content", "told", "lost"),
    [
        (b'[{"text": "a"}, {"text": "b"', ["a", "truncated"], 12),
        (b'[{"text": "a"}, {"text": "b}, {"text": "c"}]', ["a", "truncated"], 28),
        (b'[{"text": "a"}', ["a"], 1),
        (b'[{"text": "a"} x, {"text": "b"},,]', ["a", "not_json", "b"], 0),
        (b'[{"text": "a", }, {"text": "b"}]', ["not_json", "b"], 0),
        (b'[{"text": "a\nb"}, {"text": "\xff"}]\n', ["not_json", "not_utf8"], 0),
        (b'[{"text": "a"}] garbage\n{"text": "b"}', ["a", "not_json", "b"], 0),
        (b"[]", [], 0),
    ],
)
def test_json_that_is_wrong_is_told_and_what_cannot_be_told_apart_is_lost(tmp_path, content, told, lost):
    rows, origin = read(tmp_path, "a.json", content, format="json")
    assert texts(rows) == told
    assert origin.of("a.json").lost == lost


def test_a_value_that_is_too_large_is_not_held(tmp_path, monkeypatch):
    monkeypatch.setattr("curate.sources.formats.json_values.MAX_ROW", 1000)
    monkeypatch.setattr(compression, "_OUT", 300)
    big = json.dumps({"text": "x" * 5000})
    rows, origin = read(tmp_path, "a.json", f'[{{"text": "a"}}, {big}, {{"text": "b"}}]'.encode())
    assert texts(rows) == ["a", "too_large", "b"]
    assert origin.files["a.json"].lost == len(big)


def test_after_damage_of_the_compression_the_rest_of_an_array_is_lost(tmp_path):
    one, two = (json.dumps([{"text": letter * 99} for letter in letters])[1:-1] for letters in ("ab", "cd"))
    data = gzip.compress(b"[" + one.encode() + b",", mtime=0), gzip.compress(b"{}" * 500, mtime=0)
    broken = bytearray(data[1])
    broken[15] ^= 255
    rows, origin = read(
        tmp_path, "a.json.gz", data[0] + broken + gzip.compress(two.encode() + b"]", mtime=0), format="json"
    )
    assert texts(rows)[:2] == ["a" * 99, "b" * 99]
    size = (tmp_path / "a.json.gz").stat().st_size
    assert origin.files["a.json.gz"].lost == size - len(data[0])


def test_a_cut_array_stops_the_run(tmp_path):
    (tmp_path / "a.json").write_bytes(json.dumps([{"text": "words " * 50}] * 9).encode()[:-400])
    with pytest.raises(CurateError, match="bytes of source `s` could not be read"):
        release(source(tmp_path, ["a.json"]), tmp_path / "work")


# CSV


def test_a_table_in_text(tmp_path):
    sink = io.StringIO()
    told = [["text", "url", "n"], ['a\r\nb, "c"', "http://u", "1"], ["", "u", ""], ["d", "", "2"]]
    csv.writer(sink).writerows(told)
    rows, origin = read(tmp_path, "a.csv", ("\ufeff" + sink.getvalue() + "\r\n\r\n").encode())
    assert texts(rows) == ['a\r\nb, "c"', "no_text", "d"]
    assert [(row["url"], row["meta"]) for row in rows][::2] == [("http://u", '{"n": "1"}'), (None, '{"n": "2"}')]
    assert [row["position"] for row in rows] == [0, 1, 2]
    assert origin.skipped == {"blank_line": 2}
    assert origin.files["a.csv"].first_bad.startswith("line 4: no_text")


@pytest.mark.parametrize(
    ("name", "content", "options", "told"),
    [
        ("a.tsv", "text\turl\na,b\tu\n", {}, ["a,b"]),
        ("a.tab.gz", "text\turl\na\tu", {}, ["a"]),
        ("a.csv", "text;url\na;u\n", {"delimiter": ";"}, ["a"]),
        ("a.csv", "a,u\nb,v\n", {"names": ["text", "url"]}, ["a", "b"]),
        ("a.csv", "body,lang\na,en\n", {"columns": {"text": "body", "language": "lang"}}, ["a"]),
        ("a.csv", "text\n", {}, []),
        ("a.csv", "", {}, []),
    ],
)
def test_options_of_tables_in_text(tmp_path, name, content, options, told):
    data = content.encode()
    rows, _ = read(tmp_path, name, gzip.compress(data) if name.endswith(".gz") else data, **options)
    assert texts(rows) == told


@pytest.mark.parametrize(
    ("content", "told", "bad"),
    [
        (b"text,url\na,u\nb\nc,u,v\nd,u\n", ["a", "wrong_columns", "wrong_columns", "d"], 2),
        (b'text,url\na,u\n"b" x,u\nc,u\n', ["a", "not_csv", "c"], 1),
        (b'text,url\na,u\n"b,u\nc,u\nd,u\n', ["a", "not_csv"], 3),
        (b"text,url\na,u\ncaf\xe9,u\nb,u\n", ["a", "not_utf8", "b"], 1),
    ],
)
def test_rows_of_a_table_that_are_wrong_are_told(tmp_path, content, told, bad):
    rows, origin = read(tmp_path, "a.csv", content)
    assert texts(rows) == told
    assert origin.files["a.csv"].bad_rows == bad
    assert origin.files["a.csv"].first_bad.startswith("line 3: ")


@pytest.mark.parametrize(
    ("content", "what", "fix"),
    [
        (b"texts,url\na,u\n", "no column `text` for text", "texts"),
        (b"text;url\na;u\n", "no column `text` for text", "';'"),
        (b"text,text\na,u\n", "2 columns are named `text`", "rewrite the file"),
        ("text,url\na,u\n".encode("utf-16"), "UTF-16", "iconv"),
    ],
)
def test_a_table_without_its_columns_is_an_error(tmp_path, content, what, fix):
    with pytest.raises(CurateError) as caught:
        read(tmp_path, "a.csv", content)
    assert what in caught.value.what
    assert fix in caught.value.fix


def test_a_table_whose_first_row_cannot_be_read_is_lost(tmp_path):
    rows, origin = read(tmp_path, "a.csv", b'"text,url\na,u\n')
    assert rows == []
    assert origin.files["a.csv"].lost == 14
    assert "its header row cannot be read: not_csv" in origin.files["a.csv"].damage[0]


@pytest.mark.parametrize("cut", range(1, 36))
def test_no_more_of_a_table_is_lost_than_there_is(tmp_path, cut):
    """Where damage takes the row with the names, what it took and what is left are the file."""
    data = gzip.compress(b"text,url\n" + b"a,u\n" * 99, mtime=0)[:cut]
    _, origin = read(tmp_path, "a.csv.gz", data)
    assert 0 < origin.files["a.csv.gz"].lost <= len(data)


def test_a_row_of_a_table_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr("curate.sources.formats.csv_rows.MAX_ROW", 100)
    monkeypatch.setattr(row_tables, "MAX_ROW", 100)
    many = '"a\n",' * 50 + "b\n"
    rows, origin = read(tmp_path, "a.csv", f"text,url\na,u\n{'x' * 200},u\nb,u\n{many}c,u\n".encode())
    assert texts(rows)[:3] == ["a", "too_large", "b"]
    assert set(texts(rows)[3:]) <= {"too_large", "not_csv", "wrong_columns"}
    assert origin.files["a.csv"].bad_rows >= 50


cells = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8).filter(lambda text: text != "\ufeff")


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(cells, cells), max_size=5), st.integers(1, 9), st.sampled_from(["\n", "\r\n"]))
def test_any_table_comes_back(tmp_path_factory, found, size, end):
    sink = io.StringIO()
    csv.writer(sink, lineterminator=end, quoting=csv.QUOTE_ALL).writerows([("text", "url"), *found])
    original, compression._OUT = compression._OUT, size
    try:
        rows, _ = read(tmp_path_factory.mktemp("csv"), "a.csv", sink.getvalue().encode())
    finally:
        compression._OUT = original
    assert [(row["text"], row["url"]) for row in rows] == found
