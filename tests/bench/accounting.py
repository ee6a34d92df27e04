"""Damage real archives and rows at random and account for every document that was in them.

    python tests/bench/accounting.py [--runs 500] [--seed 0] [--json]

Each run takes a small piece of a real file of `../shared/data`, damages it in one way (truncate, flip, append,
splice, cut) or writes it in another form (recompress, reorder or respell headers), and makes a release of it. A
document of the sound file is accounted for when it is kept, named among the rejected, or in a file that the lock or
the error reports as damaged. Prints `runs`, `unaccounted` (documents for which that is not so), `doubled` (documents
that are in the release more often than in the sound file) and `exit_70` (runs that ended in an error of ours).
"""

import argparse
import bz2
import gzip
import io
import json
import lzma
import random
import re
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from curate.errors import CurateError  # noqa: E402
from curate.release.make import Released, run_events  # noqa: E402

DATA = ROOT.parent / "shared" / "data"
DAMAGES = ("truncate", "flip", "append", "splice", "cut")
REWRITES = ("recompress", "headers")


@dataclass(frozen=True)
class Sample:
    """A piece of a real file. name: with its ending; units: its records or lines, one after the other."""

    name: str
    units: tuple[bytes, ...]
    archive: bool

    @property
    def content(self) -> bytes:
        return b"".join(self.units)

    def documents(self, unit: bytes) -> int:
        """How many documents a unit holds: 1, or 0 for records of another kind and blank lines."""
        if self.archive:
            return int(bool(re.search(rb"(?im)^warc-type: *(response|resource|revisit|conversion)", unit[:2000])))
        return int(bool(unit.strip()))


def samples() -> list[Sample]:
    """Pieces of archives (about twenty records) and of rows (about a hundred)."""
    found = []
    for path in ("crawl/web-a.warc.gz", "warc/resiliparse/warcfile.warc.gz", "warc/aut/example.warc.gz"):
        if (DATA / path).is_file():
            content = gzip.decompress((DATA / path).read_bytes())
            records = re.split(rb"(?<=\r\n\r\n)(?=WARC/1\.\d\r\n)", content)
            found.append(Sample(f"{Path(path).stem.partition('.')[0]}.warc", tuple(records[:24]), True))
    for path in sorted((DATA / "rows").rglob("*.json*"))[:40]:
        content = _plain(path)
        lines = content.splitlines(keepends=True)[:100]
        if len(lines) > 5 and all(_is_row(line) for line in lines):
            found.append(Sample(f"{path.parent.name}-{path.name.partition('.')[0]}.jsonl", tuple(lines), False))
    return found[:9]


def _plain(path: Path) -> bytes:
    content = path.read_bytes()[: 4 << 20]
    if path.suffix in (".gz", ".zst"):
        kind = {".gz": "gzip", ".zst": "zstd"}[path.suffix]
        try:
            return pa.CompressedInputStream(pa.py_buffer(path.read_bytes()), kind).read(4 << 20)
        except OSError:
            return b""
    return content


def _is_row(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line).get("text"), str)
    except (ValueError, AttributeError):
        return False


@dataclass(frozen=True)
class Packed:
    """A sample as a file. members: its pieces that can be read each by itself, with how many documents each holds."""

    name: str
    members: tuple[tuple[bytes, int], ...]

    @property
    def content(self) -> bytes:
        return b"".join(member for member, _ in self.members)

    @property
    def checked(self) -> bool:
        """Whether every byte is under a checksum, so that no change may pass unseen."""
        return self.name.endswith((".gz", ".bz2", ".xz"))


def packed(sample: Sample, kind: str, chance: random.Random) -> Packed:
    """The sample under a compression, its units in members of some size."""
    size = 1 if sample.archive or not kind else chance.choice((1, 10, 1000))
    if kind == "parquet":
        rows = [json.loads(unit) for unit in sample.units]
        table = pa.table({"text": [row["text"] for row in rows], "n": [json.dumps(row)[:50] for row in rows]})
        out = io.BytesIO()
        pq.write_table(table, out, row_group_size=max(size, 5), compression="zstd", write_page_checksum=True)
        return Packed(sample.name.replace(".jsonl", ".parquet"), ((out.getvalue(), len(rows)),))
    groups = [sample.units[at : at + size] for at in range(0, len(sample.units), size)]
    pack = {
        "": bytes,
        "gz": lambda group: gzip.compress(group, 6, mtime=0),
        "bz2": bz2.compress,
        "xz": lzma.compress,
        "zst": lambda group: _arrow(group, "zstd"),
        "lz4": lambda group: _arrow(group, "lz4"),
    }[kind]
    members = tuple((pack(b"".join(group)), sum(map(sample.documents, group))) for group in groups)
    return Packed(f"{sample.name}.{kind}" if kind else sample.name, members)


def _arrow(group: bytes, codec: str) -> bytes:
    out = pa.BufferOutputStream()
    with pa.CompressedOutputStream(out, codec) as stream:
        stream.write(group)
    return out.getvalue().to_pybytes()


