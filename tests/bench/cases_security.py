"""What each case of strangers' data must give: no file elsewhere, no command, no secret, no crash, bounded cost."""

import json
import os
import random
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from case import ROOT, SHARED, Case

TOKENIZER = SHARED / "data" / "tokenizers" / "gpt-neox-dolma.json"
MANIFEST = "name: one\nversion: 1.0.0\nlicense: mit\nsources:\n  a: {inputs: [a.jsonl]}\nstages: [near_dedup]\n"
SECRETS = ("S3CRET", "hunter2")
FINE = (0, 1, 2, 3)
"""Exit codes other than that of a bug."""


def _words(count: int, seed: int) -> str:
    chance = random.Random(seed)
    return " ".join(f"w{chance.randrange(5000)}" for _ in range(count))


def _released(case: Case) -> Path:
    """A sound release of eight documents."""
    lines = [json.dumps({"text": _words(60, n), "url": f"http://e.example/{n}"}) for n in range(8)]
    case.write("a.jsonl", "\n".join(lines) + "\n")
    case.write("one.yaml", MANIFEST)
    case.run("one.yaml")
    return case.release("one", "1.0.0")


def _with_lock(release: Path, name: str, change) -> Path:
    """A copy of a release whose lock is changed, by a function or to these bytes."""
    copy = release.parent.parent / name / "1.0.0"
    subprocess.run(["cp", "-a", str(release), str(copy)], check=True) if copy.parent.mkdir(parents=True) is None else 0
    if isinstance(change, bytes):
        (copy / "lock.json").write_bytes(change)
    else:
        lock = json.loads((copy / "lock.json").read_text())
        change(lock)
        (copy / "lock.json").write_text(json.dumps(lock))
    return copy


def _python(case: Case, code: str, *args: str, **more) -> subprocess.CompletedProcess:
    """Run a few lines with the package in the case's folder."""
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])}
    command = [sys.executable, "-c", code, *args]
    return subprocess.run(command, cwd=case.folder, env=env, capture_output=True, text=True, timeout=120, **more)


# Locks and releases of others


def verify_deletes_files(case: Case) -> None:
    release, victim = _released(case), case.write("victim.txt", "my only copy")
    sys.path.insert(0, str(ROOT / "tests"))
    from hub import Hub
    from huggingface_hub import CommitOperationAdd, HfApi

    from curate.hub.publish import publish

    with Hub(case.folder / "hub") as hub:
        publish(release, repo="tester/one", endpoint=hub.endpoint, token=hub.token)
        for path in (str(victim), "../" * 12 + str(victim)[1:]):
            lock = json.loads((release / "lock.json").read_text())
            lock["files"].append({"path": path, "bytes": 1, "sha256": "0" * 64})
            api = HfApi(endpoint=hub.endpoint, token=hub.token)
            operations = [CommitOperationAdd("lock.json", json.dumps(lock).encode())]
            made = api.create_commit("tester/one", operations, commit_message="x", repo_type="dataset")
            hub.repos["tester/one"].refs["refs/tags/v1.0.0"] = made.oid
            case.env |= {"HF_ENDPOINT": hub.endpoint, "HF_TOKEN": hub.token, "HF_HOME": str(case.folder / "hf")}
            case.env |= {"HF_HUB_DISABLE_XET": "1", "NO_PROXY": "127.0.0.1"}
            found = case.curate("verify", "hf://datasets/tester/one@v1.0.0")
            assert found.code in (1, 2), f"exit {found.code}"
            assert victim.exists(), "verify deleted a file outside the release"


