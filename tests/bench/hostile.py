"""What every stage and reader does with a megabyte that is made to hold it up, and with two.

    python tests/bench/hostile.py [--json] [--only NAME ...]

Every stage, with each of its parameters of `PARAMS`, gets one document of each hostile text, the same in each other
column that it reads, and many small documents; every reader gets hostile files, compressed in every way it knows. One
that is not covered is an error. Each has a process of its own, which takes all inputs at both sizes.

`worst_growth` is how many times as long the double size takes, of what takes 50 ms or more; `slowest_mb_s` the least
speed, by processor time and the megabytes of the input or of the rows made of it, whichever are more;
`peak_mb_per_input_mb` the most memory beyond what the process had before; `exit_70` how many inputs raised anything
that is no CurateError; `hung` how many processes did not end. Needs Linux for the memory.
"""

import argparse
import bz2
import gzip
import json
import lzma
import os
import random
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cache, partial
from pathlib import Path

import lz4.frame
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

sys.path[:0] = [str(Path(__file__).resolve().parents[2]), str(Path(__file__).resolve().parents[1])]

from curate.dedup.near_dedup import Scheme  # noqa: E402
from curate.documents import COLUMNS, TRANSIENT  # noqa: E402
from curate.errors import CurateError  # noqa: E402
from curate.sources import COMPRESSIONS, File, Origin, compression_of  # noqa: E402
from curate.sources.format_api import format_for, format_of, formats  # noqa: E402
from curate.sources.layouts import LAYOUTS  # noqa: E402
from curate.sources.partitions import RANGE_BYTES  # noqa: E402
from curate.stage_api import find_stage, stage_homes  # noqa: E402
from curate.testing import docs, run_group  # noqa: E402

MB = 1 << 20
LONG = 0.05
"""Seconds from which on growth is looked at: below it is the clock that grows."""

PATIENCE = 900
"""Seconds for all inputs of a stage or reader."""

UNITS = {
    **{"letters": "x", "lines": "a\n", "words": "ab ", "spaces": " ", "newlines": "\n", "nul": "\0", "digits": "9"},
    **{"at": "a@", "points": "1.", "mails": "a.b@c.example ", "calls": "+1 (555) 010-", "addresses": "10.0.0.1 "},
    **{"urls": "http://e.example/a?b=c\n", "host": "a.", "slashes": "http://", "percent": "%zz", "colons": "a:b@"},
    **{"bullets": "- a\n", "zalgo": "\u0301\u0345", "rtl": "\u202eم", "emoji": "👩\u200d", "han": "中", "thai": "กา"},
    **{"lists": "[", "objects": '{"a":', "quotes": '\\"', "div": "<div>", "article": "<article><a>", "less": "<"},
    **{"href": "<a href='", "comment": "<!--", "entity": "&amp", "options": "<option>a", "cells": "<table><tr><td>"},
    **{"bold": "<b><i>a", "svg": "<svg><p>", "script": "<script>", "style": "<style>x{", "meta": "<meta name=robots "},
    **{"items": "<ul><li>a", "end": "</p>", "math": "<math><mi>x", "tex": "\\(x$", "hash": "#" * 7, "upper": "A. "},
}
"""{what: a piece of it}: a text is that, over and over."""


OTHERS = {
    "exact_dedup": [{"by": "url", "keep": ["-date", "url"]}],
    "line_dedup": [{"unit": "paragraphs", "numbers": "fold"}],
    "bloom_dedup": [{"ngram": 1, "expected_ngrams": 5_000_000}],
    "near_dedup": [
        {"verify": "signature"},
        {"verify": "none", "rule": "components"},
        {"unit": "characters", "normalize": True},
        {"unit": "pieces", "keep": ["-url"]},
    ],
    "keep_top": [{"fraction": 0.5, "column": "position", "by": "url"}],
    "select": [
        {"count": 9, "order": ["-url", "text"], "by": "url", "at_most": True},
        {"count": 9, "order": [], "by": "host", "at_most": True},
    ],
    "pii": [{"preset": "recall"}],
    "multiple_choice": [{"form": "blank"}],
    "extract": [{"extractor": "trafilatura"}],
    "code": [{"licenses": ["MIT"], "languages": ["Python"], "name": "url"}],
}
"""{stage: parameters}, beside those of the laws, that lead to other code."""


