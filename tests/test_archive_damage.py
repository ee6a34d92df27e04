"""Damaged archives: what is not touched is read once, and what cannot be read is a row with a reason or lost bytes."""

import bz2
import gzip
from collections import Counter

import pytest
import zstandard
from damaged_archives import (
    COMPRESS,
    SUMS,
    arc_record,
    body,
    folder,  # noqa: F401
    read,
    record,
    sound,
)
from hypothesis import example, given, settings
from hypothesis import strategies as st


def damaged(data: bytes, how: str, where: float, garbage: bytes) -> tuple[bytes, int, int]:
    """The bytes, and from where to where those were that are no longer what they were."""
    at = int(where * len(data))
    end = min(len(data), at + len(garbage))
    if how == "cut":
        return data[:at], at, len(data)
    if how == "insert":
        return data[:at] + garbage + data[at:], at, at
    if how == "remove":
        return data[:at] + data[end:], at, end
    if how == "flip":
        return data[:at] + bytes([data[at] ^ (garbage[0] or 1)]) + data[at + 1 :], at, at + 1
    return data[:at] + garbage[: end - at] + data[end:], at, end


@example(".lz4", False, True, "remove", 0.0, bytes(12))  # what is left begins as a record does
@settings(max_examples=250, deadline=None)
@given(
    st.sampled_from(sorted(COMPRESS)),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["cut", "insert", "remove", "flip", "overwrite"]),
    st.floats(0, 1, exclude_max=True),
    st.binary(min_size=1, max_size=60),
)
def test_what_is_not_touched_is_read_once_and_nothing_is_lost_in_silence(
    folder, ending, single, old, how, where, garbage
):
    one, name = (arc_record, "a.arc") if old else (record, "a.warc")
    if single or not ending:
        pieces = [one(n) for n in range(8)]
        data = COMPRESS[ending](b"".join(pieces))
        pieces = [data] if ending else pieces
    else:
        pieces = [COMPRESS[ending](one(n)) for n in range(8)]
        data = b"".join(pieces)
    broken, first, end = damaged(data, how, where, garbage)
    found, origin = read(folder, broken, name + ending)
    kept, bodies = sound(found), [body(n) for n in range(8)]
    assert all(kept[page] <= 1 for page in bodies)
    at = 0
    for number, piece in enumerate(pieces):
        before, at = at, at + len(piece)
        if len(pieces) == 8 and (at <= first or (before > end and ending)):
            assert kept[bodies[number]] == 1, number
    if ending in SUMS:
        if not set(kept) <= set(bodies):  # nothing tells which of many records in one frame are wrong
            assert single
            assert origin.of(name + ending).lost
        clean_cut = how == "cut" and first in {sum(map(len, pieces[:n])) for n in range(9)}
        if sum(kept.values()) < 8 and not clean_cut:
            files = origin.of(name + ending)
            assert files.damage or files.notes or any(row["reject"] for row in found)
        if broken == data:
            assert sum(kept.values()) == 8


@pytest.mark.parametrize("ending", [".gz", ".zst", ".lz4", ".bz2", ".xz"])
@pytest.mark.parametrize("after", [b"\0" * 512, b"\n", b"\r\n\r\n", b"some text", b"\xff" * 99, b"\x1a"])
def test_bytes_after_the_end_are_noted_and_lose_nothing(tmp_path, ending, after):
    for data in (
        b"".join(COMPRESS[ending](record(n)) for n in range(3)),
        COMPRESS[ending](b"".join(map(record, range(3)))),
    ):
        found, origin = read(tmp_path, data + after, f"a.warc{ending}")
        assert sound(found) == Counter(body(n) for n in range(3))
        assert len(found) == 3
        read_of = origin.of(f"a.warc{ending}")
        assert (read_of.lost, read_of.damage) == (0, [])
        [note] = read_of.notes
        assert f"{len(after)} bytes after the end of the compressed data, from byte {len(data):,}" in note


