"""Compressed lines: what damage leaves whole is there exactly once, and what it takes is told by its bytes."""

import bz2
import gzip
import json
import lzma
import tracemalloc
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import lz4.frame
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.sources import File, Origin
from curate.sources.compression import decompressed
from curate.sources.formats import jsonl

COMPRESS = {
    ".gz": gzip.compress,
    ".zst": zstandard.ZstdCompressor(write_checksum=True).compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".lz4": lambda data: lz4.frame.compress(data, content_checksum=True),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("compressed")


def read(folder: Path, data: bytes, name: str) -> tuple[list[dict], Origin]:
    (folder / name).write_bytes(data)
    origin = Origin("t")
    tables = list(jsonl.read(File(name, str(folder / name)), origin=origin))
    return [row for table in tables for row in table.to_pylist()], origin


def texts(rows: list[dict]) -> list[str]:
    return [row["text"] for row in rows if row["reject"] is None]


def content(first: int, last: int, pad: int = 20) -> bytes:
    """Lines that differ and do not compress to nothing."""
    return b"".join(
        json.dumps({"text": f"{n} " + "".join(chr(97 + n * 7919 * i % 26) for i in range(pad))}).encode() + b"\n"
        for n in range(first, last)
    )


def numbers(rows: list[dict]) -> list[int]:
    return [int(text.split()[0]) for text in texts(rows)]


@pytest.mark.parametrize("after", [b"\n", b"\0", b"\0" * 1024, b"garbage, garbage", b"<html></html>\n"])
@pytest.mark.parametrize("ending", COMPRESS)
def test_bytes_after_the_end_lose_nothing(tmp_path, ending, after):
    rows, origin = read(tmp_path, COMPRESS[ending](content(0, 3000)) + after, f"a.jsonl{ending}")
    assert numbers(rows) == list(range(3000))
    found = origin.of(f"a.jsonl{ending}")
    assert (found.lost, found.damage) == (0, [])
    if ending != ".xz" or len(after) % 4:  # zeros by four are part of an xz file
        assert f"{len(after):,} bytes after the end" in found.notes[0] or ending == ".xz"


@pytest.mark.parametrize("ending", COMPRESS)
def test_lines_that_are_cut_by_units_are_whole(tmp_path, ending):
    data = content(0, 300)
    cuts = [0, 1, 77, 78, 5000, len(data)]
    parts = [COMPRESS[ending](data[a:b]) for a, b in pairwise(cuts)]
    rows, origin = read(tmp_path, b"".join(parts), f"a.jsonl{ending}")
    assert numbers(rows) == list(range(300))
    assert origin.of(f"a.jsonl{ending}").lost == 0


def test_a_damaged_frame_that_begins_like_lines_hides_no_later_one(folder):
    """lz4 keeps as they are bytes that it cannot make fewer, so that the rest of a frame may look like plain lines."""
    first, second = (COMPRESS[".lz4"](content(n, n + 1)) for n in range(2))
    for place in range(1, len(first)):
        rows, _ = read(folder, first[place:] + first[:place] + second, "a.jsonl.lz4")
        assert line_of(1) in texts(rows), place


@settings(max_examples=25, deadline=None)
@given(st.data())
@pytest.mark.parametrize("ending", COMPRESS)
def test_what_lies_outside_the_damage_is_there_once(folder, ending, data):
    """Whatever happens to one member, frame or stream, the lines of all others are kept."""
    count = data.draw(st.integers(1, 6))
    sizes = data.draw(st.lists(st.integers(1, 60), min_size=count, max_size=count))
    starts = [sum(sizes[:n]) for n in range(count + 1)]
    units = [COMPRESS[ending](content(a, b)) for a, b in pairwise(starts)]
    hit = data.draw(st.integers(0, count - 1))
    unit = units[hit]
    place = data.draw(st.integers(0, len(unit) - 1))
    kind = data.draw(st.sampled_from(["flip", "cut", "insert", "drop", "swap"]))
    if kind == "flip":
        damaged = unit[:place] + bytes([unit[place] ^ data.draw(st.integers(1, 255))]) + unit[place + 1 :]
    elif kind == "cut":
        damaged = unit[:place]
    elif kind == "insert":
        damaged = unit[:place] + data.draw(st.binary(min_size=1, max_size=30)) + unit[place:]
    elif kind == "drop":
        damaged = unit[:place] + unit[place + data.draw(st.integers(1, 40)) :]
    else:
        damaged = unit[place:] + unit[:place]
    name = f"a.jsonl{ending}"
    whole = b"".join([*units[:hit], damaged, *units[hit + 1 :]])
    rows, origin = read(folder, whole, name)
    outside = set(range(starts[-1])) - set(range(starts[hit], starts[hit + 1]))
    found = [text for text in texts(rows) if text in {line_of(n) for n in outside}]
    assert sorted(found) == sorted(line_of(n) for n in outside)
    lost = {line_of(n) for n in range(starts[hit], starts[hit + 1])} - set(texts(rows))
    read_of = origin.of(name)
    assert not lost or read_of.lost or read_of.notes or read_of.bad_rows or (kind == "cut" and place == 0)
    assert 0 <= read_of.lost <= len(whole)
    assert [row["position"] for row in rows] == sorted({row["position"] for row in rows})


def line_of(n: int) -> str:
    return json.loads(content(n, n + 1))["text"]


@settings(max_examples=25, deadline=None)
@given(st.binary(max_size=400), st.sampled_from(sorted(COMPRESS)))
def test_any_bytes_are_lost_or_read(folder, data, ending):
    rows, origin = read(folder, data, f"b.jsonl{ending}")
    found = origin.of(f"b.jsonl{ending}")
    assert found.lost == len(data) or rows or found.notes or not data.strip()


@pytest.mark.parametrize("ending", COMPRESS)
def test_damage_in_the_middle_keeps_what_is_before_and_after(tmp_path, ending):
    units = [COMPRESS[ending](content(n * 4000, (n + 1) * 4000, 60)) for n in range(3)]
    middle = bytearray(units[1])
    place = len(middle) * 2 // 3
    middle[place : place + 20] = b"\xff" * 20
    name = f"a.jsonl{ending}"
    rows, origin = read(tmp_path, units[0] + middle + units[2], name)
    kept = numbers([row for row in rows if row["text"] is None or row["text"].split()[0].isdecimal()])
    assert set(kept) >= {*range(4000), *range(8000, 12000)}
    if ending not in (".bz2", ".xz"):  # their blocks are as large as the whole here
        assert len([n for n in kept if 4000 <= n < 8000]) > 1500
    assert any(row["reject"] == "truncated" for row in rows) or ending in (".bz2", ".zst")  # no line is cut
    found = origin.of(name)
    assert 0 < found.lost <= len(middle)
    assert len(found.damage) == 1


def test_all_of_a_damaged_bzip2_block_is_lost(tmp_path):
    packed = bytearray(bz2.compress(content(0, 400), 1))
    packed[len(packed) // 2] ^= 255
    found, origin = read(tmp_path, packed + bz2.compress(content(400, 401)), "a.jsonl.bz2")
    assert origin.of("a.jsonl.bz2").lost == len(packed)
    assert numbers(found)[-1] == 400


def test_a_file_of_nonsense_is_lost_whole(tmp_path):
    for ending in COMPRESS:
        rows, origin = read(tmp_path, b"<!DOCTYPE html><p>Not found</p>\n" * 30, f"a.jsonl{ending}")
        found = origin.of(f"a.jsonl{ending}")
        assert rows == []
        assert found.lost == 30 * 32
        assert "<!DOCTYPE html>" in found.damage[0]


def test_the_bytes_count_not_the_name(tmp_path):
    for name, data in (
        ("a.jsonl.gz", content(0, 9)),
        ("a.jsonl.gz", COMPRESS[".zst"](content(0, 9))),
        ("a.jsonl", gzip.compress(content(0, 9), mtime=0)),
        ("a.jsonl.xz", bz2.compress(content(0, 9))),
    ):
        rows, origin = read(tmp_path, data, name)
        assert numbers(rows) == list(range(9))
        assert origin.of(name).notes
        assert origin.of(name).lost == 0


def test_binary_between_plain_lines_costs_these_lines(tmp_path):
    data = content(0, 50) + bytes(range(11, 256)) * 3 + b"\n" + content(50, 99)
    rows, origin = read(tmp_path, data, "a.jsonl")
    assert numbers(rows) == list(range(99))
    assert [row["reject"] for row in rows if row["reject"]] == ["not_utf8"]
    assert origin.of("a.jsonl").bad_rows == 1


def test_zstd_windows_dictionaries_and_skippable_frames(tmp_path):
    long = zstandard.ZstdCompressionParameters(window_log=31, enable_ldm=True)
    compressor = zstandard.ZstdCompressor(compression_params=long).compressobj()  # the size is not in the frame
    frame = compressor.compress(content(0, 2000)) + compressor.flush()
    rows, origin = read(tmp_path, frame, "a.jsonl.zst")
    assert numbers(rows) == list(range(2000))

    samples = [content(n, n + 3) for n in range(400)]
    dictionary = zstandard.train_dictionary(8000, samples)
    frames = b"".join(zstandard.ZstdCompressor(dict_data=dictionary).compress(content(n, n + 1)) for n in range(9))
    skippable = b"\x5d\x2a\x4d\x18" + len(dictionary.as_bytes()).to_bytes(4, "little") + dictionary.as_bytes()
    packed = zstandard.compress(dictionary.as_bytes())
    for head in (skippable, b"\x5d\x2a\x4d\x18" + len(packed).to_bytes(4, "little") + packed):
        other = b"\x50\x2a\x4d\x18\x03\0\0\0abc"
        rows, origin = read(tmp_path, head + frames + other + COMPRESS[".zst"](content(9, 12)) + other, "a.jsonl.zst")
        assert numbers(rows) == list(range(12))
        assert origin.of("a.jsonl.zst").lost == 0
    rows, origin = read(tmp_path, frames, "a.jsonl.zst")
    assert rows == []
    assert origin.of("a.jsonl.zst").lost == len(frames)
    assert "needs a dictionary" in origin.of("a.jsonl.zst").damage[0]


@pytest.mark.parametrize("ending", COMPRESS)
def test_headers_everywhere_cost_what_the_size_costs(tmp_path, ending):
    """Bytes made to look like a beginning at every place are given up on, not tried against each other."""
    from curate.sources.compression import CODECS

    name = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2", ".xz": "xz", ".lz4": "lz4"}[ending]
    head = {"bz2": b"BZh91AY&SY", "xz": b"\xfd7zXZ\0\0\4"}.get(name, CODECS[name].opening + b"\0")
    whole = COMPRESS[ending](content(0, 100))
    rows, origin = read(tmp_path, whole + head * 20_000 + whole, f"a.jsonl{ending}")
    assert numbers(rows)[:100] == list(range(100))
    found = origin.of(f"a.jsonl{ending}")
    assert found.lost + (len(whole) if len(rows) >= 200 else 0) >= len(head) * 20_000


class Counted(BytesIO):
    """A file that knows how many bytes were read of it."""

    count = 0

    def read(self, size: int = -1) -> bytes:
        found = super().read(size)
        self.count += len(found)
        return found


@pytest.mark.parametrize("ending", COMPRESS)
def test_a_file_of_tiny_units_is_read_about_once(ending):
    named = {".gz": "gzip", ".zst": "zstd"}.get(ending, ending[1:])
    line, empty = COMPRESS[ending](b"a\n"), COMPRESS[ending](b"")
    raw = Counted(line + (400_000 // len(empty)) * empty + line)
    assert b"".join(decompressed(raw, "a", named, Origin("t"))) == b"a\na\n"
    assert raw.count < 3 * len(raw.getvalue())


def skippable(content: bytes) -> bytes:
    return b"\x5d\x2a\x4d\x18" + len(content).to_bytes(4, "little") + content


@pytest.mark.parametrize("how", ["damaged", "no dictionary"])
def test_a_damaged_dictionary_costs_only_what_needs_it(tmp_path, how):
    dictionary = zstandard.train_dictionary(8000, [content(n, n + 3) for n in range(400)])
    needs = zstandard.ZstdCompressor(dict_data=dictionary).compress(content(0, 1))
    wrong = dictionary.as_bytes()[:8] + b"\xff" * 600 if how == "damaged" else b"\0" * 600
    data = skippable(wrong) + needs + COMPRESS[".zst"](content(1, 2))
    rows, origin = read(tmp_path, data, "a.jsonl.zst")
    assert numbers(rows) == [1]
    assert origin.of("a.jsonl.zst").lost == len(needs)
    assert "ictionary" in origin.of("a.jsonl.zst").damage[0]


def test_what_is_no_dictionary_is_not_decompressed(tmp_path):
    """Skippable frames that expand without bound: hundreds of them fit into a megabyte."""
    bomb = skippable(zstandard.compress(bytes(64 << 20)))
    tracemalloc.start()
    rows, origin = read(tmp_path, 9 * bomb + COMPRESS[".zst"](content(0, 2)), "a.jsonl.zst")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert numbers(rows) == [0, 1]
    assert origin.of("a.jsonl.zst").lost == 0
    assert peak < 32 << 20


def test_files_read_at_once_do_not_meet():
    """Decoders of one file share what they are made of; those of another have their own."""
    texts = [content(n, n + 1, 5_000_000) for n in (1, 2)]
    raws = [BytesIO(zstandard.compress(text)) for text in texts]
    pieces = zip(*(decompressed(raw, "a", "zstd", Origin("t")) for raw in raws), strict=True)
    assert [b"".join(one) for one in zip(*pieces, strict=True)] == texts
