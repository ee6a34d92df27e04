"""JSONL and Parquet: every line and row becomes a document or a named reason, in any of the known layouts."""

import bz2
import contextlib
import gzip
import json
import lzma
import math
import os
import random
import time
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from curate.documents import SCHEMA
from curate.errors import CurateError
from curate.sources import File, Origin, binary, compression, layouts, row_tables
from curate.sources.arrow_values import distinct
from curate.sources.format_api import format_for, format_of
from curate.sources.formats import jsonl, parquet
from curate.sources.layouts import mapping
from curate.sources.parquet_pages import MISTAKES

SHARED = Path(__file__).resolve().parents[1].parent / "shared" / "data" / "rows"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared rows are not on this machine")

COMPRESS = {
    "": lambda data: data,
    ".gz": gzip.compress,
    ".zst": lambda data: pa.compress(data, "zstd", asbytes=True),
    ".lz4": lambda data: pa.compress(data, "lz4", asbytes=True),
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
}


def lines(tmp_path: Path, data: bytes, name: str = "a.jsonl", origin: Origin | None = None, **options) -> list[dict]:
    (tmp_path / name).write_bytes(data)
    file = File(name, str(tmp_path / name))
    tables = list(jsonl.read(file, origin=origin or Origin("test"), **options))
    assert all(table.schema.names == [*SCHEMA.names, "reject"] for table in tables)
    return [row for table in tables for row in table.to_pylist()]


def table(tmp_path: Path, data, row_group_size: int | None = None, **options) -> list[dict]:
    name = "a.parquet"
    data = data if isinstance(data, pa.Table) else pa.table(data)
    pq.write_table(data, tmp_path / name, row_group_size=row_group_size)
    tables = list(parquet.read(File(name, str(tmp_path / name)), origin=Origin("test"), **options))
    assert all(found.schema.names == [*SCHEMA.names, "reject"] for found in tables)
    return [row for found in tables for row in found.to_pylist()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("rows")


# JSONL -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", COMPRESS)
def test_lines_are_documents_whatever_compresses_them(tmp_path, ending):
    data = b"".join(json.dumps({"text": f"é {n}", "url": f"u{n}", "n": n}).encode() + b"\n" for n in range(50))
    found = lines(tmp_path, COMPRESS[ending](data), f"a.jsonl{ending}")
    assert [row["text"] for row in found] == [f"é {n}" for n in range(50)]
    assert [row["position"] for row in found] == list(range(50))
    assert [row["url"] for row in found] == [f"u{n}" for n in range(50)]
    assert json.loads(found[7]["meta"]) == {"n": 7}
    assert len({row["id"] for row in found}) == 50


def test_byte_order_mark_line_ends_and_blank_lines(tmp_path):
    origin = Origin("t", license="MIT")
    found = lines(tmp_path, b'\xef\xbb\xbf{"text": "a"}\r\n\r\n  \n{"text": "b\\u0000"}', origin=origin)
    assert [(row["text"], row["position"], row["license"]) for row in found] == [
        ("a", 0, "MIT"),
        ("b\0", 3, "MIT"),
    ]
    assert origin.skipped == {"blank_line": 2}


def test_halves_of_characters_are_replaced_and_nothing_else(tmp_path):
    [row] = lines(tmp_path, b'{"text": "\\ud800 \\ud83d\\ude00 \\udc00", "url": "\\udfff", "m": "\\ud800"}')
    assert row["text"] == "\ufffd \U0001f600 \ufffd"
    assert row["url"] == "\ufffd"
    assert json.loads(row["meta"]) == {"m": "\ufffd"}


def test_numbers_that_json_lacks_are_text_in_meta(tmp_path):
    digits = b"9" * 10_000
    line = b'{"text": "a", "x": [NaN, -1e999, 2], "big": 123456789012345678901234567890, "huge": %s, "date": NaN}'
    [row] = lines(tmp_path, line % digits)
    meta = json.loads(row["meta"], parse_constant=lambda name: pytest.fail(name))
    assert meta == {"x": ["NaN", "-Infinity", 2], "big": 123456789012345678901234567890, "huge": digits.decode()}
    assert row["date"] == "NaN"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"nonsense", "not_json"),
        (b'{"text": "a"', "not_json"),
        (b"[" * 100_000, "too_deep"),
        (b'{"text": "a", "x": ' + b"[" * 100 + b"]" * 100 + b"}", "too_deep"),
        (b'{"text": ' + b"9" * 10_000 + b"}", "text_not_string"),
        (b'{"text": NaN}', "text_not_string"),
        (b'{"text": "\xff"}', "not_utf8"),
        (b'["text"]', "not_object"),
        (b"{}", "no_text"),
        (b'{"text": null}', "no_text"),
        (b'{"text": ["a"]}', "text_not_string"),
    ],
)
def test_a_bad_line_is_a_row_with_its_reason(tmp_path, line, reason):
    found = lines(tmp_path, b'{"text": "a"}\n' + line + b'\n{"text": "b"}\n')
    assert [(row["text"], row["reject"]) for row in found] == [("a", None), (None, reason), ("b", None)]
    assert found[1]["position"] == 1
    assert json.loads(found[1]["meta"])["error"]