@pytest.mark.parametrize("ending", [".gz", ".zst", ".lz4"])
def test_binary_bytes_after_the_end_may_have_been_a_record(tmp_path, ending):
    """A last member whose first byte is flipped cannot be told from any other bytes."""
    records = [COMPRESS[ending](record(n)) for n in range(3)]
    data = b"".join(records[:2]) + b"\x00" + records[2][1:]
    found, origin = read(tmp_path, data, f"a.warc{ending}")
    assert sum(sound(found).values()) == 2
    assert origin.of(f"a.warc{ending}").lost == len(records[2])


@pytest.mark.parametrize("ending", [".gz", ".bz2", ".xz", ".zst", ".lz4"])
def test_what_was_unpacked_before_the_damage_is_kept(tmp_path, ending):
    """One member for all 400 records, damaged at nine tenths of the file: most are read, the rest is counted."""
    data = COMPRESS[ending](b"".join(record(n) for n in range(400)))
    at = len(data) * 9 // 10
    least = {".gz": 300, ".zst": 200}.get(ending, 0)  # blocks of the others are larger than this file
    if ending in SUMS:
        found, origin = read(tmp_path, data[:at] + bytes(64) + data[at + 64 :], f"a.warc{ending}")
        assert origin.of(f"a.warc{ending}").lost
        assert least <= sum(sound(found).values()) < 400
    cut, origin = read(tmp_path, data[:at], f"a.warc{ending}")
    assert sum(sound(cut).values()) >= least
    assert origin.of(f"a.warc{ending}").damage


def test_a_record_after_damage_is_found_in_the_frame_before_it(tmp_path):
    """A member that lost bytes is read into the next one, which lies in it as it is: that one counts once."""
    stored = [gzip.compress(record(n), compresslevel=0, mtime=0) for n in range(4)]
    data = stored[0] + stored[1][:200] + stored[1][260:] + stored[2] + stored[3]
    found, origin = read(tmp_path, data, "a.warc.gz")
    assert sound(found) == Counter(body(n) for n in (0, 2, 3))
    assert [row["position"] for row in found if row["reject"]] == [len(stored[0])]
    assert origin.of("a.warc.gz").lost == len(stored[1]) - 60


def test_a_damage_row_has_the_place_of_no_sound_record(tmp_path):
    records = [gzip.compress(record(n), mtime=0) for n in range(3)]
    for garbage in (b"text", b"\x1f\x8b\x08\x00 and more", bytes(range(128, 256))):
        found, origin = read(tmp_path, records[0] + garbage + records[1] + records[2], "a.warc.gz")
        assert [row["reject"] for row in found] == [None] * 3
        [damage] = origin.of("a.warc.gz").damage
        assert damage.startswith(f"bytes {len(records[0]):,} to {len(records[0]) + len(garbage):,}:")


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n", "Git LFS pointer"),
        (b"<!DOCTYPE html><html><title>Sign in</title></html>", "HTML page"),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "XML"),
        (b'{"error": "no such key"}', "JSON"),
        (b"%PDF-1.7\n", "PDF"),
        (b"any bytes at all\x00\xff", "no record where one should begin"),
        (gzip.compress(b"<html>not an archive", mtime=0), "no record where one should begin"),
        (gzip.compress(b"", mtime=0), "it contains no records"),
        (record(1, block=b"<html>no status line"), "every document in it (1) is rejected as bad_http"),
        (
            b"".join(record(n, block=b"x") for n in range(9)),
            "every document in it (9) is rejected as bad_http: no status line",
        ),
    ],
)
@pytest.mark.parametrize("name", ["a.warc.gz", "a.warc"])
def test_a_file_of_which_nothing_can_be_used_is_lost_whole(tmp_path, data, why, name):
    _, origin = read(tmp_path, data, name)
    read_of = origin.of(name)
    assert read_of.lost == len(data)
    assert why in read_of.damage[-1]


def test_revisits_alone_and_no_documents_at_all_are_no_damage(tmp_path):
    for data in (record(1, "revisit", b""), record(1, "warcinfo", b"x"), b""):
        _, origin = read(tmp_path, data, "a.warc")
        assert origin.of("a.warc").lost == 0


# Compressions ----------------------------------------------------------------------------------------------


