"""Parquet with values, types and names that Python or JSON have no word for: every row is kept, no value vanishes."""

import json
from contextlib import suppress
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curate.errors import CurateError
from curate.sources import File, Origin
from curate.sources.arrow_values import _day, distinct, values
from curate.sources.formats import parquet


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("odd")


def read(folder: Path, table: pa.Table | None = None, origin: Origin | None = None, **options) -> list[dict]:
    path = folder / "a.parquet"
    if table is not None:
        pq.write_table(table, path)
    tables = parquet.read(File("a.parquet", str(path)), origin=origin or Origin("t"), **options)
    return [row for found in tables for row in found.to_pylist()]


INT64 = st.integers(-(2**63), 2**63 - 1)
NUMBERS = {
    pa.timestamp("s"): INT64,
    pa.timestamp("us", "Europe/Paris"): INT64,
    pa.timestamp("ms", "Nowhere/None"): INT64,
    pa.timestamp("ns", "UTC"): INT64,
    pa.timestamp("ns"): INT64,
    pa.date32(): st.integers(-(2**31), 2**31 - 1),
    pa.date64(): INT64,
    pa.time32("ms"): st.integers(-5, 86_400_005),
    pa.time64("ns"): st.integers(-5, 86_400_000_000_005),
    pa.duration("s"): INT64,
    pa.duration("ns"): INT64,
    pa.int64(): INT64,
    pa.uint8(): st.integers(0, 255),
}
PLAIN = {
    pa.float64(): st.floats(),
    pa.float32(): st.floats(width=32),
    pa.bool_(): st.booleans(),
    pa.string(): st.text(st.characters(exclude_categories=["Cs"])),
    pa.binary(): st.binary(max_size=9),
    pa.large_string(): st.just("large"),
    pa.string_view(): st.sampled_from(["a", "a view that is longer than twelve bytes"]),
    pa.binary_view(): st.binary(max_size=20),
    pa.binary(3): st.binary(min_size=3, max_size=3),
    pa.decimal128(38, 5): st.decimals(-(10**30), 10**30, places=5),
    pa.decimal256(70, 0): st.integers(-(10**60), 10**60),
    pa.null(): st.none(),
}


@st.composite
def arrays(draw, count: int, depth: int = 2) -> pa.Array:
    """A column of any type, with null among its values."""
    kinds = ["number", "plain", "bad text"] + (["list", "struct", "map", "dictionary"] if depth else [])
    kind = draw(st.sampled_from(kinds))
    nulls = np.array(draw(st.lists(st.booleans(), min_size=count, max_size=count)), bool)
    if kind == "number":
        type_ = draw(st.sampled_from(list(NUMBERS)))
        numbers = draw(st.lists(NUMBERS[type_], min_size=count, max_size=count))
        base = pa.int32() if type_.bit_width == 32 else pa.int64() if type_.bit_width == 64 else pa.uint8()
        return pa.array(numbers, base, mask=nulls).view(type_)
    if kind == "plain":
        type_ = draw(st.sampled_from(list(PLAIN)))
        found = draw(st.lists(PLAIN[type_], min_size=count, max_size=count))
        return pa.array([None if null else value for value, null in zip(found, nulls, strict=True)], type_)
    if kind == "bad text":
        found = draw(st.lists(st.binary(max_size=5), min_size=count, max_size=count))
        return pa.Array.from_buffers(pa.string(), count, pa.array(found, pa.binary()).buffers())
    if kind == "struct":
        fields = [draw(arrays(count, depth - 1)) for _ in range(draw(st.integers(1, 3)))]
        names = draw(st.lists(st.sampled_from(["a", "b", "a.b", "", "é"]), min_size=3, max_size=3, unique=True))
        return pa.StructArray.from_arrays(fields, names[: len(fields)], mask=pa.array(nulls))
    if kind == "dictionary":
        words = pa.array(["x", None, "y"])
        return pa.DictionaryArray.from_arrays(pa.array([n % 3 for n in range(count)], pa.int32()), words)
    sizes = draw(st.lists(st.integers(0, 2), min_size=count, max_size=count))
    offsets = pa.array(np.cumsum([0, *sizes]), pa.int32())
    inner = draw(arrays(sum(sizes), depth - 1))
    if kind == "list":
        return pa.ListArray.from_arrays(offsets, inner)
    keys = pa.array([f"k{n}" for n in range(sum(sizes))])
    return pa.MapArray.from_arrays(offsets, keys, inner)