def test_bad_lines_are_counted_and_the_first_is_shown(tmp_path):
    origin = Origin("t")
    found = lines(tmp_path, b'{"text": "a"}\n' * 97 + b"nonsense\n" * 3, origin=origin)
    assert len(found) == 100
    read = origin.of("a.jsonl")
    assert (read.rows, read.bad_rows) == (100, 3)
    assert read.first_bad.startswith("line 98: not_json")
    assert "nonsense" in read.first_bad


def test_deep_json_is_refused_by_its_depth_alone(tmp_path):
    """However much of the stack is left: the same line has the same fate on every machine."""

    def rows(depth: int) -> list[dict]:
        line = b'{"text": "a", "x": ' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"
        inner = json.dumps({"text": "a", "meta": '{"u": ' + "[" * (depth - 1) + "]" * (depth - 1) + "}"}).encode()
        return lines(tmp_path, line + b"\n" + inner, columns={"text": "text", "url": "meta.u", "meta": ["x"]})

    def below(frames: int, depth: int) -> list[dict]:
        return below(frames - 1, depth) if frames else rows(depth)

    for depth in (5, 99, 100, 101, 400, 900, 950, 980, 1000, 5000):
        found = rows(depth)
        assert [row["reject"] for row in found] == [None if depth <= 100 else "too_deep", None]
        assert (found[1]["url"] is None) == (depth > 100)
        assert below(500, depth) == found


def test_halves_of_characters_in_json_in_json(tmp_path):
    inner = json.dumps({"url": "a\ud800", "x": {"\udfff": 1}})
    line = json.dumps({"text": "a", "meta": inner}).encode()
    columns = {"text": "meta.url", "url": "meta.url", "meta": {"x": "meta.x"}}
    [row] = lines(tmp_path, line, columns=columns)
    assert (row["text"], row["url"], row["meta"]) == ("a\ufffd", "a\ufffd", '{"x": {"\ufffd": 1}}')
    [row] = table(tmp_path, {"text": ["a"], "meta": [inner]}, columns=columns)
    assert (row["text"], row["url"], row["meta"]) == ("a\ufffd", "a\ufffd", '{"x": {"\ufffd": 1}}')


@settings(max_examples=80, deadline=None)
@given(
    st.lists(
        st.text()
        | st.recursive(st.floats() | st.text() | st.none(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)).map(
            lambda value: json.dumps({"text": "a", "x": value})
        )
    )
)
def test_no_line_raises(folder, parts):
    data = "\n".join(parts).encode("utf-8", "surrogatepass")
    found = lines(folder, data)
    assert len(found) == sum(1 for line in data.split(b"\n") if line.strip())
    assert all((row["text"] is None) == (row["reject"] is not None) for row in found)


