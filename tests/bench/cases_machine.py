"""Cases of security: what a manifest, a model or a run may do on this machine."""

import json
import os
import random
import subprocess
import sys

from case import ROOT, Case
from small_runs import FINE, released, run_python, with_lock

# Commands, models, machines


def annotate_runs_commands(case: Case) -> None:
    (case.folder / "t" / "annotate").mkdir(parents=True)
    for verb in ("plan", "status", "gc", "run"):
        found = case.curate(verb, "m.yaml")
        assert found.code in FINE, f"{verb}: exit {found.code}"
    case.curate("run", "m.yaml").expect(2, "--allow-code")
    assert not (case.folder / "t" / "annotate" / "PWNED_AT_PLAN").exists(), "a manifest ran a command"


def filter_installs_extensions(case: Case) -> None:
    case.write("a.jsonl", '{"text": "some words"}\n')
    for rule in ("host('127.0.0.1'::inet) = 'x'", "stem(text, 'english') = 'x'", "pg_sleep(1) is null"):
        text = "name: x\nversion: 1.0.0\nlicense: mit\nsources:\n  a: {inputs: [a.jsonl]}\nstages:\n"
        case.write("m.yaml", text + f"  - filter: {{rule: {json.dumps(rule)}}}\n")
        case.curate("plan", "m.yaml").expect(2)


def npz_model_segfault(case: Case) -> None:
    code = """
import json, sys
import numpy as np
import pyarrow as pa
from curate.documents import utf8
from curate.errors import CurateError
from curate.models.fasttext_model import Collapsed
numbers = dict(n_words=3, bucket=7, minn=2, maxn=4, word_ngrams=2) | json.loads(sys.argv[1])
about = {"labels": ["__label__hq", "__label__cc"], "source": "x", "numbers": numbers}
arrays = dict(keys=np.array([1, 2, 3], np.uint64), rows=np.zeros((10, 1)), prune=np.empty(0, np.int32))
np.savez("m.npz", about=np.array(json.dumps(about)), **arrays)
try:
    Collapsed.load("m.npz").score(*utf8(pa.array(["some words of a text " * 50])))
except CurateError:
    pass
"""
    for numbers in (
        {"n_words": 10**9},
        {"bucket": 10**9},
        {"bucket": -5},
        {"maxn": 10**9},
        {"n_words": "x"},
        {"minn": -9},
    ):
        found = run_python(case, code, json.dumps(numbers))
        assert found.returncode == 0, f"{numbers}: exit {found.returncode}: {found.stderr[-200:]}"


def terminal_escapes(case: Case) -> None:
    case.run("m.yaml")
    found = case.curate("explain", "m.yaml", "http://e/")
    lock = next((case.folder / "work" / "releases").glob("*/*/lock.json"))
    for said in (found.said, case.curate("report", str(lock.parent)).said):
        assert not set(said) & set("\x1b\x07\x08\x9b\u202e"), "control characters are sent to the terminal"
    for name in ("README.md", "report.html"):
        assert not set((lock.parent / name).read_text()) & set("\x1b\x07\x08\x9b\u202e"), (
            f"control characters in {name}"
        )


def gc_deletes_what_is_not_ours(case: Case) -> None:
    released(case)
    work, kept = case.folder / "work", []
    kept.append(case.write("work/releases/one/.git/config", "[core]"))
    kept.append(case.write("elsewhere/thing.parquet", "mine"))
    (work / "store" / "zz").symlink_to(case.folder / "elsewhere")
    (work / "releases" / ".DS_Store").write_text("x")
    (work / "releases" / "one" / ".1.0.0.link").symlink_to(case.folder / "elsewhere")
    (work / "store" / "00").mkdir(exist_ok=True)
    (work / "store" / "00" / "dangling.parquet").symlink_to(case.folder / "nothing")
    case.curate("gc", "one.yaml").expect(0)
    assert all(path.exists() for path in kept), "gc deleted what is not its own"


