"""Lines of JSON objects: what is on them, whatever compresses them and however they are broken."""

import json

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from source_rows import COMPRESS, lines, table

from curate.sources import File, Origin, compression, row_tables
from curate.sources.formats import jsonl


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