def remove_writes_and_deletes_outside(case: Case) -> None:
    release, asked = _released(case), case.write("urls.txt", "http://e.example/1\n")
    outside = case.folder / "outside"
    precious = case.write("outside/3.11.1/precious.txt", "precious")
    before = sorted(outside.rglob("*"))

    def version(lock):
        lock["version"] = f"{outside}/3.11.0"

    def label(lock):
        for stage in lock["stages"]:
            stage["label"] = "../../../../outside/WRITTEN"

    for name, change in (("version", version), ("label", label)):
        copy = _with_lock(release, name, change)
        case.curate("remove", str(copy), "--urls", str(asked)).expect(2)
        assert precious.exists(), f"{name}: a file outside is gone"
        assert sorted(outside.rglob("*")) == before, f"{name}: a file outside changed"
        assert not list(case.folder.rglob("WRITTEN*"))


def hostile_earlier_release(case: Case) -> None:
    release = _released(case)

    def script(lock):
        lock["sources"]["<script>alert(1)</script>"] = lock["sources"].pop("a")

    shapes = {
        "script": script,
        "no_index": lambda lock: lock.update(index={"ngram": "x"}),
        "columns": lambda lock: lock.update(columns=None),
        "rows": lambda lock: [file.update(rows=10**15) for file in lock["files"] if "rows" in file],
        "documents": lambda lock: lock.update(documents=-5),
        "composition": lambda lock: lock.update(composition={"source": 5}),
    }
    for name, change in shapes.items():
        copy = _with_lock(release, name, change)
        for key in ("extends", "against"):
            value = copy if key == "extends" else [str(copy)]
            text = (
                MANIFEST.replace("1.0.0", "1.1.0") + f"{key}: {json.dumps(str(value) if key == 'extends' else value)}\n"
            )
            case.write("next.yaml", text)
            found = case.curate("run", "next.yaml", "--work", f"w-{name}-{key}")
            assert found.code in FINE, f"{name} {key}: exit {found.code}"
            pages = list((case.folder / f"w-{name}-{key}").rglob("README.md"))
            assert not any("<script>alert" in page.read_text() for page in pages), "a name stands raw in the card"
    copy = _with_lock(release, "changed", lambda lock: None)
    shard = next(copy.glob("data/*.parquet"))
    shard.write_bytes(shard.read_bytes()[:-20] + b"\0" * 20)
    case.write("next.yaml", MANIFEST.replace("1.0.0", "1.1.0") + f"extends: {copy}\n")
    case.curate("run", "next.yaml", "--work", "w-changed").expect(2)


def replacing_a_release(case: Case) -> None:
    code = """
import os, sys
from collections import Counter
from pathlib import Path
from curate.release.build import replacing
target, seen = Path("race/1.0.0"), Counter()
for _ in range(400):
    try:
        with replacing(target) as draft:
            (draft / "lock.json").write_text("x")
    except Exception as error:
        seen[type(error).__name__] += 1
sys.exit(sum(seen.values()))
"""
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    racing = [subprocess.Popen([sys.executable, "-c", code], cwd=case.folder, env=env) for _ in range(2)]
    codes = [process.wait() for process in racing]
    assert codes == [0, 0], f"two that end at once fail: {codes}"
    assert os.listdir(case.folder / "race") == ["1.0.0"]


def secrets_published(case: Case) -> None:
    rows = b"".join(json.dumps({"text": _words(30, n)}).encode() + b"\n" for n in range(5))
    with _serving({"/data.jsonl": rows}, port=8000):
        found = case.curate("run", "m.yaml").expect(0)
        case.write("n.yaml", "name: y\nversion: 1.0.0\nlicense: mit\nsources:\n  a: {inputs: [l.paths]}\n")
        listed = case.curate("run", "n.yaml").expect(0)
    case.write("o.yaml", (case.folder / "m.yaml").read_text().replace("data.jsonl", "gone.jsonl"))
    failed = case.curate("run", "o.yaml")
    for said in (found.said, listed.said, failed.said):
        assert not [secret for secret in SECRETS if secret in said], "a secret is printed"
    for path in (case.folder / "work" / "releases").rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert not [secret for secret in SECRETS if secret.encode() in content], f"a secret is in {path.name}"
    for name in "xy":
        assert "S3CRET" not in str(case.rows(name, "1.0.0"))


# Inputs