@pytest.mark.parametrize("ending", [".gz", ".zst", ".bz2", ".xz", ".lz4"])
def test_a_compressed_file_that_ends_early_says_where(tmp_path, ending):
    data = b"".join(b'{"text": "%d"}\n' % (n * 7919 % 100_003) for n in range(5000))
    whole = COMPRESS[ending](data)
    origin = Origin("t")
    found = lines(tmp_path, whole[: len(whole) // 2], f"a.jsonl{ending}", origin)
    assert origin.of(f"a.jsonl{ending}").lost == len(whole) // 2
    assert "ends early" in origin.of(f"a.jsonl{ending}").damage[0]
    kept = [row["text"] for row in found if row["reject"] is None]
    assert kept == [str(n * 7919 % 100_003) for n in range(len(kept))]
    assert [row["position"] for row in found] == list(range(len(found)))
    assert {row["reject"] for row in found} <= {None, "truncated"}


def test_long_lines(tmp_path, monkeypatch):
    big = b'{"text": "%s"}\n' % (b"x" * 5_000_000)
    found = lines(tmp_path, b'{"text": "a"}\n' + big + b'{"text": "b"}\n')
    assert [len(row["text"]) for row in found] == [1, 5_000_000, 1]
    monkeypatch.setattr(row_tables, "MAX_ROW", 1000)
    monkeypatch.setattr(compression, "_OUT", 700)
    found = lines(tmp_path, b'{"text": "a"}\n' + big + b'{"text": "b"}\n')
    assert [(row["text"], row["reject"]) for row in found] == [("a", None), (None, "too_large"), ("b", None)]


def test_blocks_stay_small(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(b'{"text": "%s"}\n' % (b"x" * 1000) * 100)
    tables = jsonl.read(File("a.jsonl", str(tmp_path / "a.jsonl")), origin=Origin("t", block_bytes=10_000))
    sizes = [found.num_rows for found in tables]
    assert sum(sizes) == 100
    assert max(sizes) <= 10


@settings(max_examples=120, deadline=None)
@given(
    st.lists(st.binary(max_size=20) | st.sampled_from([b'{"text": "a"}', b"", b'{"text": 1}'])),
    st.integers(1, 9),
)
def test_any_lines_against_a_plain_reader(folder, parts, piece):
    data = b"\n".join(parts)
    assume(not any(codec.magic.match(data) for codec in compression.CODECS.values()) and data[1:4] != b"*M\x18")
    original, compression._OUT = compression._OUT, piece
    try:
        found = lines(folder, data)
    finally:
        compression._OUT = original
    plain = data.split(b"\n")
    expected = [n for n, line in enumerate(plain) if line.removeprefix(b"\xef\xbb\xbf").strip()]
    assert [row["position"] for row in found] == expected
    assert [row["position"] for row in found if row["reject"] is None] == [
        n for n in expected if plain[n] == b'{"text": "a"}'
    ]


# Parquet ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())]
)
def test_parquet_text_of_every_kind(tmp_path, kind):
    found = table(tmp_path, {"text": pa.array(["a", "é", "a"]).cast(kind), "url": ["u", None, "v"]})
    assert [row["text"] for row in found] == ["a", "é", "a"]
    assert [row["url"] for row in found] == ["u", None, "v"]


def test_ranges_of_row_groups_cover_the_file_once(tmp_path):
    columns = {"text": [f"text {n}" for n in range(1000)]}
    whole = table(tmp_path, columns, row_group_size=64)
    file = File("a.parquet", str(tmp_path / "a.parquet"))
    for target in (1, 2000, 10**9):
        cuts = parquet.ranges(file, target)
        pieces = [list(parquet.read(file, origin=Origin("test"), rows=cut)) for cut in cuts]
        assert [row for piece in pieces for found in piece for row in found.to_pylist()] == whole
    assert len(parquet.ranges(file, 1)) == 16
    assert [row["position"] for row in whole] == list(range(1000))


def test_parquet_blocks_stay_small(tmp_path):
    pq.write_table(pa.table({"text": ["x" * 1000] * 100}), tmp_path / "a.parquet", use_dictionary=False)
    tables = parquet.read(File("a", str(tmp_path / "a.parquet")), origin=Origin("t", block_bytes=10_000))
    sizes = [found.num_rows for found in tables]
    assert sum(sizes) == 100
    assert max(sizes) <= 10


def test_parquet_rows_without_text(tmp_path):
    broken = pa.Array.from_buffers(pa.string(), 3, pa.array([b"a", b"\xff", None]).buffers())
    columns = {"text": broken, "n": [1, None, 3]}
    found = table(tmp_path, columns)
    assert [(row["text"], row["reject"]) for row in found] == [
        ("a", None),
        (None, "not_utf8"),
        (None, "no_text"),
    ]
    assert [row["meta"] for row in found] == ['{"n": 1}', None, '{"n": 3}']


def test_parquet_odd_files(tmp_path):
    assert table(tmp_path, pa.table({"text": pa.array([], pa.string())})) == []
    broken = pa.Array.from_buffers(pa.string(), 1, pa.array([b"\xff"]).buffers())
    when = pa.array([1_600_000_000_123_456_789], pa.timestamp("ns"))
    [found] = table(tmp_path, {"text": ["a"], "url": broken, "date": when, "raw": [b"\xff"]})
    assert (found["text"], found["url"], found["date"]) == ("a", "\ufffd", "2020-09-13T12:26:40.123456789")
    assert json.loads(found["meta"]) == {"raw": "\ufffd"}
    [found] = table(tmp_path, {"text": ["a"], "n": pa.StructArray.from_arrays([broken], ["x"])})
    assert json.loads(found["meta"]) == {"n": {"x": "\ufffd"}}


def test_parquet_mistakes_say_what_to_do(tmp_path):
    with pytest.raises(CurateError) as caught:
        table(tmp_path, {"txt": ["a"]})
    assert "no column `text`" in caught.value.what
    assert "did you mean `txt`?" in caught.value.fix
    with pytest.raises(CurateError) as caught:
        table(tmp_path, {"text": [1], "content": ["a"]})
    assert "`text` is int64, not text" in caught.value.what
    assert "content" in caught.value.fix
    with pytest.raises(CurateError, match="no column `link` for url"):
        table(tmp_path, {"text": ["a"]}, columns={"url": "link"})
    with pytest.raises(CurateError, match=r"cannot read .*No such file"):
        parquet.ranges(File("c.parquet", str(tmp_path / "c.parquet")), 1)


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
        layouts.mapping("slimpyjama")
    with pytest.raises(CurateError, match="did you mean `text`"):
        layouts.mapping(columns={"txt": "a"})


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
    with pytest.raises(CurateError, match="cannot tell the format"):
        format_for("a.page")
    assert format_for("a.page", "jsonl") is jsonl.FORMAT


@given(st.lists(st.none() | st.binary(max_size=40), max_size=30))
def test_binary_equals_arrow(values):
    array = binary(values)
    array.validate(full=True)
    assert array.equals(pa.array(values, pa.binary()))


def test_a_footer_that_would_end_the_process_loses_its_row_groups(tmp_path):
    """Arrow aborts where the levels of a column are other than those that its statistics count."""
    path, origin = tmp_path / "a.parquet", Origin("test")
    pq.write_table(pa.table({"text": ["a"] * 6, "more": [["x", None]] * 6}), path, row_group_size=2)
    whole = path.read_bytes()
    optional = b"\x25\x02\x18\x07element"
    assert whole.count(optional) == 1
    path.write_bytes(whole.replace(optional, optional.replace(b"\x02", b"\x00")))
    assert list(parquet.read(File("a.parquet", str(path)), origin=origin)) == []
    found = origin.of("a.parquet")
    assert found.lost == len(whole)
    assert "row group 0: its columns are described wrongly" in found.damage[0]


def test_no_more_of_a_file_is_lost_than_there_is(tmp_path):
    """Whatever a footer says of where row groups lie."""
    path, origin = tmp_path / "a.parquet", Origin("test")
    pq.write_table(pa.table({"text": ["some text"] * 40}), path, row_group_size=10, use_dictionary=False)
    whole, chance = path.read_bytes(), random.Random(3)
    for _ in range(60):
        data = bytearray(whole)
        for _ in range(3):
            data[chance.randrange(4, len(data) - 8)] = chance.randrange(256)
        path.write_bytes(data)
        origin = Origin("test")
        with contextlib.suppress(CurateError):
            rows = sum(found.num_rows for found in parquet.read(File("a.parquet", str(path)), origin=origin))
            assert 0 <= origin.of("a.parquet").lost <= len(whole)
            assert rows >= 40 or origin.of("a.parquet").lost


def test_row_groups_of_a_row_each_are_read_together(tmp_path):
    path = tmp_path / "a.parquet"
    texts = [None if number == 70 else f"text {number}" for number in range(200)]
    pq.write_table(pa.table({"text": texts, "x": range(200)}), path, row_group_size=1, write_page_checksum=True)
    (whole,) = parquet.read(File("a.parquet", str(path)), origin=Origin("test"))
    assert whole["text"].to_pylist() == texts
    assert whole["position"].to_pylist() == list(range(200))
    parts = parquet.read(File("a.parquet", str(path)), origin=Origin("test"), rows=(60, 90))
    assert pa.concat_tables(parts).equals(whole.slice(60, 30).combine_chunks())
    data = bytearray(path.read_bytes())
    data[data.index(b"text 9") + 1] ^= 1  # the sum of its page is wrong
    path.write_bytes(data)
    origin = Origin("test")
    found = pa.concat_tables(parquet.read(File("a.parquet", str(path)), origin=origin))
    assert found.num_rows == 199
    assert "row group 9:" in origin.of("a.parquet").damage[0]
    assert found["position"].to_pylist() == [*range(9), *range(10, 200)]


def test_a_file_that_describes_many_row_groups_wrongly_is_not_asked_for_each(tmp_path, monkeypatch):
    path, origin, forks = tmp_path / "a.parquet", Origin("test"), []
    pq.write_table(pa.table({"text": ["a"] * 40, "more": [["x", None]] * 40}), path, row_group_size=1)
    optional = b"\x25\x02\x18\x07element"
    path.write_bytes(path.read_bytes().replace(optional, optional.replace(b"\x02", b"\x00")))
    fork = os.fork
    monkeypatch.setattr(os, "fork", lambda: forks.append(1) or fork())
    assert list(parquet.read(File("a.parquet", str(path)), origin=origin)) == []
    assert len(forks) == MISTAKES


def test_columns_of_one_name_take_no_quadratic_time(tmp_path):
    path, count = tmp_path / "a.parquet", 2000
    pq.write_table(pa.table([["a"]] * count, ["text", *["x"] * (count - 1)]), path)
    start = time.process_time()
    (found,) = parquet.read(File("a.parquet", str(path)), origin=Origin("test"))
    assert len(json.loads(found["meta"][0].as_py())) == count - 1
    assert len(set(distinct(["x"] * 30_000))) == 30_000
    assert time.process_time() - start < 10


def test_json_in_a_column_is_read_once_for_all_places(monkeypatch):
    place, read = mapping("redpajama"), []
    monkeypatch.setattr(layouts, "parsed", lambda text: read.append(text) or json.loads(text))
    row = {"text": "a", "meta": '{"url": "http://a.example/", "language": "en", "title": "b"}'}
    assert place.others(row)[0] == "http://a.example/"
    assert place.others(row | {"meta": '{"url": "b"}'})[0] == "b"
    assert len(read) == 2