def skippable(content: bytes, magic: bytes = b"\x5d\x2a\x4d\x18") -> bytes:
    return magic + len(content).to_bytes(4, "little") + content


@pytest.mark.parametrize("packed", [False, True])
def test_zstd_with_a_dictionary_in_front(tmp_path, packed):
    records = [record(n) for n in range(60)]
    dictionary = zstandard.train_dictionary(4096, records * 4)
    content = dictionary.as_bytes()
    head = skippable(zstandard.compress(content) if packed else content)
    writer = zstandard.ZstdCompressor(dict_data=dictionary)
    data = head + b"".join(writer.compress(r) for r in records)
    found, origin = read(tmp_path, data, "a.warc.zst")
    assert sound(found) == Counter(body(n) for n in range(60))
    assert origin.files["a.warc.zst"].damage == []
    found, origin = read(tmp_path, data[:-1], "a.warc.zst")
    assert sum(sound(found).values()) == 59
    assert origin.files["a.warc.zst"].lost == len(writer.compress(records[-1])) - 1


def test_zstd_with_a_damaged_dictionary_in_front(tmp_path):
    """What needs it is lost; what does not is read."""
    dictionary = zstandard.train_dictionary(4096, [record(n) for n in range(60)] * 4)
    needs = zstandard.ZstdCompressor(dict_data=dictionary).compress(record(0))
    head = skippable(dictionary.as_bytes()[:8] + b"\xff" * 600)
    found, origin = read(tmp_path, head + needs + zstandard.compress(record(1)), "a.warc.zst")
    assert sound(found) == Counter([body(1)])
    assert origin.files["a.warc.zst"].lost == len(needs)


@pytest.mark.parametrize("log", [28, 31])
def test_zstd_windows_of_any_size(tmp_path, log):
    options = zstandard.ZstdCompressionParameters.from_level(1, window_log=27, enable_ldm=False)
    frame = bytearray(zstandard.ZstdCompressor(compression_params=options).compressobj().compress(b"") or b"")
    writer = zstandard.ZstdCompressor(compression_params=options).compressobj()
    frame = bytearray(writer.compress(b"".join(map(record, range(3)))) + writer.flush())
    frame[5] = (log - 10) << 3  # the window's size, in a frame that does not say how long it is
    found, origin = read(tmp_path, bytes(frame), "a.warc.zst")
    assert sound(found) == Counter(body(n) for n in range(3))
    assert origin.files["a.warc.zst"].damage == []


def test_a_frame_without_its_header_is_no_plain_archive(tmp_path):
    pieces = [COMPRESS[".lz4"](record(n)) for n in range(8)]
    found, origin = read(tmp_path, b"".join(pieces)[12:], "a.warc.lz4")
    assert all(sound(found)[body(n)] == 1 for n in range(1, 8))
    assert origin.of("a.warc.lz4").lost == len(pieces[0]) - 12


def test_a_byte_order_mark_before_the_first_record_is_no_loss(tmp_path):
    found, origin = read(tmp_path, b"\xef\xbb\xbf" + record(1) + record(2), "a.warc")
    assert (len(found), origin.of("a.warc").lost) == (2, 0)


def test_a_record_that_goes_on_in_another_is_not_whole(tmp_path):
    first = record(1).replace(b"WARC-Type", b"WARC-Segment-Number: 1\r\nWARC-Type")
    rest = record(2, "continuation").replace(b"WARC-Type", b"WARC-Segment-Number: 2\r\nWARC-Type")
    found, origin = read(tmp_path, first + rest + record(3), "a.warc")
    assert [row["reject"] for row in found] == ["truncated", None]
    assert origin.skipped == {"continuation": 1}
    assert origin.of("a.warc").lost == 0


def test_a_name_that_tells_another_compression_or_none(tmp_path):
    for name in ("a.warc", "a.warc.gz", "a.warc.zst", "a.warc.bz2"):
        for data in (record(1), gzip.compress(record(1), mtime=0), bz2.compress(record(1))):
            assert sound(read(tmp_path, data, name)[0]) == Counter([body(1)])


