"""A Hugging Face Hub on loopback, as far as datasets and their clients need one.

    with Hub(tmp_path) as hub:
        HfApi(endpoint=hub.endpoint, token=hub.token).create_repo("tester/web", repo_type="dataset")
        hub.fail(at=3, how=503)         # the third request from now is refused
        hub.run("import datasets; ...")  # a child Python that sees this Hub and no other

Revisions are immutable snapshots (path -> content by sha256), as in git. What happened can be asked:
`hub.state()` is comparable, `hub.requests` is the log, `hub.received` are the digests of all content that
came in, in order, so that a test can say "nothing was sent twice". With `xet=True` clients get a Xet store in
a local folder: the stock `hf_xet` puts its chunks there and `hub.stored` is their size.

`huggingface_hub` takes the endpoint and the token as arguments; whether Xet is used, and the endpoint that
`datasets` speaks to, are read from the environment at import, hence `run` (and the switch in `__enter__`).
"""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple
from urllib.parse import unquote

from hub_api import Api
from hub_repo import Answer, Refused
from huggingface_hub import constants, set_client_factory
from huggingface_hub.errors import HTTPError
from huggingface_hub.utils import _http as hub_http
from package import python_path

# So that Xet, which reads this when it is first used, gives up at once.
XET_TRIES = {"HF_XET_CLIENT_RETRY_MAX_ATTEMPTS": "2", "HF_XET_CLIENT_RETRY_BASE_DELAY": "1ms"}


class Request(NamedTuple):
    """One line of the log; status 0 means that the connection was cut instead of an answer."""

    method: str
    path: str
    status: int
    bytes: int


@dataclass(frozen=True)
class Fault:
    first: int
    last: float
    how: str | int | Callable[[], None]
    after: bool
    retry_after: int | None


class Hub(Api):
    def __init__(self, root: Path, *, xet: bool = False, page: int = 1000, verify: bool = False):
        super().__init__(Path(root) / "hub", page, verify)
        self.root, self.xet = Path(root), xet
        self.requests: list[Request] = []
        self.waits: list[float] = []
        self._faults: list[Fault] = []
        self._seen = 0
        self._lock = threading.RLock()

    def __enter__(self) -> Hub:
        self.blobs.mkdir(parents=True)
        handler = type("Handler", (_Handler,), {"hub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads, self._server.block_on_close = True, False
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        self._before = constants.HF_HUB_DISABLE_XET, hub_http.time
        constants.HF_HUB_DISABLE_XET = not self.xet
        hub_http.time = SimpleNamespace(sleep=self.waits.append)  # the client's waits are noted, not waited
        set_client_factory(_client)
        os.environ |= XET_TRIES
        return self

    def __exit__(self, *_) -> None:
        constants.HF_HUB_DISABLE_XET, hub_http.time = self._before
        set_client_factory(hub_http.default_client_factory)
        self._server.shutdown()
        self._server.server_close()

    # What a test asks and does

    def state(self) -> dict:
        """All a reader can see, without commit ids: {repo: {private, refs: {ref: {path: sha256}}, pulls}}."""
        with self._lock:
            return {
                repo.id: {
                    "private": repo.private,
                    "refs": {
                        ref: {path: entry.sha256 for path, entry in sorted(repo.commits[oid].items())}
                        for ref, oid in sorted(repo.refs.items())
                    },
                    "pulls": [(pull["title"], pull["status"]) for pull in repo.pulls],
                }
                for repo in self.repos.values()
            }

    def history(self, repo: str, rev: str = "main") -> list[str]:
        """Titles of the commits, oldest first."""
        titles, oid = [], self.repos[repo].resolve(rev)
        while oid:
            oid, title = self.repos[repo].titles[oid]
            titles.append(title)
        return titles[::-1]

    def fail(
        self,
        at: int = 1,
        how="reset",
        *,
        times: float = 1,
        after: bool = False,
        retry_after: int | None = None,
    ):
        """Break the `at`-th request from now and `times - 1` more: cut the connection ("reset"), answer with
        a status, or call a function and cut. `after`: its effect happens, only the answer is lost."""
        self._faults.append(Fault(self._seen + at, self._seen + at + times - 1, how, after, retry_after))

    def heal(self) -> None:
        self._faults.clear()

    def env(self, token: str | None = None) -> dict[str, str]:
        """The environment in which a process sees this Hub alone."""
        offline = ("HF_", "TRANSFORMERS_OFFLINE")  # which other tests' libraries may have set
        keep = {name: value for name, value in os.environ.items() if not name.startswith(offline)}
        return (
            keep
            | {
                "HF_ENDPOINT": self.endpoint,
                "HF_HOME": str(self.root / "hf_home"),
                "HF_TOKEN": self.token if token is None else token,
                "HF_HUB_DISABLE_XET": str(int(not self.xet)),
                "HF_HUB_DISABLE_TELEMETRY": "1",
                "HF_HUB_DISABLE_PROGRESS_BARS": "1",
                "NO_PROXY": "127.0.0.1",
                "PYTHONPATH": python_path(),
            }
            | XET_TRIES
        )

    def run(self, program: str | list[str], *args: str, token: str | None = None) -> subprocess.CompletedProcess:
        """Run Python code, or `python` with a list of arguments, to its end in this Hub's environment."""
        command = ["-c", program, *args] if isinstance(program, str) else [*program, *args]
        return subprocess.run([sys.executable, *command], env=self.env(token), capture_output=True, text=True)

    # One request

    def _fault(self) -> Fault | None:
        self._seen += 1
        return next((fault for fault in self._faults if fault.first <= self._seen <= fault.last), None)

    def serve(self, method: str, target: str, headers, read: Callable[[], bytes]) -> Answer | None:
        """Answer one request, in turn; None to cut the connection."""
        with self._lock:
            fault = self._fault()
            cut = fault is not None and not isinstance(fault.how, int)
            body = b"" if cut and not fault.after else read()
            answer = None
            if fault is None or fault.after:
                answer = self.answer(method, target, headers, body)
            if fault is not None:
                if callable(fault.how):
                    fault.how()
                answer = None if cut else Refused(fault.how, "The Hub is told to fail here").answer
                if answer and fault.retry_after is not None:
                    answer = answer._replace(headers=answer.headers | {"Retry-After": str(fault.retry_after)})
            self.requests.append(Request(method, unquote(target), answer.status if answer else 0, len(body)))
            return answer


def _client():
    """The library's own client, but that it reads no certificates, which takes longer than a whole test."""
    hooks = {"request": [hub_http.hf_request_event_hook]}
    httpx = sys.modules[HTTPError.__module__.partition(".")[0]]  # or httpx2
    return httpx.Client(event_hooks=hooks, follow_redirects=True, timeout=None, verify=False)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    hub: Hub

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        chunks = []
        while size := int(self.rfile.readline(), 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def _serve(self) -> None:
        answer = self.hub.serve(self.command, self.path, self.headers, self._body)
        if answer is None:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True
            return
        body = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
        kind = "application/octet-stream" if isinstance(answer.body, bytes) else "application/json"
        self.send_response(answer.status)
        headers = {"Content-Type": kind, "Content-Length": str(len(body))} | answer.headers
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _serve

    def log_message(self, *_) -> None:
        pass