def there(array: pa.Array) -> list[bool]:
    return array.is_valid().to_pylist() if not pa.types.is_null(array.type) else [False] * len(array)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_any_values_keep_every_row(folder, data):
    count = data.draw(st.integers(0, 5))
    columns = [data.draw(arrays(count)) for _ in range(data.draw(st.integers(1, 3)))]
    names = ["x", "when.it.was", ""][: len(columns)]
    table = pa.table([pa.array([f"text {n}" for n in range(count)]), *columns], names=["text", *names])
    try:
        pq.write_table(table, folder / "a.parquet")
    except (pa.ArrowException, OverflowError):  # what Parquet does not hold is asked of the values alone
        for column in columns:
            found = values(column)
            if not pa.types.is_dictionary(column.type):
                assert [value is not None for value in found] == there(column)
            assert found[1:3] == values(column.slice(1, 2)) or repr(found[1:3]) == repr(values(column.slice(1, 2)))
        return
    found = read(folder)
    assert [row["text"] for row in found] == [f"text {n}" for n in range(count)]
    assert [row["reject"] for row in found] == [None] * count
    stored = pq.read_table(folder / "a.parquet").combine_chunks()
    for name in names:
        column = stored[name].combine_chunks() if count else []
        if count and pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        expected = there(column) if count else []
        meta = [json.loads(row["meta"] or "{}", parse_constant=lambda word: pytest.fail(word)) for row in found]
        assert [name in row for row in meta] == expected


def test_the_same_value_is_the_same_text_whatever_stands_beside_it():
    kinds = (pa.timestamp("s"), pa.timestamp("us", "UTC"), pa.date32(), pa.timestamp("ns"))
    for kind in kinds:
        base = pa.int32() if kind.bit_width == 32 else pa.int64()
        sound = pa.array([0, 17_000], base).view(kind)
        mixed = pa.array([0, 17_000, 2**31 - 1 if kind.bit_width == 32 else 2**62], base).view(kind)
        assert list(map(str, values(sound))) == list(map(str, values(mixed)))[:2]


def test_years_beyond_python_and_nanoseconds(tmp_path):
    table = pa.table(
        {
            "text": ["a"],
            "date": pa.array([253_402_300_800], pa.timestamp("s")),
            "early": pa.array([-800_000], pa.int32()).view(pa.date32()),
            "late": pa.array([253_402_300_800_000_000], pa.timestamp("us", "UTC")),
            "clock": pa.array([1_000_000_001], pa.time64("ns")),
            "took": pa.array([1_500_000_001], pa.duration("ns")),
            "inner": [{"at": np.datetime64("2023-11-14T22:13:20.123456789", "ns")}],
            "many": pa.array([[1, 1_000_000_000]], pa.list_(pa.timestamp("ns", "UTC"))),
            "n": [float("inf")],
        }
    )
    [row] = read(tmp_path, table)
    assert row["date"] == "10000-01-01T00:00:00.000"
    assert json.loads(row["meta"]) == {
        "early": "-0221-09-04",
        "late": "10000-01-01T00:00:00.000000+00:00",
        "clock": "00:00:01.000000001",
        "took": "0:00:01.500000001",
        "inner": {"at": "2023-11-14T22:13:20.123456789"},
        "many": ["1970-01-01T00:00:00.000000001+00:00", "1970-01-01T00:00:01+00:00"],
        "n": "Infinity",
    }


def test_values_that_not_even_arrow_prints():
    for number, text in ((2**31 - 1, "5881580-07-11"), (-(2**31), "-5877641-06-23"), (-719_529, "-0001-12-31")):
        assert values(pa.array([number], pa.int32()).view(pa.date32())) == [text]
    far = pa.array([2**60, None], pa.int64())
    assert values(far.view(pa.timestamp("us", "+05:30"))) == ["38504-08-17T21:30:06.846976+00:00", None]
    assert values(far.view(pa.duration("s"))) == [f"{2**60} s", None]


@given(st.dates())
def test_days_as_python_counts_them(day):
    assert _day(day.toordinal() - date(1970, 1, 1).toordinal()) == day.isoformat()


@pytest.mark.parametrize(
    "text",
    [
        pa.array([b"a\xc3\xa9", b"\xff", None]),
        pa.array([b"a\xc3\xa9", b"\xff", None], pa.large_binary()),
        pa.array([b"a\xc3\xa9", b"\xff", None], pa.binary_view()),
        pa.array([b"a\xc3\xa9", b"\xff\xff\xff", None], pa.binary(3)),
        pa.DictionaryArray.from_arrays(pa.array([0, 1, None]), pa.array([b"a\xc3\xa9", b"\xff"])),
    ],
    ids=lambda array: str(array.type),
)
def test_text_in_binary_columns(tmp_path, text):
    found = read(tmp_path, pa.table({"text": text}))
    assert [(row["text"], row["reject"]) for row in found] == [("aé", None), (None, "not_utf8"), (None, "no_text")]
    nested = pa.table({"doc": pa.StructArray.from_arrays([text], ["body"])})
    [row, *_] = read(tmp_path, nested, columns={"text": "doc.body"})
    assert row["text"] == "aé"


