"""`curate run` over an archive against the bare loop of FastWARC and Resiliparse over the same archive.

    python tests/bench/extract.py [--copies 32] [--runs 3] [--json]

Both use one process to extract, and take turns. The bare loop is timed without its imports, the command from
its start to its end: plan, read, extract, store, shuffle, shards, card and lock. On a busy machine read
`cpu_ratio_to_bare`, the same in processor seconds of all processes. Quality is the share of gold segments that
belong to a page and are in its text (found), and of those that do not and are not (left out).
"""

import argparse
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

ROOT = Path(__file__).resolve().parents[2]
CRAWL = ROOT.parent / "shared" / "data" / "crawl"
MANIFEST = """\
name: web-a
version: 0.1.0
license: other
sources:
  web:
    inputs: [{archive}]
    format: warc
    pipeline: [extract]
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


def command(archive: Path) -> Run:
    """The whole command, from its start to its end."""
    with tempfile.TemporaryDirectory() as work:
        manifest = Path(work, "web-a.yaml")
        manifest.write_text(MANIFEST.format(archive=archive))
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


def segments(texts: dict[str, str]) -> tuple[float, float]:
    """(share of gold segments found, share of unwanted segments left out); a page without text has neither."""
    gold = json.loads((CRAWL / "web-a.gold.json").read_text())
    wanted = [part in texts.get(page["url"], "") for page in gold for part in page["with"]]
    unwanted = [part not in texts.get(page["url"], "") for page in gold for part in page["without"]]
    return sum(wanted) / len(wanted), sum(unwanted) / len(unwanted)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--copies", type=int, default=32, help="how often the archive of 12 MB is repeated")
    parser.add_argument("--runs", type=int, default=3, help="of each; the median counts")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    args = parser.parse_args()
    if not (CRAWL / "web-a.warc.gz").exists():
        sys.exit(f"the archive is not here: {CRAWL / 'web-a.warc.gz'}")

    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder, "web-a.warc.gz")
        archive.write_bytes((CRAWL / "web-a.warc.gz").read_bytes() * args.copies)
        bare_runs, command_runs = [], []
        for _ in range(args.runs):
            bare_runs.append(bare(archive))
            command_runs.append(command(archive))

    bare_seconds, seconds = (median(run.seconds for run in runs) for runs in (bare_runs, command_runs))
    bare_cpu, cpu = (median(run.cpu for run in runs) for runs in (bare_runs, command_runs))
    count = len(bare_runs[0].texts) * args.copies
    found, left_out = segments(command_runs[0].texts)
    bare_found, bare_left_out = segments(bare_runs[0].texts)
    result = {
        "ratio_to_bare": round(seconds / bare_seconds, 3),
        "cpu_ratio_to_bare": round(cpu / bare_cpu, 3),
        "worker_peak_mb": round(max(run.peak for run in command_runs) / 1e6),
        "docs_per_s": round(count / seconds, 1),
        "segments_found": round(found, 4),
        "segments_left_out": round(left_out, 4),
        "bare_segments_found": round(bare_found, 4),
        "bare_segments_left_out": round(bare_left_out, 4),
        "seconds": round(seconds, 2),
        "bare_seconds": round(bare_seconds, 2),
        "bare_docs_per_s": round(count / bare_seconds, 1),
        "documents": count,
        "runs": args.runs,
    }
    width = max(map(len, result))
    for name, value in result.items():
        print(f"{name:{width}}  {value}")
    if args.json:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
