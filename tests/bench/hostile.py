"""What every stage and reader does with a megabyte that is made to hold it up, and with two.

    python tests/bench/hostile.py [--json] [--only NAME ...]

Each stage and each reader has a process of its own, which takes all inputs at both sizes. `worst_growth` is how
many times as long the double size takes, of what takes 50 ms or more; `slowest_mb_s` the least speed, by processor
time and the megabytes of the input or of the rows made of it, whichever are more; `peak_mb_per_input_mb` the most
memory beyond what the process had before; `exit_70` how many inputs raised anything that is no CurateError; `hung`
how many processes did not end. Needs Linux for the memory.
"""

import argparse
import gzip
import json
import random
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

sys.path[:0] = [str(Path(__file__).resolve().parents[2]), str(Path(__file__).resolve().parents[1])]

from curate.documents import TRANSIENT  # noqa: E402
from curate.errors import CurateError  # noqa: E402
from curate.sources import File, Origin, reader_of  # noqa: E402
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


def texts(size: int) -> dict[str, str]:
    """Hostile texts of so many bytes, by kind."""
    found = {kind: unit * (size // len(unit.encode())) for kind, unit in UNITS.items()}
    chance = random.Random(0)
    found["numbered"] = "\n".join(map(str, range(size // 8)))
    found["vocabulary"] = " ".join(f"{chance.getrandbits(40):x}" for _ in range(size // 11))
    found["title"] = "<title>" + " " * size
    found["titles"] = "<title>" + "a - " * (size // 4) + "</title><p>a"
    found["attributes"] = "<p " + " ".join(f"a{number}=b" for number in range(size // 9)) + ">"
    found["one_tag"] = "<p class='" + "a " * (size // 2) + "'>b"
    return found


# Files


def record(url: str, block: bytes, more: bytes = b"") -> bytes:
    """A WARC record of an HTTP response."""
    head = f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: {url}\r\nWARC-Record-ID: <urn:{url}>\r\n".encode()
    head += b"Content-Type: application/http; msgtype=response\r\nContent-Length: %d\r\n" % len(block)
    return head + more + b"\r\n" + block + b"\r\n\r\n"


def archives(size: int) -> dict[str, bytes]:
    """Hostile WARC archives, plain and compressed, by the ends of their names."""
    page, chance = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n", random.Random(0)
    small, member = gzip.compress(record("http://e/", page + b"\r\na")), gzip.compress(b"")
    noise = chance.randbytes(size)
    frame = gzip.compress(record("http://e/", page + b"\r\n" + noise[: size // 2]))
    chunks = page + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * (size // 6) + b"0\r\n\r\n"
    deep = zlib.compress(bytes(500 * size), 9)[: 2 * size]
    return {
        "records.warc.gz": small * (size // len(small)),
        "members.warc.gz": small + member * (size // len(member)),
        "restarts.warc.gz": small + (b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03" + b"\xed\xc0") * (size // 12),
        "damage.warc.gz": small + bytes(byte ^ (place % 97 == 5) for place, byte in enumerate(frame)) * 2,
        "frames.warc.zst": b"\x28\xb5\x2f\xfd\x20\x00\x01\x00\x00" * (size // 9),
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
        "members.jsonl.gz": gzip.compress(b'{"text":"a"}\n') * (size // 33),
        "noise.jsonl.gz": gzip.compress(text)[:20] + random.Random(0).randbytes(size),
        "frames.jsonl.zst": b"\x28\xb5\x2f\xfd\x20\x00\x01\x00\x00" * (size // 9),
    }


def tables(size: int, folder: Path) -> dict[str, bytes]:
    """Hostile Parquet files."""
    found, path = {}, folder / "made.parquet"
    shapes = {
        "groups": (pa.table({"text": ["a"] * (size // 400)}), {"row_group_size": 1}),
        "same": (pa.table({"text": ["x" * 9999] * (size // 100)}), {}),
        "lists": (pa.table({"text": ["a"], "x": [[0] * (size // 4)]}), {"use_dictionary": False}),
        "columns": (pa.table({"text": ["a"]} | {f"c{n}": [n] for n in range(size // 400)}), {}),
        "noise": (pa.table({"text": [random.Random(0).randbytes(size)]}), {}),
    }
    for name, (table, options) in shapes.items():
        pq.write_table(table, path, **options)
        found[f"{name}.parquet"] = path.read_bytes()
    sound = found["same.parquet"]
    found["damaged.parquet"] = sound[:200] + random.Random(1).randbytes(size) + sound[-2000:]
    return found


# Measuring


def measured(work: Callable) -> dict:
    """Processor seconds of a call, MB of memory it took beyond what there was, and what it raised."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    before, start, bug = _memory("VmRSS"), time.process_time(), None
    try:
        work()
    except CurateError:
        pass
    except Exception as error:
        bug = f"{type(error).__name__}: {error}"[:200]
    return {"seconds": time.process_time() - start, "peak": _memory("VmHWM") - before, "bug": bug}


def _memory(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1]) / 1024


def of_stage(name: str) -> dict[str, list[dict]]:
    """{input: what it took at 1 MB and at 2 MB}."""
    from test_laws import PARAMS

    stage = find_stage(name)
    params = stage.configure(PARAMS.get(name, [{}])[0])

    def run(text: str) -> None:
        columns = {"url": [text], "payload": [text.encode()], "http_status": [200], "content_type": ["text/html"]}
        table = docs(text, **columns, **{other: [None] for other in TRANSIENT if other not in columns})
        stage(table, **params) if stage.kind == "map" else run_group(stage, [table], params)

    run("A warm-up for what compiles.\n" * 50)
    return {
        kind: [measured(lambda text=text: run(text)) for text in (once, twice)]
        for (kind, once), twice in zip(texts(MB).items(), texts(2 * MB).values(), strict=True)
    }


def of_reader(name: str) -> dict[str, list[dict]]:
    """{file: what reading it took at 1 MB and at 2 MB}."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)

        def run(path: Path, made: list[int]) -> None:
            file, origin = File(path.name, str(path), path.stat().st_size), Origin("s")
            made += [table.nbytes for table in reader_of(path.name).read(file, origin=origin)]

        found: dict[str, list[dict]] = {}
        for size in (64 << 10, MB, 2 * MB):
            files = {"archives": archives, "rows": rows, "tables": lambda size: tables(size, folder)}[name](size)
            for file, content in files.items():
                (folder / file).write_bytes(content)
                made_of_it: list[int] = []
                result = measured(lambda path=folder / file, made=made_of_it: run(path, made))
                result["megabytes"] = max(len(content), sum(made_of_it)) / MB
                found.setdefault(file, [])
                if size >= MB:
                    found[file].append(result)
        return found


READERS = ("archives", "rows", "tables")


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
        except subprocess.TimeoutExpired:
            found[name] = None
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
