"""`curate run` over an archive against the bare loop of FastWARC and Resiliparse over the same archive.

    python tests/bench/extract.py [--quality] [--extractor resiliparse] [--copies 32] [--runs 3] [--json]

Both use one process to extract, and take turns. The bare loop is timed without its imports, the command from
its start to its end: plan, read, extract, store, shuffle, shards, card and lock. On a busy machine read
`cpu_ratio_to_bare`, the same in processor seconds of all processes. Quality is the share of gold segments that
belong to a page and are in its text (found), and of those that do not and are not (left out). `f1` is that of
segments: precision is the share of segments in the texts that belong there, recall the share found. `characters_lost`
counts visible characters of lines that are kept and not in the text, by the definition of `tests/visible.py`.
`repair_ratio` is the processor time of a page's parse and text with `repair` over that without. `--quality` measures
these alone, in one process.
"""

import argparse
import importlib.util
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import psutil
import pyarrow.dataset as ds
from fastwarc.warc import ArchiveIterator, WarcRecordType
from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.encoding import bytes_to_str, detect_encoding
from resiliparse.parse.html import HTMLTree

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from visible import lost  # noqa: E402

from curate.stages._charset import decode  # noqa: E402
from curate.stages._visible_text import prepare  # noqa: E402
from curate.stages.extract import extract  # noqa: E402
from curate.testing import docs  # noqa: E402

CRAWL = ROOT.parent / "shared" / "data" / "crawl"
MANIFEST = """\
name: web-a
version: 0.1.0
license: other
sources:
  web:
    inputs: [{archive}]
    format: warc
    pipeline: [extract: {{extractor: {extractor}}}]
"""


@dataclass
class Run:
    """Wall and processor seconds; most bytes a worker held; {url: text}."""

    seconds: float
    cpu: float
    texts: dict[str, str]
    peak: int = 0


def bare(archive: Path) -> Run:
    """The least code that extracts an archive."""
    texts, start, cpu = {}, time.perf_counter(), time.process_time()
    with archive.open("rb") as stream:
        for record in ArchiveIterator(stream, record_types=WarcRecordType.response):
            body = record.reader.read()
            text = extract_plain_text(bytes_to_str(body, detect_encoding(body)), main_content=True)
            texts[record.headers["WARC-Target-URI"]] = text
    return Run(time.perf_counter() - start, time.process_time() - cpu, texts)


