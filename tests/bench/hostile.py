"""What every stage and reader does with a megabyte that is made to hold it up, and with two.

    python tests/bench/hostile.py [--json] [--only NAME ...]

Every stage, with each of its parameters of `PARAMS`, gets one document of each hostile text, the same in each other
column that it reads, and many small documents; every reader gets hostile files, compressed in every way it knows. One
that is not covered is an error. Each has a process of its own, which takes all inputs at both sizes.

`worst_growth` is how many times as long the double size takes, of what takes 50 ms or more. Of a stage that takes more
than 2.5 times as long it is that from two to four megabytes, if that is less: what leaves a cache grows faster once,
what is quadratic does so each time. `slowest_mb_s` is the least speed, by processor time and the megabytes of the input
as it is without compression, or of the rows made of it, whichever are more; `peak_mb_per_input_mb` the most memory
beyond what the process had before; `exit_70` how many inputs raised anything
that is no CurateError; `hung` how many processes did not end. Needs Linux for the memory.

`datatrove` runs the code of another project, which takes what it takes: spaCy cuts a megabyte without a space in
seconds. Where that code alone, in a bare loop, is slower than 1 MB/s, the input counts by `worst_times_peer` instead of
`slowest_mb_s`: how many times as long as the bare loop the stage takes.
"""

import argparse
import importlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cache, partial
from pathlib import Path

import pyarrow as pa

sys.path[:0] = [str(Path(__file__).resolve().parents[2]), str(Path(__file__).resolve().parents[1])]

from hostile_files import LAID_OUT, READERS, files, plain_size  # noqa: E402

from curate.dedup.near_dedup import Scheme  # noqa: E402
from curate.documents import COLUMNS, MORE, TRANSIENT  # noqa: E402
from curate.errors import CurateError  # noqa: E402
from curate.sources import COMPRESSIONS, File, Origin, compression_of  # noqa: E402
from curate.sources.format_api import format_for, format_of, formats  # noqa: E402
from curate.sources.partitions import RANGE_BYTES  # noqa: E402
from curate.stage_api import find_stage, stage_homes  # noqa: E402
from curate.testing import docs, run_group  # noqa: E402

MB = 1 << 20
LONG = 0.05
"""Seconds from which on growth is looked at: below it is the clock that grows."""

AS_WORKERS = {"MALLOC_TRIM_THRESHOLD_": str(512 * MB), "MALLOC_MMAP_THRESHOLD_": str(32 * MB)}
"""Memory is kept for what comes next, as a run has it."""

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
    "substring_dedup": [{"min_bytes": 32, "boundary": "character"}],
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
    "extract": [{"extractor": "trafilatura"}, {"extractor": "curate", "format": "markdown"}],
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
    """With all columns of an archive, as of pages that were fetched, and of rows that are more than text: the text is
    what each role says, a picture, and the group."""
    count, given = len(table), {"http_status": 200, "content_type": "text/html"}
    texts = table["text"].to_pylist()
    turns = [[{"role": role, "content": text} for role in ("user", "assistant")] for text in texts]
    more = dict.fromkeys(("prompt", "tools", "extras", "group"), texts)
    more |= {"messages": turns, "chosen": turns, "rejected": [[*of, *of] for of in turns]}
    more["images"] = [[{"bytes": (text or "").encode(), "path": "a.png"}] for text in texts]
    for name, values in more.items():
        table = table.append_column(name, pa.array(values, MORE[name].type))
    hashes = {"image_digests": pa.array([[text] for text in texts], pa.list_(pa.string()))}
    hashes["image_hashes"] = pa.array([[row % 7] for row in range(count)], pa.list_(pa.uint64()))
    for name, column in hashes.items():
        table = table.append_column(name, column)
    for name, column in TRANSIENT.items():
        if name not in table.column_names:
            table = table.append_column(name, pa.array([given.get(name)] * count, column.type))
    return table


# Files


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


def bare_datatrove(params: dict, table: pa.Table) -> None:
    """The loop that `datatrove` runs a filter in, without us."""
    from datatrove.data import Document
    from datatrove.utils.text import split_into_parts

    split_into_parts.cache_clear()  # the stage had the same texts
    module, _, name = params["block"].rpartition(".")
    block = getattr(importlib.import_module(module), name)(**params["params"])
    for text in table["text"].to_pylist():
        block.filter(Document(text=text or "", id="a"))


PEERS = {"datatrove": bare_datatrove}
"""{stage: the same by the other project's code alone}."""


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
    """Of the processor, with those of processes begun here, which are only known to a hundredth."""
    return time.process_time() + sum(os.times()[2:4])


def _memory(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1]) / 1024


def at_both(what: str, *works: Callable) -> list[dict]:
    """What a call took at one and at two megabytes: the best of five tries where that seems too long, since others use
    the machine too."""
    print(what, file=sys.stderr, flush=True)
    found = [measured(work) for work in works]
    for _ in range(4):
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
        for one, size, table in zip(found[kind], (1, 2), (once, twice), strict=True):
            if one["seconds"] > size and name in PEERS:
                one["peer"] = measured(partial(PEERS[name], params, table))["seconds"]
    if steep := {kind for kind, (once, twice) in found.items() if twice["seconds"] > max(LONG, 2.5 * once["seconds"])}:
        for (kind, params, twice), (_, _, four) in zip(documents(name, 2 * MB), documents(name, 4 * MB), strict=True):
            if kind in steep:
                again = at_both(f"{kind}, larger", partial(run, params, twice), partial(run, params, four))
                found[kind].append(again[1]["seconds"] / again[0]["seconds"])
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
                    result["megabytes"] = max(plain_size(content[file]), result.pop("made") or 0) / MB
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
    growth, speed, peak, times, bugs = [], [], [], [], {}
    for name, inputs in found.items():
        for kind, (once, twice, *larger) in (inputs or {}).items():
            place = f"{name}: {kind}"
            if once["seconds"] >= LONG:
                growth.append((min([twice["seconds"] / once["seconds"], *larger]), place))
            for size, one in ((1, once), (2, twice)):
                megabytes = one.get("megabytes", size)
                if (peer := one.get("peer", 0)) > megabytes:
                    times.append((one["seconds"] / peer, place))
                else:
                    speed.append((megabytes / max(one["seconds"], 1e-3), place))
                peak.append((one["peak"] / size, place))
                if one["bug"]:
                    bugs[place] = one["bug"]
    worst = {"worst_growth": sorted(growth)[::-1], "slowest_mb_s": sorted(speed)}
    worst |= {"peak_mb_per_input_mb": sorted(peak)[::-1], "worst_times_peer": sorted(times)[::-1]}
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
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=PATIENCE, env=os.environ | AS_WORKERS
            )
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