def texts(size: int) -> dict[str, str]:
    """Hostile texts of so many bytes, by kind."""
    found = {kind: unit * (size // len(unit.encode())) for kind, unit in UNITS.items()}
    chance = random.Random(0)
    found["numbered"] = "\n".join(map(str, range(size // 8)))
    found["vocabulary"] = " ".join(f"{chance.getrandbits(40):x}" for _ in range(size // 11))
    found["title"] = "<title>" + " " * size
    found["titles"] = "<title>" + "a - " * (size // 4) + "</title><p>a"
    found["attributes"] = "<p " + " ".join(f"a{number}=b" for number in range(size // 9)) + ">"
    found["question"] = "It was said that a second meeting would be needed before the end of the year. " * (size // 78)
    found["options"] = json.dumps({"answer": "A", "options": ["a"] * (size // 5)})
    found["option_names"] = json.dumps({f"option{number}": "a" for number in range(size // 20)} | {"answer": "B"})
    found["licenses"] = "MIT OR (" * (size // 8)
    found["one_tag"] = "<p class='" + "a " * (size // 2) + "'>b"
    return found


def many(size: int) -> dict[str, pa.Table]:
    """Tables of so many bytes in all, of small documents."""
    chance, count = random.Random(0), size // 256
    distinct = [f"{chance.getrandbits(99):x}" for _ in range(count)]
    shapes = {
        "same": ["a b c d e f"] * count,
        "distinct": distinct,
        "empty": [""] * count,
        "null": [None] * count,
        "lines": ["a\n" * 50] * count,
        "marked": ["<p>a <b>b</b>"] * count,
        "meet": meeting(size // 900),
    }
    return {kind: table_of(texts, distinct) for kind, texts in shapes.items()}


def table_of(texts: list[str | None], others: list[str]) -> pa.Table:
    """Documents of these texts with an address and a language that no other has."""
    found = {"url": [f"http://{other}.example/" for other in others], "language": others, "license": others}
    meta = [json.dumps({"answer": "A", "options": [other]}) for other in others]
    columns = {name: values[: len(texts)] for name, values in (found | {"meta": meta}).items()}
    return _whole(docs(*texts, **columns, payload=[(text or "").encode() for text in texts]))


def meeting(count: int) -> list[str]:
    """Texts that agree in a band of `near_dedup` as it is by default, and in next to nothing else."""
    made, chance = lowest(), random.Random(1)
    return [" ".join([*made, *(f"{chance.getrandbits(40):x}" for _ in range(40))]) for _ in range(count)]


@cache
def lowest() -> list[str]:
    """Words of n-grams that have the lowest hashes of a million, by the permutations of a band."""
    chance = random.Random(2)
    found = [" ".join(f"{chance.getrandbits(16):x}" for _ in range(5)) for _ in range(200_000)]
    params = find_stage("near_dedup").configure({})
    signed = Scheme.of(**params).signatures(pa.chunked_array([found]))
    return [found[row] for row in signed[:, : Scheme.of(**params).rows].argmin(axis=0)]


def calls(name: str) -> list[dict]:
    """The parameters to try a stage with. Raises CurateError where it needs some that nobody thought of."""
    from test_laws import PARAMS

    stage = find_stage(name)
    return [stage.configure(params) for params in [*PARAMS.get(name, [{}]), *OTHERS.get(name, [])]]


def documents(name: str, size: int) -> Iterable[tuple[str, dict, pa.Table]]:
    """(what, parameters, document table) of all that a stage is given."""
    stage = find_stage(name)
    for number, params in enumerate(calls(name)):
        which = f" {number}" if number else ""
        columns = [column for column in stage.reads(params) if _is_text(column)]
        hostile = texts(size)
        for kind, text in hostile.items():
            if {"text", "payload"} & {*stage.reads(params)} or not columns:
                yield f"{kind}{which}", params, _whole(docs(text, payload=[text.encode()]))
            for column in columns:
                yield f"{column}={kind}{which}", params, _whole(docs("a_b", **{column: [text], "payload": [b"<p>a"]}))
        for kind, table in many(size).items():
            yield f"many {kind}{which}", params, table


def _is_text(column: str) -> bool:
    known = COLUMNS | TRANSIENT
    return column not in ("text", "id") and column in known and known[column].type == pa.string()


def _whole(table: pa.Table) -> pa.Table:
    """With all columns of an archive, as of pages that were fetched."""
    count, given = len(table), {"http_status": 200, "content_type": "text/html"}
    for name, column in TRANSIENT.items():
        if name not in table.column_names:
            table = table.append_column(name, pa.array([given.get(name)] * count, column.type))
    return table


# Files


def record(url: str, block: bytes, more: bytes = b"", conversion: bool = False) -> bytes:
    """A WARC record of an HTTP response, or of a text."""
    kind, media = "response", b"application/http; msgtype=response"
    kind, media = ("conversion", b"text/plain") if conversion else (kind, media)
    head = f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: {url}\r\nWARC-Record-ID: <urn:{url}>\r\n".encode()
    head += b"Content-Type: %b\r\nContent-Length: %d\r\n" % (media, len(block))
    return head + more + b"\r\n" + block + b"\r\n\r\n"


def archives(size: int) -> dict[str, bytes]:
    """Hostile WARC archives, plain and compressed, by the ends of their names."""
    page, chance = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n", random.Random(0)
    small, member = gzip.compress(record("http://e/", page + b"\r\na")), gzip.compress(b"")
    noise = chance.randbytes(size)
    frame = gzip.compress(record("http://e/", page + b"\r\n" + noise[: size // 2]))
    chunks = page + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * (size // 6) + b"0\r\n\r\n"
    text = b"a " * (size // 2)
    deep = zlib.compress(bytes(500 * size), 9)[: 2 * size]
    return {
        "records.warc.gz": small * (size // len(small)),
        "members.warc.gz": small + member * (size // len(member)),
        "restarts.warc.gz": small + (b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03" + b"\xed\xc0") * (size // 12),
        "damage.warc.gz": small + bytes(byte ^ (place % 97 == 5) for place, byte in enumerate(frame)) * 2,
        "headers.warc": record("http://e/", page + b"\r\na", b"X: y\r\n" * (size // 6)),
        "fields.warc": record("http://e/", page + b"X: y\r\n" * (size // 6) + b"\r\na"),
        "folds.warc": record("http://e/", page + b"\r\na", b"X: y\r\n" + b" z\r\n" * (size // 4)),
        "versions.warc": b"WARC/1.0\r\n" * (size // 10),
        "starts.warc": b"WARC/1.0\r\nWARC-Type: response\r\nContent-Length: 9999999\r\n\r\n" * (size // 59),
        "newlines.warc": b"\r\n" * (size // 2),
        "chunks.warc": record("http://e/", chunks),
        "codings.warc": record("http://e/", page + b"Content-Encoding: " + b"gzip, " * (size // 6) + b"gzip\r\n\r\na"),
        "expands.warc": record("http://e/", page + b"Content-Encoding: deflate\r\n\r\n" + deep),
        "noise.warc": noise,
        "one.warc.wet": record("http://e/", text, conversion=True),
        "records.warc.wet": record("http://e/", b"a", conversion=True) * (size // 150),
        "halves.warc.wet": record("http://e/", b"\xed\xa0\x80" * (size // 3), conversion=True),
        "lines.arc": b"http://e/ 1.1.1.1 20250101000000 text/html 1\na\n" * (size // 48),
        "spaces.arc": b"http:" + b" 202501010000001" * (size // 16),
        "one.arc": b"http:a" * (size // 6),
    }


def rows(size: int) -> dict[str, bytes]:
    """Hostile JSON lines."""
    text = json.dumps({"text": "x" * size}).encode()
    return {
        "line.jsonl": text,
        "letters.jsonl": b"x" * size,
        "deep.jsonl": b"[" * size,
        "objects.jsonl": b'{"a":' * (size // 5),
        "empty.jsonl": b"{}\n" * (size // 3),
        "blank.jsonl": b"\n" * size,
        "tiny.jsonl": b'{"text":"a"}\n' * (size // 13),
        "halves.jsonl": b'{"text":"' + b"\\ud800" * (size // 6) + b'"}\n',
        "keys.jsonl": b'{"text":"a",' + b",".join(b'"%d":0' % number for number in range(size // 9)) + b"}\n",
        "arrays.jsonl": b'{"text":"a","x":[' + b"[]," * (size // 3) + b"0]}\n",
        "number.jsonl": b'{"text":"a","x":' + b"9" * size + b"}\n",
        "quotes.jsonl": b'"' * size,
        "escapes.jsonl": b'{"text":"' + b"\\" * size,
        "strings.jsonl": json.dumps({"text": "a", "meta": '{"a":' + "[]," * (size // 4)}).encode() + b"\n",
        "inner.jsonl": json.dumps({"text": "a", "metadata": '{"url":"' + "\\" * (size // 2)}).encode() + b"\n",
    }


def values(size: int) -> dict[str, bytes]:
    """Hostile JSON files that are no JSON lines."""
    return {
        "brackets.json": b"[" * size,
        "closers.json": b"[]}" * (size // 3),
        "elements.json": b"[" + b"0," * (size // 2) + b"0]",
        "objects.json": b'{\n"a":' * (size // 6),
        "rows.json": b"[" + b'{"text":"a"},' * (size // 13) + b"{}]",
        "quotes.json": b"[" + b'"' * size,
        "escapes.json": b'[{"text":"' + b"\\" * size,
        "string.json": b'[{"text":"' + b"x" * size,
        "commas.json": b"[" + b"," * size + b"]",
        "words.json": b"[\n" + b"x\n" * (size // 2),
    }


def plain(size: int) -> dict[str, bytes]:
    """Hostile tables in text, texts and pages."""
    return {
        "commas.csv": b"text,a\n" + b"," * size,
        "quotes.csv": b"text\n" + b'"' * size,
        "open.csv": b"text\n" + b'"\n' * (size // 2),
        "fields.csv": b"text\n" + b'"a\n",' * (size // 5),
        "names.csv": b",".join(b"%d" % number for number in range(size // 8)) + b",text\n" + b"," * (size // 8),
        "tiny.csv": b"text\n" + b"a\n" * (size // 2),
        "blank.tsv": b"text\n" + b"\n" * size,
        "letters.txt": b"x" * size,
        "zeros.txt": b"\0" * size,
        "bytes.txt": b"\xff" * size,
        "tags.html": b"<p>" * (size // 3),
    }


CONTENTS = {
    "json": b'[{"text":"a"}]',
    "csv": b"text\na\n",
    "txt": b"a\n",
    "html": b"<p>a</p>",
    "jsonl": b'{"text":"a"}\n',
    "warc": record("http://e/", b"HTTP/1.1 200 OK\r\n\r\na"),
    "arc": b"http://e/ 1.1.1.1 20250101000000 text/html 1\na\n",
    "warc.wet": record("http://e/", b"a", conversion=True),
}


def compressed(format: str, size: int) -> dict[str, bytes]:
    """Hostile files of lines or of records, compressed in each way there is."""
    found, chance, content = {}, random.Random(0), CONTENTS[format]
    for ending, name in COMPRESSIONS.items():
        pack = PACKED[name]
        empty, noise = pack(b""), chance.randbytes(size)
        one, kind = pack(content), f".{format}{ending}"
        whole = bytearray(pack(content * (size // 99) + noise[: size // 2]))
        found["units" + kind] = one * (size // len(one))
        found["empty" + kind] = one + empty * (size // len(empty))
        found["starts" + kind] = one + (empty[:10] + b"\xed\xc0") * (size // 12)
        found["openings" + kind] = one + empty[:4] * (size // 4)
        found["noise" + kind] = one[:20] + noise
        whole[100::997] = bytes(byte ^ 255 for byte in whole[100::997])
        found["damage" + kind] = bytes(whole)
        found["zeros" + kind] = pack(content + bytes(20 * size))
    return found


PACKED = {
    "gzip": gzip.compress,
    "zstd": zstandard.compress,
    "bz2": bz2.compress,
    "lz4": lz4.frame.compress,
    "xz": lzma.compress,
}


def tables(size: int, folder: Path) -> dict[str, bytes]:
    """Hostile Parquet files."""
    found, path = {}, folder / "made.parquet"
    groups, columns = size // 150, size // 300
    shapes = {
        "groups": (pa.table({"text": ["a"] * groups}), {"row_group_size": 1}),
        "twice": (pa.table([["a"]] * columns, ["text", *["x"] * (columns - 1)]), {}),
        "fields": (pa.table({"text": ["a"], "x": _struct(columns)}), {}),
        "inside": (pa.table({"text": ["a"] * columns, "x": [_inside(30)] * columns}), {}),
        "same": (pa.table({"text": ["x" * 9999] * (size // 100)}), {}),
        "lists": (pa.table({"text": ["a"], "x": [[0] * (size // 4)]}), {"use_dictionary": False}),
        "columns": (pa.table({"text": ["a"]} | {f"c{n}": [n] for n in range(columns)}), {}),
        "described": (pa.table({"text": ["a"] * columns, "x": [["x", None]] * columns}), {"row_group_size": 1}),
        "noise": (pa.table({"text": [random.Random(0).randbytes(size)]}), {}),
    }
    for name, (table, options) in shapes.items():
        pq.write_table(table, path, **options)
        found[f"{name}.parquet"] = path.read_bytes()
    sound = found["same.parquet"]
    optional = b"\x25\x02\x18\x07element"
    found["described.parquet"] = found["described.parquet"].replace(optional, optional.replace(b"\x02", b"\x00"))
    found["damaged.parquet"] = sound[:200] + random.Random(1).randbytes(size) + sound[-2000:]
    return found


def _struct(count: int) -> pa.Array:
    """A struct of so many fields of one name."""
    return pa.StructArray.from_arrays([pa.array([1])] * count, ["a"] * count)


def _inside(levels: int) -> list:
    """A list in a list, so many levels deep."""
    return [_inside(levels - 1)] if levels else []


LAID_OUT = dict.fromkeys(("strings.jsonl", "inner.jsonl", "arrays.jsonl"), (None, *LAYOUTS))
"""{file: layouts to read it by}, where not by the names of columns alone."""


def files(name: str, size: int, folder: Path) -> dict[str, bytes]:
    """The hostile files of a kind, by name."""
    return tables(size, folder) if name == "tables" else READERS[name](size)


READERS = {"archives": archives, "rows": rows, "values": values, "plain": plain, "tables": tables}
READERS |= {f"compressed_{format}": partial(compressed, format) for format in CONTENTS}


def kind_of(name: str) -> str | None:
    """The format of a file: here each `.json` holds values that are no JSON lines."""
    return "json" if ".json" in (name[-5:], name[: name.rfind(".")][-5:]) else format_of(name)


def check_readers() -> None:
    """Raise where no file is of a format, or of a compression that its reader takes."""
    with tempfile.TemporaryDirectory() as folder:
        names = [name for kind in READERS for name in files(kind, 4096, Path(folder))]
    found = {(kind_of(name), compression_of(name)) for name in names}
    kinds = {
        (kind, how)
        for kind, one in formats().items()
        for how in (None, *COMPRESSIONS.values())
        if one.compressed or not how
    }
    if missing := kinds - found:
        raise NotImplementedError(f"no hostile file of {sorted(missing, key=str)}")


# Measuring


def measured(work: Callable) -> dict:
    """Processor seconds of a call, MB of memory it took beyond what there was, and what it raised."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    before, start, bug = _memory("VmRSS"), _seconds(), None
    made = None
    try:
        made = work()
    except CurateError:
        pass
    except Exception as error:
        bug = f"{type(error).__name__}: {error}"[:200]
    return {"seconds": _seconds() - start, "peak": _memory("VmHWM") - before, "bug": bug, "made": made}


def _seconds() -> float:
    """Of the processor, with those of processes begun here."""
    return sum(os.times()[:4])


def _memory(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1]) / 1024


def at_both(what: str, *works: Callable) -> list[dict]:
    """What a call took at one and at two megabytes: the best of three tries where that seems too long, since others use
    the machine too."""
    print(what, file=sys.stderr, flush=True)
    found = [measured(work) for work in works]
    for _ in range(2):
        if found[1]["seconds"] > max(LONG, 2.2 * found[0]["seconds"]):
            again = [measured(work) for work in works]
            found = [min(tries, key=lambda one: one["seconds"]) for tries in zip(found, again, strict=True)]
    return found


def of_stage(name: str) -> dict[str, list[dict]]:
    """{input: what it took at 1 MB and at 2 MB}."""
    stage = find_stage(name)

    def run(params: dict, table: pa.Table) -> None:
        stage(table, **params) if stage.kind == "map" else run_group(stage, [table], params)

    for _, params, table in documents(name, 1 << 14):  # what compiles, does
        with suppress(CurateError):
            run(params, table)
    found = {}
    for (kind, params, once), (_, _, twice) in zip(documents(name, MB), documents(name, 2 * MB), strict=True):
        found[kind] = at_both(kind, partial(run, params, once), partial(run, params, twice))
    return found


def of_reader(name: str) -> dict[str, list[dict]]:
    """{file: what reading it took at 1 MB and at 2 MB}."""
    check_readers()
    with tempfile.TemporaryDirectory() as made:
        folder, found = Path(made), {}
        sizes = [files(name, size, folder) for size in (64 << 10, MB, 2 * MB)]
        for file in sizes[0]:
            path = folder / file
            for layout in LAID_OUT.get(file, (None,)):
                read_file(path, sizes[0][file], layout)  # what is used for the first time takes longer
                tries = [partial(read_file, path, content[file], layout) for content in sizes[1:]]
                results = at_both(file, *tries)
                for result, content in zip(results, sizes[1:], strict=True):
                    result["megabytes"] = max(len(content[file]), result.pop("made") or 0) / MB
                found[f"{file} {layout or ''}".strip()] = results
        return found


def read_file(path: Path, content: bytes, layout: str | None) -> int:
    """Bytes of the documents that a reader makes of a file, planned first."""
    path.write_bytes(content)
    file, options = File(path.name, str(path), len(content)), {"layout": layout} if layout else {}
    reader = format_for(path.name, kind_of(path.name))
    pieces = [{}]
    if reader.ranges:
        pieces = [{"rows": rows} for rows in reader.ranges(file, RANGE_BYTES)] or pieces
    return sum(table.nbytes for piece in pieces for table in reader.read(file, origin=Origin("s"), **options, **piece))


def summary(found: dict[str, dict | None]) -> dict:
    """The figures over all processes: those that did not end are None."""
    growth, speed, peak, bugs = [], [], [], {}
    for name, inputs in found.items():
        for kind, (once, twice) in (inputs or {}).items():
            place = f"{name}: {kind}"
            if once["seconds"] >= LONG:
                growth.append((twice["seconds"] / once["seconds"], place))
            for size, one in ((1, once), (2, twice)):
                megabytes = one.get("megabytes", size)
                speed.append((megabytes / max(one["seconds"], 1e-3), place))
                peak.append((one["peak"] / size, place))
                if one["bug"]:
                    bugs[place] = one["bug"]
    worst = {"worst_growth": sorted(growth)[::-1], "slowest_mb_s": sorted(speed)}
    worst |= {"peak_mb_per_input_mb": sorted(peak)[::-1]}
    figures = {name: round(places[0][0], 2) if places else None for name, places in worst.items()}
    figures |= {"exit_70": len(bugs), "hung": sum(inputs is None for inputs in found.values())}
    shown = {name: [f"{value:.2f} {place}" for value, place in places[:8]] for name, places in worst.items()}
    return figures | {"where": shown, "bugs": bugs, "hung_in": [name for name, got in found.items() if got is None]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--only", nargs="*", help="names of stages, or of " + ", ".join(READERS))
    parser.add_argument("--one", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps((of_reader if args.one in READERS else of_stage)(args.one)))
        return
    found = {}
    for name in args.only or [*READERS, *sorted(stage_homes())]:
        command = [sys.executable, __file__, "--one", name]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
        except subprocess.TimeoutExpired as error:
            found[name] = None
            print(name, "hung at", (error.stderr or b"").decode().splitlines()[-1:], file=sys.stderr)
            continue
        if done.returncode:
            bug = {"seconds": 0, "peak": 0, "bug": f"exit {done.returncode}: {done.stderr[-300:]}"}
            found[name] = {"all": [bug, bug]}
        else:
            found[name] = json.loads(done.stdout.splitlines()[-1])
        if not args.json:
            print(name, json.dumps(summary({name: found[name]})["where"], indent=1), file=sys.stderr)
    result = summary(found)
    print(json.dumps(result, indent=None if args.json else 2))


if __name__ == "__main__":
    main()
