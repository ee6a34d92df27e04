"""Archives that are made to be read often: their size bounds the work."""

import gzip
from collections import Counter

import pytest
import zstandard
from damaged_archives import COMPRESS, read

from curate.sources import codecs, frames
from curate.sources.codecs import codec_of

# Time ------------------------------------------------------------------------------------------------------

HOSTILE = {
    "a.warc.gz": [
        b"\x1f\x8b\x08",
        b"\x1f\x8b\x08\x00\0\0\0\0\0\xff\x00\xff\x00\x00\xff",
        gzip.compress(b"WARC/1.0\r\nContent-Length: 9\r\n\r\n", mtime=0)[:-1],
    ],
    "a.warc.zst": [b"\x28\xb5\x2f\xfd", b"\x28\xb5\x2f\xfd\x00\x00\xff\xff\x03"],
    "a.warc.lz4": [b"\x04\x22\x4d\x18", b"\x04\x22\x4d\x18\x40\x70\xdf\xff\x00\x00\x00"],
}


@pytest.mark.parametrize(("name", "piece"), [(name, piece) for name, pieces in HOSTILE.items() for piece in pieces])
def test_a_file_of_nothing_but_beginnings_is_read_a_bounded_number_of_times(tmp_path, monkeypatch, name, piece):
    made = []
    init = frames.Restarts.__init__

    def watched(self, *args):
        init(self, *args)
        made.append(self)

    monkeypatch.setattr(frames.Restarts, "__init__", watched)
    size = 200_000
    data = piece * (size // len(piece))
    _, origin = read(tmp_path, data, name)
    assert origin.of(name).lost == len(data)
    [restarts] = made
    assert restarts.spent <= (frames.AGAIN + 1) * len(data) + 2 * frames.FREE
    assert restarts.count <= restarts.spent // 64


@pytest.mark.parametrize(
    "piece",
    [
        b"WARC/1.0\n",
        b"WARC/1.0\nA: b\n",
        b"WARC/1.0\nWARC-Type: response\nContent-Length: 150000\n\n",
        b"\nhttp://a 1 20200101000000 x 1",
        b"http://a 1 ",
    ],
)
@pytest.mark.parametrize("ending", ["", ".gz"])
def test_a_file_of_nothing_but_headers_is_searched_once(tmp_path, monkeypatch, piece, ending):
    """Counts the bytes that are cut out of the archive to look for headers: no more than a few times its size."""
    from curate.sources import window

    cut = Counter()
    for kind in (window.Window, window.Mapped):

        def slice(self, start, end, whole=kind.slice):
            found = whole(self, start, end)
            cut["bytes"] += len(found)
            return found

        monkeypatch.setattr(kind, "slice", slice)
    data = piece * (200_000 // len(piece))
    name = ("a.arc" if b"http" in piece else "a.warc") + ending
    read(tmp_path, COMPRESS[ending](data), name)
    assert cut["bytes"] <= 5000 * len(data) // min(len(piece), 40)


class Counted(bytes):
    """Bytes that know how many were cut out of them."""

    cut = 0

    def __getitem__(self, key):
        found = super().__getitem__(key)
        if isinstance(key, slice):
            self.cut += len(found)
        return found


@pytest.mark.parametrize("ending", [".gz", ".bz2", ".xz", ".lz4", ".zst"])
def test_of_a_tiny_frame_little_is_read(ending):
    empty = COMPRESS[ending](b"")
    data = Counted(empty * (400_000 // len(empty)))
    assert list(frames.frames(data, codec_of(data, None), lambda plain: False)) == []
    assert data.cut <= (len(data) // len(empty)) * codecs.FIRST


def test_archives_read_at_once_do_not_meet():
    """Decoders of one file share what they are made of; those of another have their own."""
    plains = [bytes(chr(97 + n), "ascii") + bytes(5_000_000) for n in range(2)]
    files = [zstandard.compress(plain) for plain in plains]
    events = [frames.frames(data, codec_of(data, None), lambda plain: True) for data in files]
    chunks = list(zip(*events, strict=True))
    assert len(chunks) > 9
    assert [b"".join(chunk.plain for chunk in one) for one in zip(*chunks, strict=True)] == plains