def test_text_of_nulls_run_ends_and_extensions():
    from curate.sources.arrow_values import texts

    assert texts(pa.nulls(2))[0].to_pylist() == [None, None]
    runs = pa.RunEndEncodedArray.from_arrays(pa.array([2, 3], pa.int32()), pa.array(["a", "b"]))
    assert texts(runs)[0].to_pylist() == ["a", "a", "b"] == values(runs)
    words = pa.ExtensionArray.from_storage(pa.json_(pa.string()), pa.array(["{}", None]))
    assert texts(words)[0].to_pylist() == ["{}", None] == values(words)
    uuid = pa.ExtensionArray.from_storage(pa.uuid(), pa.array([b"\0" * 16, None], pa.binary(16)))
    assert values(uuid) == ["00000000-0000-0000-0000-000000000000", None]
    empty = pa.array([{}, None], pa.struct([]))
    assert values(empty) == [{}, None]
    for kind in (pa.list_view(pa.timestamp("ns")), pa.large_list(pa.timestamp("ns")), pa.list_(pa.timestamp("ns"), 1)):
        assert values(pa.array([[1], None], kind)) == [["1970-01-01T00:00:00.000000001"], None]


def test_columns_with_dots_and_fields_of_that_name(tmp_path):
    table = pa.table(
        {
            "doc.text": ["a", "b"],
            "metadata.url": ["u", None],
            "metadata": [{"url": "v", "x": {"y": 1}}, {"url": "w", "x": {"y": 2}}],
        }
    )
    columns = {"text": "doc.text", "url": "metadata.url", "meta": {"y": "metadata.x.y"}}
    found = read(tmp_path, table, columns=columns)
    assert [(row["text"], row["url"], row["meta"]) for row in found] == [("a", "u", '{"y": 1}'), ("b", "w", '{"y": 2}')]
    pairs = pa.array([[("url", "v")]], pa.map_(pa.string(), pa.string()))
    [row] = read(tmp_path, pa.table({"text": ["a"], "m": pairs}), columns={"text": "text", "url": "m.url"})
    assert row["url"] == "v"
    with pytest.raises(CurateError, match=r"no column `metadata\.link` for url") as caught:
        read(tmp_path, table, columns=columns | {"url": "metadata.link"})
    assert "columns: {url: ...}" in caught.value.fix
    with pytest.raises(CurateError, match=r"`metadata\.x\.y` is int64, not text"):
        read(tmp_path, table, columns={"text": "metadata.x.y"})


def test_columns_of_one_name(tmp_path):
    twice = pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], ["text", "text"])
    with pytest.raises(CurateError, match="2 columns are named `text`"):
        read(tmp_path, twice)
    other = pa.Table.from_arrays([pa.array(["a"]), pa.array([1]), pa.array([2])], ["text", "n", "n"])
    [row] = read(tmp_path, other)
    assert json.loads(row["meta"]) == {"n": 1, "n_2": 2}
    assert distinct(["a", "a_2", "a", "a"]) == ["a", "a_2", "a_3", "a_4"]


def test_more_columns_of_one_name_than_can_be_read_in_time_are_an_error(tmp_path):
    numbers = [[n] for n in range(parquet.MOST_ALIKE + 1)]
    [row] = read(tmp_path, pa.table([["a"], *numbers[1:]], ["text", *["n"] * parquet.MOST_ALIKE]))
    assert sorted(json.loads(row["meta"]).values()) == list(range(1, parquet.MOST_ALIKE + 1))
    with pytest.raises(CurateError, match="4,001 columns are named `n`") as caught:
        read(tmp_path, pa.table([["a"], *numbers], ["text", *["n"] * len(numbers)]))
    assert "rename them" in caught.value.fix
    [row] = read(tmp_path, columns={"text": "text", "meta": {}})
    assert row["text"] == "a", "columns that are not asked for may be as many as they like"


# Damage and size --------------------------------------------------------------------------------------------