@contextmanager
def _serving(files: dict[str, bytes], port: int = 0):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            body = files.get(self.path.partition("?")[0])
            self.send_response(200 if body is not None else 404)
            self.send_header("Content-Length", str(len(body or b"")))
            self.send_header("ETag", '"a"')
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body or b"")

        do_HEAD = do_GET

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def remote_list_reads_local_files(case: Case) -> None:
    for number, line in enumerate((case.folder / "evil.paths").read_text().split()):
        with _serving({"/evil.paths": line.encode()}) as address:
            text = "name: x\nversion: 1.0.0\nlicense: mit\nsources:\n"
            text += f"  a: {{inputs: ['{address}/evil.paths'], format: jsonl, max_bad_rows: 1, max_damaged: 1}}\n"
            case.write("m.yaml", text)
            case.curate("run", "m.yaml", "--work", f"w{number}").expect(2)
            assert not list((case.folder / f"w{number}").rglob("*.parquet")), f"{line} was read"


def deep_json_line_stops_the_run(case: Case) -> None:
    case.run("m.yaml")


def jsonl_line_memory(case: Case) -> None:
    found = case.curate("run", "m.yaml", memory=6 << 30)  # more than `max_bad_rows` of its rows may be too long
    assert found.code == 0 or (found.code == 2 and "too_large" in found.err), found.err[-300:]


def parquet_dictionary_bomb(case: Case) -> None:
    for name in ("a", "b"):
        text = f"name: {name}\nversion: 1.0.0\nlicense: mit\nsources:\n  s: {{inputs: [{name}.parquet]}}\n"
        case.write(f"{name}.yaml", text)
        found = case.curate("run", f"{name}.yaml", memory=6 << 30)
        assert found.code in FINE, f"{name}: exit {found.code}: {found.err[-300:]}"


def warc_restarts(case: Case) -> None:
    text = "name: x\nversion: 1.0.0\nlicense: mit\nsources:\n  s: {inputs: [a.warc.gz], pipeline: [extract]}\n"
    case.write("m.yaml", text)
    start = time.monotonic()
    found = case.curate("run", "m.yaml", timeout=60)
    assert found.code == 2, f"exit {found.code} after {time.monotonic() - start:.0f} s"


def input_changed_unseen(case: Case) -> None:
    code = """
from pathlib import Path
import pyarrow.parquet as pq, hashlib, sys
from curate.release import make as R
A, B = ('{"text": "%s"}\\n' % (word * 50) for word in ("AAAA ", "BBBB "))
Path("t.jsonl").write_text(A)
Path("m.yaml").write_text("name: t\\nversion: 1.0.0\\nlicense: mit\\nsources:\\n  a: {inputs: [t.jsonl]}\\n")
prepare = R.prepare
def changed(*args, **more):
    plan = prepare(*args, **more)
    Path("t.jsonl").write_text(B)
    return plan
R.prepare = changed
from curate.errors import CurateError
try:
    *_, released = R.run_events("m.yaml", "w", 0)
except CurateError:
    sys.exit(0)
shard = next(released.path.glob("data/*.parquet"))
lock = released.lock["sources"]["a"]["files"][0]["digest"]
text = pq.read_table(shard)["text"][0].as_py()
right = {"AAAA": A, "BBBB": B}[text[:4]]
sys.exit(0 if lock == "sha256:" + hashlib.sha256(right.encode()).hexdigest() else 1)
"""
    assert _python(case, code).returncode == 0, "the lock's digest is not that of what was read"
    case.write("a.jsonl", '{"text": "the first words"}\n')
    case.write("m2.yaml", "name: t2\nversion: 1.0.0\nlicense: mit\nsources:\n  a: {inputs: [a.jsonl]}\n")
    case.run("m2.yaml")
    kept = os.stat(case.folder / "a.jsonl")
    case.write("a.jsonl", '{"text": "the other words"}\n')
    os.utime(case.folder / "a.jsonl", ns=(kept.st_atime_ns, kept.st_mtime_ns))
    case.curate("run", "m2.yaml", "--replace").expect(0)
    assert case.texts("t2", "1.0.0") == ["the other words"]


