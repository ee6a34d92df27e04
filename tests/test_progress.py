"""What a run says on stderr while it goes on, and how Ctrl-C stops it."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from package import python_path
from releases import rows, write_jsonl, write_manifest

WAITING = "import os, time\n\ndef wait(docs):\n    open(os.environ['BEGUN'], 'w').close()\n    time.sleep(600)\n"


def manifest(tmp_path: Path, **changed) -> Path:
    write_jsonl(tmp_path / "in.jsonl", rows(1, 30))
    source = {"inputs": ["in.jsonl"], "pipeline": ["length"]}
    document = {"name": "small", "version": "1.0.0", "license": "cc0-1.0", "sources": {"a": source}} | changed
    return write_manifest(tmp_path / "manifest.yaml", document)


def run(path: Path, *before: str) -> subprocess.CompletedProcess:
    command = [
        sys.executable,
        "-m",
        "curate",
        *before,
        "run",
        str(path),
        "--work",
        str(path.parent / "work"),
        "--workers",
        "0",
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=path.parent)


def test_lines_of_a_log_carry_the_time(tmp_path):
    lines = run(manifest(tmp_path)).stderr.splitlines()
    assert re.fullmatch(r"\d\d:\d\d:\d\d \d+ jobs to run", lines[0])


def test_a_run_that_goes_on_says_how_much_is_done(tmp_path):
    run(manifest(tmp_path))
    again = run(manifest(tmp_path, version="1.0.1", stages=[{"length": {"min_words": 7}}])).stderr
    assert re.search(r"resuming: \d+ of \d+ jobs are done, \d+ jobs to run", again)


def test_quiet_and_verbose(tmp_path):
    assert run(manifest(tmp_path), "-q").stderr == ""
    path = manifest(tmp_path, version="1.0.1", sources={"b": {"inputs": ["in.jsonl"], "pipeline": ["length"]}})
    assert re.search(r": done \(\d+ of \d+ jobs\)", run(path, "-v").stderr)


@pytest.mark.parametrize("workers", ["0", "2"])
@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_is_acknowledged_at_once_and_a_second_one_ends_it(tmp_path, workers, times):
    """While a job waits for ten minutes."""
    (tmp_path / "waiting.py").write_text(WAITING)
    begun = tmp_path / "begun"
    os.mkfifo(begun)
    path = manifest(tmp_path, stages=[{"annotate": {"function": "waiting:wait", "adds": {}}}])
    command = [sys.executable, "-m", "curate", "run", str(path), "--work", str(tmp_path / "work"), "--workers", workers]
    env = os.environ | {"BEGUN": str(begun), "PYTHONPATH": python_path(tmp_path)}
    with subprocess.Popen([*command, "--allow-code", "waiting"], env=env, stderr=subprocess.PIPE, text=True) as child:
        begun.open().close()  # waits until the job has begun
        processes = psutil.Process(child.pid).children(recursive=True)
        child.send_signal(signal.SIGINT)
        said = []
        for line in child.stderr:
            said.append(line)
            if "stopping; what is done is kept" in line and times == 2:
                child.send_signal(signal.SIGINT)
        code = child.wait(60)
    text = "".join(said)
    assert code == 3
    assert "stopping; what is done is kept" in text
    assert "Traceback" not in text
    assert ("run the same command again to resume" in text) or times == 2
    assert psutil.wait_procs(processes, timeout=30)[1] == []
