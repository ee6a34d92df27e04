"""What each case of strangers' data must give: no file elsewhere, no command, no secret, no crash, bounded cost."""

import json
import os
import subprocess
import sys
import time

import cases_machine
from case import ROOT, SHARED, Case
from small_runs import FINE, MANIFEST, SECRETS, released, run_python, serving, some_words, with_lock

# Locks and releases of others


def verify_deletes_files(case: Case) -> None:
    release, victim = released(case), case.write("victim.txt", "my only copy")
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
    release, asked = released(case), case.write("urls.txt", "http://e.example/1\n")
    outside = case.folder / "outside"
    precious = case.write("outside/3.11.1/precious.txt", "precious")
    before = sorted(outside.rglob("*"))

    def version(lock):
        lock["version"] = f"{outside}/3.11.0"

    def label(lock):
        for stage in lock["stages"]:
            stage["label"] = "../../../../outside/WRITTEN"

    for name, change in (("version", version), ("label", label)):
        copy = with_lock(release, name, change)
        case.curate("remove", str(copy), "--urls", str(asked)).expect(2)
        assert precious.exists(), f"{name}: a file outside is gone"
        assert sorted(outside.rglob("*")) == before, f"{name}: a file outside changed"
        assert not list(case.folder.rglob("WRITTEN*"))


def hostile_earlier_release(case: Case) -> None:
    release = released(case)

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
        copy = with_lock(release, name, change)
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
    copy = with_lock(release, "changed", lambda lock: None)
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
    rows = b"".join(json.dumps({"text": some_words(30, n)}).encode() + b"\n" for n in range(5))
    with serving({"/data.jsonl": rows}, port=8000):
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


def remote_list_reads_local_files(case: Case) -> None:
    for number, line in enumerate((case.folder / "evil.paths").read_text().split()):
        with serving({"/evil.paths": line.encode()}) as address:
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
    assert run_python(case, code).returncode == 0, "the lock's digest is not that of what was read"
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
    assert run_python(case, code).returncode == 0, "lines that meet in one slot take many times as long"


def yaml_bomb(case: Case) -> None:
    case.curate("plan", "m.yaml", memory=4 << 30, timeout=30).expect(2)


CASES = {
    path.name: check
    for path in sorted((SHARED / "cases" / "security").glob("[0-9][0-9]-*"))
    if (name := path.name[3:].replace("-", "_"))
    and (check := globals().get(name) or getattr(cases_machine, name, None))
}
"""{name of the case's folder: what it must give}"""