@pytest.mark.parametrize("name", ["a.warc.gz", "a.warc.zst"])
def test_a_plain_archive_of_compressed_pages_is_plain_whatever_it_is_called(tmp_path, name):
    packed = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(body(1), mtime=0)
    found, origin = read(tmp_path, record(1, block=packed) + record(2), name)
    assert sound(found) == Counter([body(1), body(2)])
    assert origin.of(name).damage == []


def test_frames_that_end_anywhere(tmp_path):
    """Records need not begin where frames do (bgzip, pzstd): one lies in as many as it takes."""
    plain = b"".join(record(n) for n in range(20))
    for ending in (".gz", ".zst", ".lz4"):
        frames = [COMPRESS[ending](plain[at : at + 97]) for at in range(0, len(plain), 97)]
        found, origin = read(tmp_path, b"".join(frames), f"a.warc{ending}")
        assert sound(found) == Counter(body(n) for n in range(20))
        assert origin.of(f"a.warc{ending}").damage == []
        del frames[len(frames) // 2]
        found, origin = read(tmp_path, b"".join(frames), f"a.warc{ending}")
        assert sum(sound(found).values()) >= 18
        assert origin.of(f"a.warc{ending}").lost


# Headers ---------------------------------------------------------------------------------------------------

SPELLINGS = {
    "lower": lambda head: head.lower().replace(b"warc/", b"WARC/"),
    "upper": lambda head: head.replace(b"WARC-Type: response", b"WARC-TYPE: RESPONSE").replace(b"Length", b"LENGTH"),
    "line feeds": lambda head: head.replace(b"\r\n", b"\n"),
    "space before the colon": lambda head: head.replace(b": ", b" \t: "),
    "no space after it": lambda head: head.replace(b": ", b":"),
    "folded": lambda head: head.replace(b": ", b":\r\n  "),
    "twice": lambda head: head.replace(b"\r\n\r\n", b"\r\nContent-Length: 1\r\nWARC-Type: request\r\n\r\n"),
    "lines that are none": lambda head: head.replace(b"\r\n", b"\r\nnonsense\r\n", 2),
    "Latin-1": lambda head: head.replace(b"\r\n\r\n", b"\r\nX-Name: caf\xe9\r\n\r\n"),
    "lower version": lambda head: head.replace(b"WARC/1.0", b"warc/1.1"),
    "0.17": lambda head: head.replace(b"WARC/1.0", b"WARC/0.17"),
    "0.18": lambda head: head.replace(b"WARC/1.0", b"WARC/0.18"),
    "spaces": lambda head: head.replace(b"\r\n", b" \r\n").replace(b" \r\n \r\n", b" \r\n\r\n"),
    "10,000 fields": lambda head: head.replace(b"\r\n\r\n", b"\r\n" + b"X-A: b\r\n" * 10_000 + b"\r\n"),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("ending", ["", ".gz"])
def test_header_fields_in_any_spelling(tmp_path, spelling, ending):
    records = []
    for number in range(3):
        head, _, block = record(number).partition(b"\r\n\r\n")
        records.append(COMPRESS[ending](SPELLINGS[spelling](head + b"\r\n\r\n") + block))
    found, origin = read(tmp_path, b"".join(records), f"a.warc{ending}")
    assert sound(found) == Counter(body(n) for n in range(3))
    assert [row["url"] for row in found] == [f"http://site.example/{n}" for n in range(3)]
    assert origin.of(f"a.warc{ending}").damage == []


def test_latin_1_in_an_address(tmp_path):
    data = record(1).replace(b"site.example/1", b"site.example/caf\xe9")
    assert read(tmp_path, data, "a.warc")[0][0]["url"] == "http://site.example/café"


def test_logs_of_crawlers_are_no_documents(tmp_path):
    logs = ["metadata://gnu.org/software/wget/warc/wget.log", "urn:X-wpull:log", "urn:pageinfo:http://a.example/"]
    data = record(0) + b"".join(
        record(n, "resource", b"log").replace(b"http://site.example/%d" % n, url.encode())
        for n, url in enumerate(logs, 1)
    )
    found, origin = read(tmp_path, data, "a.warc")
    assert sound(found) == Counter([body(0)])
    assert origin.skipped == {"crawler_log": 3}
