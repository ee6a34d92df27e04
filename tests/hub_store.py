"""The content that the Hub of the tests holds, by sha256: files and the chunks of a Xet store. See hub.py."""

import struct
from hashlib import sha256
from pathlib import Path

from hub_repo import Entry, Refused, entry_of


class Store:
    def __init__(self, root: Path):
        self.blobs, self.cas = root / "blobs", root / "cas"  # files named by their sha256; the Xet store

    def keep(self, content: bytes) -> Entry:
        digest = sha256(content).hexdigest()
        (self.blobs / digest).write_bytes(content)
        return entry_of(digest, len(content), content)

    def size(self, digest: str) -> int:
        if (self.blobs / digest).exists():
            return (self.blobs / digest).stat().st_size
        if digest not in (known := self.xet_files()):
            raise Refused(400, "LFS pointer pointed to a file that does not exist")
        return known[digest][1]

    def content(self, digest: str) -> bytes:
        """The bytes with this sha256, wherever they are stored."""
        if (self.blobs / digest).exists():
            return (self.blobs / digest).read_bytes()
        import hf_xet

        xet_hash, size = self.xet_files()[digest]
        target = self.blobs / digest
        with hf_xet.XetSession().new_file_download_group(
            endpoint=f"local://{self.cas}", token="-", token_expiry_unix_secs=2**40
        ) as group:
            group.start_download_file(hf_xet.XetFileInfo(xet_hash, size), str(target))
        return target.read_bytes()

    @property
    def stored(self) -> int:
        """Bytes of the chunks in the Xet store."""
        return sum(file.stat().st_size for file in (self.cas / "xet/xorbs/xorbs").glob("*") if file.is_file())

    def xet_files(self) -> dict[str, tuple[str, int]]:
        """sha256 -> (Xet hash, bytes) of every file in the Xet store, read from its shards.

        A shard is a header of 48 bytes, then for each file blocks of 48 bytes: one with its hash, flags and
        number of segments, the segments (bytes at offset 36), as many verification blocks (flag 31), one with
        the sha256 (flag 30). Hashes are four little-endian words. A hash of 0xff bytes ends the list.
        """
        known = {}
        for shard in (self.cas / "xet/xorbs/shards").glob("*.mdb"):
            data, at = shard.read_bytes(), 48
            while (name := data[at : at + 32]) != b"\xff" * 32:
                flags, segments = struct.unpack_from("<II", data, at + 32)
                size = sum(struct.unpack_from("<I", data, at + 48 * i + 36)[0] for i in range(1, segments + 1))
                at += 48 * (1 + segments + (segments if flags >> 31 & 1 else 0))
                if flags >> 30 & 1:
                    known[_words(data[at : at + 32])] = _words(name), size
                    at += 48
        return known


def _words(raw: bytes) -> str:
    return b"".join(raw[i : i + 8][::-1] for i in range(0, 32, 8)).hex()
