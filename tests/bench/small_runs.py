"""Small releases, and programs and servers beside them, for cases of security."""

import json
import os
import random
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from case import ROOT, SHARED, Case

TOKENIZER = SHARED / "data" / "tokenizers" / "gpt-neox-dolma.json"
MANIFEST = "name: one\nversion: 1.0.0\nlicense: mit\nsources:\n  a: {inputs: [a.jsonl]}\nstages: [near_dedup]\n"
SECRETS = ("S3CRET", "hunter2")
FINE = (0, 1, 2, 3)
"""Exit codes other than that of a bug."""


def some_words(count: int, seed: int) -> str:
    chance = random.Random(seed)
    return " ".join(f"w{chance.randrange(5000)}" for _ in range(count))


def released(case: Case) -> Path:
    """A sound release of eight documents."""
    lines = [json.dumps({"text": some_words(60, n), "url": f"http://e.example/{n}"}) for n in range(8)]
    case.write("a.jsonl", "\n".join(lines) + "\n")
    case.write("one.yaml", MANIFEST)
    case.run("one.yaml")
    return case.release("one", "1.0.0")


def with_lock(release: Path, name: str, change) -> Path:
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


def run_python(case: Case, code: str, *args: str, **more) -> subprocess.CompletedProcess:
    """Run a few lines with the package in the case's folder."""
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])}
    command = [sys.executable, "-c", code, *args]
    return subprocess.run(command, cwd=case.folder, env=env, capture_output=True, text=True, timeout=120, **more)


# Inputs


@contextmanager
def serving(files: dict[str, bytes], port: int = 0):
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