def command(archive: Path, extractor: str) -> Run:
    """The whole command, from its start to its end."""
    with tempfile.TemporaryDirectory() as work:
        manifest = Path(work, "web-a.yaml")
        manifest.write_text(MANIFEST.format(archive=archive, extractor=extractor))
        call = [sys.executable, "-m", "curate", "run", manifest, "--work", work, "--workers", "1", "--json"]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        start, cpu = time.perf_counter(), cpu_of_children()
        child = subprocess.Popen(call, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        peak = 0
        while child.poll() is None:
            peak = max(peak, peak_of_workers(child.pid))
            time.sleep(0.05)
        seconds, cpu = time.perf_counter() - start, cpu_of_children() - cpu
        if child.returncode:
            sys.exit(f"the command failed with exit code {child.returncode}: {child.stdout.read()}")
        release = Path(json.loads(child.stdout.read())["release"])
        rows = ds.dataset(release / "data", format="parquet").to_table(columns=["url", "text"])
        return Run(seconds, cpu, dict(zip(*rows.to_pydict().values(), strict=True)), peak)


def cpu_of_children() -> float:
    """Processor seconds of all child processes that have ended, and of theirs."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def peak_of_workers(pid: int) -> int:
    """The most memory that any descendant of a process has held so far, in bytes."""
    peak = 0
    try:
        for process in psutil.Process(pid).children(recursive=True):
            status = Path(f"/proc/{process.pid}/status").read_text()
            peak = max(peak, *(int(line.split()[1]) << 10 for line in status.splitlines() if line[:6] == "VmHWM:"), 0)
    except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
        pass
    return peak


def quality(texts: dict[str, str]) -> tuple[float, float, float]:
    """(share of gold segments found, share of unwanted segments left out, F1); a page without text has neither."""
    gold = json.loads((CRAWL / "web-a.gold.json").read_text())
    found = [part in texts.get(page["url"], "") for page in gold for part in page["with"]]
    unwanted = [part in texts.get(page["url"], "") for page in gold for part in page["without"]]
    precision, recall = sum(found) / max(1, sum(found) + sum(unwanted)), sum(found) / len(found)
    f1 = 2 * precision * recall / max(precision + recall, 1e-9)
    return recall, 1 - sum(unwanted) / len(unwanted), f1


def measured_quality(bare_texts: dict[str, str]) -> dict[str, float]:
    """What texts are worth, of the stage, of bare Resiliparse and of Trafilatura; what is lost, and at what cost."""
    payloads = {}
    with (CRAWL / "web-a.warc.gz").open("rb") as stream:
        for record in ArchiveIterator(stream, record_types=WarcRecordType.response):
            payloads[record.headers["WARC-Target-URI"]] = record.reader.read()
    texts, seconds = stage_texts(payloads)
    _, plain_seconds = stage_texts(payloads, repair=False)
    found, left_out, f1 = quality(texts)
    bare_found, bare_left_out, bare_f1 = quality(bare_texts)
    result = {
        "characters_lost": characters_lost(payloads, texts),
        "f1": f1,
        "bare_f1": bare_f1,
        "segments_found": found,
        "segments_left_out": left_out,
        "bare_segments_found": bare_found,
        "bare_segments_left_out": bare_left_out,
        "repair_ratio": seconds / plain_seconds,
    }
    if importlib.util.find_spec("trafilatura"):
        result["trafilatura_f1"] = quality(stage_texts(payloads, extractor="trafilatura")[0])[2]
    return {name: round(value, 4) for name, value in result.items()}


def stage_texts(payloads: dict[str, bytes], **params) -> tuple[dict[str, str], float]:
    """({url: text} as the stage gives it, processor seconds)."""
    count = len(payloads)
    table = docs(
        *[None] * count,
        payload=list(payloads.values()),
        http_status=[200] * count,
        content_type=["text/html"] * count,
        charset=[None] * count,
    )
    start = time.process_time()
    texts = extract(table, **params)["text"].to_pylist()
    return {url: text or "" for url, text in zip(payloads, texts, strict=True)}, time.process_time() - start


def characters_lost(payloads: dict[str, bytes], texts: dict[str, str]) -> int:
    """Visible characters of lines that are kept and not in the text, over all pages."""

    def text_of_tree(tree: HTMLTree) -> str:
        prepare(tree, "\ufdd0", main_content=True)
        return extract_plain_text(tree, main_content=True)

    pages = {url: decode(payload, None) for url, payload in payloads.items()}
    return sum(len(line) for url, page in pages.items() if page for line in lost(page, texts[url], text_of_tree))


def times(copies: int, runs: int, extractor: str) -> dict[str, float]:
    """Of the command over an archive of so many copies, and of the bare loop."""
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder, "web-a.warc.gz")
        archive.write_bytes((CRAWL / "web-a.warc.gz").read_bytes() * copies)
        bare_runs, command_runs = [], []
        for _ in range(runs):
            bare_runs.append(bare(archive))
            command_runs.append(command(archive, extractor))
    bare_seconds, seconds = (median(run.seconds for run in runs) for runs in (bare_runs, command_runs))
    bare_cpu, cpu = (median(run.cpu for run in runs) for runs in (bare_runs, command_runs))
    count = len(bare_runs[0].texts) * copies
    return {
        "ratio_to_bare": round(seconds / bare_seconds, 3),
        "cpu_ratio_to_bare": round(cpu / bare_cpu, 3),
        "worker_peak_mb": round(max(run.peak for run in command_runs) / 1e6),
        "docs_per_s": round(count / seconds, 1),
        "seconds": round(seconds, 2),
        "bare_seconds": round(bare_seconds, 2),
        "bare_docs_per_s": round(count / bare_seconds, 1),
        "documents": count,
        "runs": len(command_runs),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--copies", type=int, default=32, help="how often the archive of 12 MB is repeated")
    parser.add_argument("--runs", type=int, default=3, help="of each; the median counts")
    parser.add_argument("--extractor", choices=["resiliparse", "curate"], default="resiliparse", help="of whole runs")
    parser.add_argument("--quality", action="store_true", help="without the times of whole runs")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    args = parser.parse_args()
    if not (CRAWL / "web-a.warc.gz").exists():
        sys.exit(f"the archive is not here: {CRAWL / 'web-a.warc.gz'}")

    result = {} if args.quality else times(args.copies, args.runs, args.extractor)
    result |= measured_quality(bare(CRAWL / "web-a.warc.gz").texts)
    width = max(map(len, result))
    for name, value in result.items():
        print(f"{name:{width}}  {value}")
    if args.json:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