def marker_without_checksum(case: Case) -> None:
    release = released(case)
    digest = json.loads((release / "lock.json").read_text())["digest"]
    chance = random.Random(0)
    for trial in range(12):
        markers = sorted((case.folder / "work" / "store").glob("??/*.json"))
        marker = chance.choice(markers)
        text = marker.read_text()
        places = [place for place, char in enumerate(text) if char.isdigit()]
        place = chance.choice(places)
        marker.write_text(text[:place] + str((int(text[place]) + 1) % 10) + text[place + 1 :])
        subprocess.run(["rm", "-rf", str(release)], check=True)
        found = case.curate("run", "one.yaml")
        assert found.code in FINE, f"trial {trial}: exit {found.code}"
        if found.code == 0:
            assert json.loads((release / "lock.json").read_text())["digest"] == digest, "a wrong release"


def dask_scheduler_open_to_local_users(case: Case) -> None:
    code = """
import sys
from curate.engine import execute as R
if __name__ == "__main__":
    with R.cluster(1, None) as submit:
        dask = submit.__self__
        dask.start()
        print(dask.cluster.scheduler_address)
        sys.stdout.flush()
        from distributed import Client
        try:
            address = dask.cluster.scheduler_address
            Client(address.replace("tls://", "tcp://"), timeout=5)
        except OSError:
            sys.exit(0)
        sys.exit(1)
"""
    path = case.write("open.py", code)
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, str(path)], env=env, capture_output=True, timeout=120)
    assert done.returncode == 0, "anyone on this machine can connect to the scheduler"


def numba_cache_in_shared_tmp(case: Case) -> None:
    """Two processes that may not write to a cache have folders of names that nobody foretells."""
    code = "import os, curate.kernels; print(os.environ['NUMBA_CACHE_DIR'])"
    env = {"HOME": str(case.folder / "nohome"), "XDG_CACHE_HOME": "/proc/nowhere", "TMPDIR": str(case.folder / "tmp")}
    (case.folder / "tmp").mkdir()
    full = os.environ | {"PYTHONPATH": str(ROOT)} | env
    folders = {
        subprocess.run(
            [sys.executable, "-c", code], env=full, capture_output=True, text=True, check=True
        ).stdout.strip()
        for _ in range(2)
    }
    assert len(folders) == 2, folders
    assert all(folder.startswith(f"{case.folder}/tmp/") for folder in folders), folders


def exit_70_for_wrong_input(case: Case) -> None:
    case.write("a.jsonl", '{"text": "some words"}\n')
    for name in ("deep", "glob", "null", "url"):
        found = case.curate("plan", f"{name}.yaml")
        assert found.code == 2, f"{name}: exit {found.code}"
    for name in ("date", "dup"):
        text = f"name: x\nversion: 1.0.0\nlicense: mit\nsources:\n  s: {{inputs: [{name}.parquet]}}\n"
        case.write("m.yaml", text)
        found = case.curate("run", "m.yaml", "--work", name)
        assert found.code in (0, 2), f"{name}.parquet: exit {found.code}"
    base = "name: x\nversion: 1.0.0\nlicense: mit\nsources:\n  a: {inputs: [a.jsonl]}\n"
    for more in ("shards: {size: 9e400GB}\n", "stages: [{filter: {r: 'columns(*)'}}]\n", f"stages: {'p' * 300}\n"):
        case.write("m.yaml", base + more)
        assert case.curate("plan", "m.yaml").code == 2, more
    release, asked = released(case), case.write("urls.txt", "http://e.example/1\n")
    shapes = {
        "files_null": lambda lock: lock.update(files=None),
        "entry_int": lambda lock: lock["files"].append({"path": 5, "bytes": 1, "sha256": "x"}),
        "entry_nul": lambda lock: lock["files"].append({"path": "a\0b", "bytes": 1, "sha256": "x"}),
        "version_int": lambda lock: lock.update(version=1),
        "sources_list": lambda lock: lock.update(sources=[]),
        "stages_null": lambda lock: lock.update(stages=None),
        "deep": b"[" * 100_000,
        "bigint": b'{"lock":' + b"9" * 6000 + b"}",
    }
    for name, change in shapes.items():
        copy = with_lock(release, name, change)
        for args in (["verify"], ["report"], ["diff", str(release)], ["remove", "--urls", str(asked)]):
            found = case.curate(*args, str(copy))
            assert found.code in FINE, f"{name}: {args[0]} exit {found.code}"