def damaged(content: bytes, way: str, chance: random.Random, other: bytes) -> bytes:
    """The content after one accident."""
    at = chance.randrange(1, len(content))
    if way == "truncate":
        return content[:at]
    if way == "flip":
        changed = bytearray(content)
        for _ in range(chance.randint(1, 8)):
            changed[chance.randrange(len(changed))] ^= chance.randrange(1, 256)
        return bytes(changed)
    if way == "append":
        return content + chance.choice((b"\0" * 512, b"\n", b"not data", chance.randbytes(300)))
    if way == "cut":
        return content[:at] + content[at + chance.randint(1, 5000) :]
    return content[:at] + other[: chance.randint(1, 3000)] + content[at:]


def respelled(sample: Sample, chance: random.Random) -> Sample:
    """The same archive with its record headers in another order and spelling."""
    units = []
    for unit in sample.units:
        head, _, rest = unit.partition(b"\r\n\r\n")
        version, *fields = head.split(b"\r\n")
        chance.shuffle(fields)
        spell = chance.choice((bytes.lower, bytes.upper, lambda name: name))
        fields = [spell(name) + b":" + value for name, _, value in (field.partition(b":") for field in fields)]
        units.append(b"\r\n".join([version, *fields]) + b"\r\n\r\n" + rest)
    return Sample(sample.name, tuple(units), sample.archive)


@dataclass(frozen=True)
class Found:
    """What a run made of a file: documents kept and out, by what they are known by, and whether it says damage."""

    kept: Counter
    out: Counter
    reported: bool


def release(name: str, content: bytes, archive: bool, folder: Path) -> Found:
    """Make a release of one file. Raises what is not a CurateError."""
    (folder / name).write_bytes(content)
    source = {"inputs": [name], "max_damaged": 1, "max_bad_rows": 1} | ({"pipeline": ["extract"]} if archive else {})
    manifest = folder / "manifest.yaml"
    document = {"name": "x", "version": "1.0.0", "license": "other", "sources": {"s": source}}
    manifest.write_text(yaml.safe_dump(document))
    try:
        *_, released = run_events(manifest, folder / "work", 0)
    except CurateError:
        return Found(Counter(), Counter(), True)  # it stopped and named the file
    assert isinstance(released, Released)
    key = "url" if archive else "text"
    kept, out = Counter(), Counter()
    for shard in released.path.glob("data/**/*.parquet"):
        kept.update(_keys(pq.ParquetFile(shard).read(), key))
    for file in released.path.glob("evidence/rejected*.parquet"):
        out.update(_keys(pq.ParquetFile(file).read(), "url" if archive else "position"))
    files = released.lock["sources"]["s"]["files"]
    return Found(kept, out, any(file.get("lost") or file.get("damage") for file in files))


def _keys(table: pa.Table, key: str) -> list:
    return table[key].to_pylist() if key in table.column_names else [None] * table.num_rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if not DATA.is_dir():
        sys.exit("skipped: there is no ../shared/data")
    chance, pool, sound = random.Random(options.seed), samples(), {}
    result = Counter(runs=0, unaccounted=0, exit_70=0, doubled=0)
    for number in range(options.runs):
        sample, way = chance.choice(pool), chance.choice(DAMAGES + REWRITES)
        kinds = ("", "gz", "zst", "lz4") if sample.archive else ("", "gz", "zst", "bz2", "xz", "lz4", "parquet")
        kind = chance.choice(kinds)
        if sample.name not in sound:
            with tempfile.TemporaryDirectory() as folder:
                sound[sample.name] = release(sample.name, sample.content, sample.archive, Path(folder))
        before = sound[sample.name]
        sample = respelled(sample, chance) if way == "headers" and sample.archive else sample
        file = packed(sample, kind, chance)
        content = file.content
        if way in DAMAGES:
            others = [other for other in pool if other.name != sample.name]  # its own documents would be there twice
            content = damaged(content, way, chance, chance.choice(others).content[100:])
        told = f"run {number}: {file.name}, {way}"
        result["runs"] += 1
        try:
            with tempfile.TemporaryDirectory() as folder:
                after = release(file.name, content, sample.archive, Path(folder))
        except Exception as error:  # what the command line would answer with exit code 70
            result["exit_70"] += 1
            print(f"{told}: {type(error).__name__}: {error}", file=sys.stderr)
            continue
        lost, doubled = accounts(file, content, before, after)
        result["unaccounted"] += lost
        result["doubled"] += doubled
        if lost or doubled:
            print(f"{told}: {lost} unaccounted, {doubled} doubled", file=sys.stderr)
    print(json.dumps(result) if options.json else dict(result))
    sys.exit(1 if result["unaccounted"] or result["exit_70"] or result["doubled"] else 0)


def accounts(file: Packed, content: bytes, before: Found, after: Found) -> tuple[int, int]:
    """Documents that are neither kept nor named nor in a file reported as damaged, and documents kept too often.

    What nobody can know is not asked for: lines that are gone from the middle of plain text, a file that ends where a
    member ends, a changed byte that no checksum covers. So a file that reports nothing must give the documents of every
    member that is there whole, and where all bytes are checked it must give all documents or name what it cannot read.
    """
    doubled = sum(count - before.kept[key] for key, count in after.kept.items() if 0 < before.kept[key] < count)
    if after.reported:
        return 0, doubled
    whole = [documents for member, documents in file.members if member in content]
    expected = sum(whole)
    broken = len(whole) < len(file.members) and not file.content.startswith(content)
    silent = file.checked and broken and after.out.total() <= before.out.total()
    got = after.kept.total() + after.out.total()
    return max(0, expected - got, int(silent)), doubled


if __name__ == "__main__":
    main()