# Time and memory


def redos_html_start(case: Case) -> None:
    case.curate("run", "m.yaml", timeout=60).expect(0)


def redos_pii_phone(case: Case) -> None:
    case.curate("run", "m.yaml", timeout=60).expect(0)


def html_quadratic(case: Case) -> None:
    for number, name in enumerate(("div", "attr", "opt")):
        make = subprocess.run([sys.executable, "make.py", name], cwd=case.folder, capture_output=True, check=True)
        page = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + make.stdout
        head = (
            b"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: http://e.example/\r\nContent-Type: application/http; "
        )
        head += b"msgtype=response\r\nWARC-Record-ID: <urn:uuid:1>\r\nContent-Length: %d\r\n\r\n" % len(page)
        case.write(f"{name}.warc", head + page + b"\r\n\r\n")
        text = f"name: x{number}\nversion: 1.0.0\nlicense: mit\nsources:\n"
        text += f"  s: {{inputs: [{name}.warc], pipeline: [extract]}}\n"
        case.write("m.yaml", text)
        found = case.curate("run", "m.yaml", "--allow-empty", timeout=90)
        assert found.code in FINE, f"{name}: exit {found.code}"


def hash_flood(case: Case) -> None:
    code = """
import sys, time
from curate.stage_api import find_stage
from curate.testing import docs
stage = find_stage("gopher_repetition")
lines = open("lines-16000.txt").read().splitlines()
spread = [line[::-1] + str(n) for n, line in enumerate(lines)]
stage(docs("warm up\\n" * 3), **stage.configure({}))
took = []
for text in ("\\n".join(spread), "\\n".join(lines)):
    start = time.process_time()
    stage(docs(text), **stage.configure({}))
    took.append(time.process_time() - start)
sys.exit(0 if took[1] < 10 * took[0] + 0.05 else 1)
"""
    assert _python(case, code).returncode == 0, "lines that meet in one slot take many times as long"


def yaml_bomb(case: Case) -> None:
    case.curate("plan", "m.yaml", memory=4 << 30, timeout=30).expect(2)


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
        found = _python(case, code, json.dumps(numbers))
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
    _released(case)
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
    release = _released(case)
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
    code = """
import os, sys, tempfile
from pathlib import Path
import curate.kernels
from curate.kernels.hashing import *
cache = Path(os.environ.get("NUMBA_CACHE_DIR", ""))
names = [path.name for path in Path(tempfile.gettempdir()).iterdir()]
foreseeable = [name for name in names if name.startswith("curate-kernels-") and str(os.getuid()) in name]
print(cache, foreseeable)
sys.exit(1 if foreseeable else 0)
"""
    env = {"HOME": str(case.folder / "nohome"), "XDG_CACHE_HOME": "/proc/nowhere", "TMPDIR": str(case.folder / "tmp")}
    (case.folder / "tmp").mkdir()
    full = os.environ | {"PYTHONPATH": str(ROOT)} | env
    done = subprocess.run([sys.executable, "-c", code], cwd=case.folder, env=full, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr[-300:]


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
    release, asked = _released(case), case.write("urls.txt", "http://e.example/1\n")
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
        copy = _with_lock(release, name, change)
        for args in (["verify"], ["report"], ["diff", str(release)], ["remove", "--urls", str(asked)]):
            found = case.curate(*args, str(copy))
            assert found.code in FINE, f"{name}: {args[0]} exit {found.code}"


CASES = {
    number + "-" + name.replace("_", "-"): globals()[name]
    for name, number in {
        path.name[3:].replace("-", "_"): path.name[:2]
        for path in sorted((SHARED / "cases" / "security").glob("[0-9][0-9]-*"))
    }.items()
    if name in globals()
}
"""{name of the case's folder: what it must give}"""
