"""A release, a Hub to publish it on, and what lies there, for the tests of publishing."""

import json
import shutil
from hashlib import sha256

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hub import Hub
from huggingface_hub import HfApi

from curate.hub import client as hub_client
from curate.hub.client import Event
from curate.hub.publish import publish
from curate.release.lock import FORMAT, release_digest
from curate.release.typed_lock import File

REPO = "tester/web"
DATASET = {"repo_type": "dataset"}
MAIN, TAG = "refs/heads/main", "refs/tags/v1.0.0"
CARD = """---
license: mit
configs:
- config_name: phase1
  data_files:
  - {split: train, path: data/phase1/train-*.parquet}
  - {split: validation, path: data/validation/*}
---
# Web
"""


def table(seed, rows=20):
    words = np.random.default_rng(seed).integers(0, 10**9, rows)
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"text": [f"document {word}" for word in words]}), sink)
    return sink.getvalue().to_pybytes()


def counts(shard):
    """The rows and the bytes of text of a shard; none where it is no Parquet."""
    try:
        text = pq.read_table(pa.BufferReader(shard))["text"].to_pylist()
    except pa.ArrowInvalid:
        text = []
    return {"rows": len(text), "text_bytes": sum(len(document.encode()) for document in text)}


def write_release(folder, version="1.0.0", license="mit", **changed):
    """A release folder with three shards; `changed` maps a path to other bytes, None leaves it out."""
    contents = {
        "README.md": CARD.encode(),
        "croissant.json": b"{}",
        "manifest.yaml": f"name: web\nversion: {version}\n".encode(),
        "data/phase1/train-0.parquet": table(0),
        "data/phase1/train-1.parquet": table(1),
        "data/validation/train-0.parquet": table(2),
        "evidence/rejected.parquet": table(3),
        "index/signatures.parquet": table(4),
    } | changed
    contents = {path: content for path, content in contents.items() if content is not None}
    files = [{"path": p, "bytes": len(c), "sha256": sha256(c).hexdigest()} for p, c in sorted(contents.items())]
    for file in files:
        if file["path"].startswith("data/"):
            file |= counts(contents[file["path"]])
    digest = release_digest(File(**file) for file in files)
    lock = {"lock": FORMAT, "name": "web", "version": version, "license": license, "digest": digest}
    lock["files"] = files
    shutil.rmtree(folder, ignore_errors=True)
    for path, content in (contents | {"lock.json": json.dumps(lock).encode()}).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder


@pytest.fixture
def release(tmp_path):
    return write_release(tmp_path / "release")


@pytest.fixture(autouse=True)
def waits(monkeypatch):
    """The seconds that would have been waited."""
    waits = []
    monkeypatch.setattr(hub_client, "sleep", waits.append)
    return waits


@pytest.fixture(params=[False, True], ids=["lfs", "xet"])
def hub(request, tmp_path):
    with Hub(tmp_path, xet=request.param) as hub:
        yield hub


@pytest.fixture
def lfs_hub(tmp_path):
    with Hub(tmp_path) as hub:
        yield hub


def send(hub, release, token=None, **settings):
    """Publish to the Hub of the test; the result, and the kinds of its events."""
    events: list[Event] = []
    settings = {"repo": REPO} | settings
    token = hub.token if token is None else token
    done = publish(release, endpoint=hub.endpoint, token=token, report=events.append, **settings)
    return done, [event.kind for event in events]


def digests(release):
    paths = [path for path in release.rglob("*") if path.is_file()]
    return {str(path.relative_to(release)): sha256(path.read_bytes()).hexdigest() for path in paths}


def files(hub, ref=MAIN, repo=REPO):
    found = dict(hub.state()[repo]["refs"][ref])
    found.pop(".gitattributes")
    return found


def client(hub):
    return HfApi(endpoint=hub.endpoint, token=hub.token)