def test_a_row_group_that_cannot_be_read_is_lost_and_the_others_are_not(tmp_path):
    path = tmp_path / "a.parquet"
    table = pa.table({"text": [f"text {n}" for n in range(300)], "n": range(300)})
    pq.write_table(table, path, row_group_size=100, write_page_checksum=True, compression="none")
    group = pq.read_metadata(path).row_group(1)
    data = bytearray(path.read_bytes())
    data[group.column(0).data_page_offset + 60] ^= 1
    path.write_bytes(data)
    origin = Origin("t")
    found = read(tmp_path, origin=origin)
    assert [row["position"] for row in found] == [*range(100), *range(200, 300)]
    assert [row["text"] for row in found] == [f"text {row['position']}" for row in found]
    lost = origin.of("a.parquet")
    assert lost.lost == sum(group.column(n).total_compressed_size for n in range(2))
    assert "row group 1" in lost.damage[0]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_damage_anywhere_never_raises(folder, data):
    path = folder / "a.parquet"
    table = pa.table({"text": [f"text {n}" for n in range(60)], "n": [[n] for n in range(60)]})
    pq.write_table(table, path, row_group_size=20)
    content = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    kind = data.draw(st.sampled_from(["flip", "cut", "drop", "insert"]))
    if kind == "flip":
        content[place] ^= data.draw(st.integers(1, 255))
    elif kind == "cut":
        del content[place:]
    elif kind == "drop":
        del content[place : place + data.draw(st.integers(1, 9))]
    else:
        content[place:place] = data.draw(st.binary(min_size=1, max_size=9))
    path.write_bytes(content)
    origin = Origin("t")
    found = []
    with suppress(CurateError):  # the name or the type of a column is damaged
        found = read(folder, origin=origin)
    assert len({row["id"] for row in found}) == len(found)
    if kind == "cut":
        assert origin.of("a.parquet").lost == len(content)
        assert found == []


def test_a_file_without_a_footer_is_lost_whole_and_planned_all_the_same(tmp_path):
    for content, why in (
        (b"PAR1 nonsense", "its end is missing or damaged"),
        (b"<html>", "it is not Parquet: it begins with '<html>'"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "version https://git-lfs"),
        (b"", "not Parquet"),
    ):
        (tmp_path / "a.parquet").write_bytes(content)
        origin = Origin("t")
        assert read(tmp_path, origin=origin) == []
        assert parquet.ranges(File("a.parquet", str(tmp_path / "a.parquet")), 1) == []
        assert origin.of("a.parquet").lost == len(content)
        assert why in origin.of("a.parquet").damage[0]


def test_dictionaries_do_not_make_blocks_large(tmp_path):
    """One long value that many rows share: small in the file, and small in memory at a time."""
    shared = pa.DictionaryArray.from_arrays(pa.array(np.zeros(3000, np.int32)), pa.array(["x" * 20_000]))
    path = tmp_path / "a.parquet"
    for table in (
        pa.table({"text": shared}),
        pa.table({"text": ["t"] * 3000, "m": shared}),
        pa.table({"text": ["t"] * 3000, "m": pa.StructArray.from_arrays([shared], ["a"])}),
    ):
        pq.write_table(table, path)
        assert path.stat().st_size < 20_000
        origin = Origin("t", block_bytes=1 << 20)
        sizes = [(found.num_rows, found.nbytes) for found in parquet.read(File("a", str(path)), origin=origin)]
        assert sum(rows for rows, _ in sizes) == 3000
        assert max(size for _, size in sizes) < 3 << 20


def test_what_would_take_gigabytes_is_lost_by_name(tmp_path, monkeypatch):
    path = tmp_path / "a.parquet"
    count = 100_000
    shared = pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int32)), pa.array(["x" * 50_000]))
    one = pa.ListArray.from_arrays(pa.array([0, count, count], pa.int32()), shared)
    pq.write_table(pa.table({"text": ["a", "b"], "m": one}), path)
    origin = Origin("t")
    assert read(tmp_path, origin=origin) == []
    assert "lists of up to" in origin.of("a.parquet").damage[0]
    monkeypatch.setattr("curate.sources.parquet_pages.MAX_PAGE", 1 << 20)
    pq.write_table(pa.table({"text": ["x" * 3_000_000]}), path, compression="zstd", use_dictionary=False)
    assert read(tmp_path, origin=origin) == []
    assert "that expands to 3,000,0" in origin.of("a.parquet").damage[1]
    monkeypatch.setattr("curate.sources.formats.parquet.MOST", 1 << 20)
    shared = pa.DictionaryArray.from_arrays(pa.array(np.zeros(9000, np.int32)), pa.array(["x" * 9000]))
    pq.write_table(pa.table({"text": shared}), path)
    origin = Origin("t", block_bytes=1 << 19)
    assert 0 < len(read(tmp_path, origin=origin)) < 9000
    assert "expands without limit" in origin.of("a.parquet").damage[0]


def test_a_text_too_large_is_a_reason(tmp_path, monkeypatch):
    monkeypatch.setattr("curate.sources.arrow_values.MAX_TEXT", 10)
    found = read(tmp_path, pa.table({"text": ["a" * 11, "b"]}))
    assert [(row["text"], row["reject"]) for row in found] == [(None, "too_large"), ("b", None)]
