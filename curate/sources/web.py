"""Files on web servers: inspect them, fetch them, read ranges of them.

What is stored arrives: servers are asked for `identity`, and a Content-Encoding that one puts on nevertheless is
taken off, unless it only labels a file that is compressed itself, as many do with `.gz`.
"""

import errno
import gzip
import io
import os
import re
import shutil
import ssl
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3.exceptions import HTTPError, LocationParseError, LocationValueError, ProtocolError, SSLError

from curate.base.retry import Trouble
from curate.errors import CurateError, Stopped
from curate.sources import File, compression_of, name_of, shown
from curate.sources.impostors import HEAD
from curate.sources.patience import BUSY, patiently, plain, retry_after

REDIRECTS = 10
TIMEOUT = urllib3.Timeout(connect=20, read=60)
FORBIDDEN = 0.125
"""Share of the patience for 403 of a host that has not answered yet: it may forbid, or limit requests."""

_PIECE = 1 << 20
_answered: set[str] = set()
_lock = threading.Lock()


@dataclass(frozen=True)
class Told:
    """What a server tells of a file.

    size     bytes of what is stored, -1 where it does not say
    tag      what changes with the content: its entity tag or date; empty where there is neither
    strong   whether the tag stands for the same bytes
    head     its first bytes, without an encoding that is to be taken off
    encoded  whether what it sends must be unpacked
    ranges   whether parts of it can be had
    """

    size: int
    tag: str
    strong: bool
    head: bytes
    encoded: bool
    ranges: bool

    @property
    def digest(self) -> str:
        return f"etag:{self.tag}:{self.size}"


def look(url: str, known: bool = False) -> Told:
    """What the server tells of a file, and its first bytes. known: whether its host answered in an earlier process.

    Raises CurateError where there is no such file or no access, Stopped where the server is busy or out of reach.
    """
    if known:
        _answer(url)

    def work() -> Told:
        with _asked(url, {"Range": f"bytes=0-{HEAD - 1}"}, allowed=(400, 405, 416, 501)) as response:
            if response.status in (200, 206):
                return _told(url, response)
            if response.status == 416 and response.headers.get("Content-Range", "").replace(" ", "") == "bytes*/0":
                return Told(0, *_tag(response), b"", False, False)
        with _asked(url, {}) as response:  # it does not know what a range is
            return _told(url, response)

    return patiently(url, work)


def _told(url: str, response: urllib3.BaseHTTPResponse) -> Told:
    with _reading():
        head = _read(response, HEAD)
    encoded, length = _is_encoded(url, response, head), response.headers.get("Content-Length", "")
    size = int(length) if length.isdigit() else -1
    if response.status == 206:
        total = re.fullmatch(r"bytes\s+\d+-\d+/(\d+)", response.headers.get("Content-Range", "").strip())
        size = int(total[1]) if total else -1
    ranges = response.status == 206 and size >= 0 and not encoded
    head = _unpacked(head) if encoded else head
    return Told(-1 if encoded else size, *_tag(response), head, encoded, ranges)


def _read(response: urllib3.BaseHTTPResponse, size: int) -> bytes:
    found = b""
    while len(found) < size and (piece := response.read(size - len(found), decode_content=False)):
        found += piece
    return found


def _tag(response: urllib3.BaseHTTPResponse) -> tuple[str, bool]:
    tag = response.headers.get("ETag", "").strip()
    if tag:
        return tag.strip('"'), tag.startswith('"')
    return response.headers.get("Last-Modified", "").strip(), False


def _is_encoded(url: str, response: urllib3.BaseHTTPResponse, head: bytes) -> bool:
    """Whether what arrives is packed by the server. A file that is stored compressed may only be labeled so."""
    codings = response.headers.get("Content-Encoding", "").lower().replace("x-gzip", "gzip").split(",")
    codings = [coding.strip() for coding in codings if coding.strip() not in ("", "identity")]
    if not codings:
        return False
    if codings == ["gzip"]:
        if not head.startswith(b"\x1f\x8b"):
            return False  # a proxy has unpacked it and left the label
        return compression_of(name_of(url)) != "gzip" or _unpacked(head).startswith(b"\x1f\x8b")
    fix = "download it yourself, and use the local file"
    raise CurateError(f"the server sends an input compressed as {', '.join(codings)}", shown(url), fix)


def _unpacked(head: bytes) -> bytes:
    """The first bytes of what is in the first bytes of a gzip file."""
    with suppress(zlib.error):
        return zlib.decompressobj(31).decompress(head, HEAD)
    return b""


def fetch(file: File, target: Path, limit: int | None = None) -> None:
    """Write the file to `target`: where a connection breaks, from there on, if the server can.

    limit  bytes from which on it is refused

    Raises CurateError where it is not there, Stopped where it cannot be had now or is not what was looked at before.
    """
    if file.digest:
        _answer(file.url)
    state = _Fetch(file, target, limit)
    patiently(file.url, state.go_on)
    if state.encoded:
        packed = target.with_name(f"{target.name}.packed")
        os.replace(target, packed)
        try:
            with gzip.open(packed) as stream, open(target, "wb") as out:
                shutil.copyfileobj(stream, out, _PIECE)
        except (EOFError, OSError, zlib.error) as error:
            raise Stopped(
                f"an input was damaged in transfer: {error}", file.shown, "run the same command again"
            ) from error
        packed.unlink()


class _Fetch:
    """A download, which may need several connections."""

    def __init__(self, file: File, target: Path, limit: int | None):
        self.file, self.target, self.limit = file, target, limit
        self.have, self.tag, self.encoded = 0, "", False
        self.most = 0  # bytes that were there at once: a connection that breaks where it broke before is no progress

    def go_on(self) -> None:
        headers = {}
        if self.have and self.tag:
            headers = {"Range": f"bytes={self.have}-", "If-Range": f'"{self.tag}"'}
        with _asked(self.file.url, headers, allowed=(416,)) as response:
            if response.status == 416:
                self.have = 0
                raise Trouble("it does not resume where the connection broke")
            place = response.headers.get("Content-Range", "").replace(" ", "")
            if response.status == 206 and not place.startswith(f"bytes{self.have}-"):
                raise Trouble("it sends a different range than requested")
            tag, strong = _tag(response)
            check(self.file, tag)
            if response.status == 200:
                self.have, self.encoded = 0, False
            self.tag = tag if strong else ""
            with open(self.target, "r+b" if self.have else "wb") as out, _reading(self._is_farther):
                out.seek(self.have)
                self.copy(response, out)
        if self.file.size >= 0 and not self.encoded and self.have != self.file.size:
            said = f"{self.have:,} of {self.file.size:,} bytes arrived"
            self.have = 0
            raise Trouble(said)

    def _is_farther(self) -> bool:
        before, self.most = self.most, max(self.most, self.have)
        return self.have > before

    def copy(self, response: urllib3.BaseHTTPResponse, out) -> None:
        while piece := response.read(_PIECE, decode_content=False):
            if not self.have:
                self.encoded = _is_encoded(self.file.url, response, piece)
            out.write(piece)
            self.have += len(piece)
            if self.limit is not None and self.have > self.limit:
                raise CurateError(f"larger than {self.limit:,} bytes", self.file.shown, "use a smaller file")


def check(file: File, tag: str) -> None:
    """Raise Stopped where the entity tag is not that of the file that was planned."""
    planned = file.digest.removeprefix("etag:").rpartition(":")[0] if file.digest.startswith("etag:") else ""
    if planned and tag and planned != tag:
        fix = "run the same command again"
        raise Stopped("an input changed on its server since it was checked", file.shown, fix)


class Ranged(io.RawIOBase):
    """A file of a server, read by range."""

    def __init__(self, file: File, size: int):
        self.file, self.size, self.place = file, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self.place = max(offset + {io.SEEK_SET: 0, io.SEEK_CUR: self.place, io.SEEK_END: self.size}[whence], 0)
        return self.place

    def readinto(self, buffer) -> int:
        end = min(self.place + len(buffer), self.size)
        if end <= self.place:
            return 0
        data = patiently(self.file.url, lambda: self.part(self.place, end))
        buffer[: len(data)] = data
        self.place += len(data)
        return len(data)

    def part(self, start: int, end: int) -> bytes:
        with _asked(self.file.url, {"Range": f"bytes={start}-{end - 1}"}) as response:
            check(self.file, _tag(response)[0])
            if response.status != 206:
                raise Trouble("it sends the whole file instead of the requested range")
            with _reading():
                data = _read(response, end - start)
        if len(data) < end - start:
            raise Trouble(f"{len(data):,} of {end - start:,} bytes arrived")
        return data


# Requests


@contextmanager
def _asked(url: str, headers: dict, allowed: tuple[int, ...] = ()) -> Iterator[urllib3.BaseHTTPResponse]:
    """The answer to a request, with status 200, 206 or one that is allowed. Raises CurateError or Trouble."""
    response = _request(url, headers)
    try:
        if response.status not in (200, 206, *allowed):
            _refuse(url, response)
        _answer(url)
        yield response
    finally:
        if response.length_remaining == 0:
            response.release_conn()
        else:  # what is unread would be taken for the next answer
            response.close()


def _request(url: str, headers: dict) -> urllib3.BaseHTTPResponse:
    """Follow redirects to the answer. They lead to other web addresses alone; a password stays with its host."""
    headers = {"Accept-Encoding": "identity", "User-Agent": "curate"} | headers
    origin, at = _host(url), url
    for _ in range(REDIRECTS):
        try:
            parts = urlsplit(at)
            scheme, host = parts.scheme.lower(), parts.hostname or ""
            if scheme not in ("http", "https") or not host:
                fix = "use the URL of the file itself"
                raise CurateError(f"an input redirects to `{shown(at)}`, which is not a web address", shown(url), fix)
            secret = _password(parts) if _host(at) == origin else {}
            address = parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment="").geturl()
            pool, options = _pool(os.getpid(), _proxy(scheme, host)), {"redirect": False, "retries": False}
            with _reading():
                response = pool.request(
                    "GET", address, headers=headers | secret, timeout=TIMEOUT, preload_content=False, **options
                )
        except (LocationParseError, LocationValueError, ValueError) as error:
            raise CurateError("an input has an invalid URL", shown(url), "correct it") from error
        where = response.headers.get("Location")
        if response.status not in (301, 302, 303, 307, 308) or not where:
            return response
        response.close()
        at = urljoin(at, where)
    raise CurateError(f"an input is redirected more than {REDIRECTS} times", shown(url), "check the address")


def _refuse(url: str, response: urllib3.BaseHTTPResponse) -> None:
    """Raise CurateError for an answer that stays, Trouble for one that may pass."""
    status, after = response.status, retry_after(response.headers.get("Retry-After"))
    if status in BUSY:
        raise Trouble(f"it answers {status}", after)
    if status in (404, 410):
        raise CurateError("no such file", shown(url), f"check the address: the server answers {status}")
    denied = CurateError(
        f"no access to an input: the server answers {status}", shown(url), "check the address and your permissions"
    )
    if status == 403:
        with _reading():
            body = _read(response, 4096)
        if b"AccessDenied" not in body and b"NoSuchKey" not in body:  # an object store, which says what it means
            if _host(url) in _answered:
                raise Trouble(
                    "it answers 403 although it answered before: it limits requests, or denies access to this file",
                    after,
                )
            denied.fix += "; where the server limits requests, run the same command again later"
            raise Trouble("it answers 403", after, share=FORBIDDEN, final=denied)
    if status in (401, 403, 407, 451):
        raise denied
    raise CurateError(f"cannot fetch an input: the server answers {status}", shown(url), "check the address")


@contextmanager
def _reading(progress=lambda: False) -> Iterator[None]:
    """Failures of a connection as Trouble."""
    try:
        yield
    except SSLError as error:
        if "CERTIFICATE_VERIFY_FAILED" in str(error) or isinstance(error.__cause__, ssl.SSLCertVerificationError):
            fix = "check the address; set SSL_CERT_FILE to the certificates to trust"
            raise CurateError("a server's certificate is not trusted", plain(error), fix) from error
        raise Trouble(f"no secure connection: {plain(error)}", share=0.5) from error
    except (LocationParseError, LocationValueError):
        raise
    except (HTTPError, ProtocolError, OSError) as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise  # it is our disk
        arrived = progress()
        said = "the connection broke" if isinstance(error, ProtocolError) else "it cannot be reached"
        raise Trouble(f"{said}: {plain(error)}", share=0.5, progress=arrived) from error


def _host(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise CurateError("an input has an invalid URL", shown(url), "correct it") from error
    return f"{parts.scheme.lower()}://{parts.netloc.rpartition('@')[2].lower()}"


def _answer(url: str) -> None:
    with _lock:
        _answered.add(_host(url))


def _password(parts) -> dict[str, str]:
    if not parts.username:
        return {}
    user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return urllib3.make_headers(basic_auth=user)


def _proxy(scheme: str, host: str) -> str | None:
    proxies = getproxies()
    return None if proxy_bypass(host) else proxies.get(scheme) or proxies.get("all")


@lru_cache(maxsize=64)
def _pool(process: int, proxy: str | None) -> urllib3.PoolManager:
    """Connections of this process: after a fork they are not shared."""
    if proxy is None:
        return urllib3.PoolManager(num_pools=32, maxsize=8)
    parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    user = f"{unquote(parts.username)}:{unquote(parts.password or '')}" if parts.username else None
    headers = urllib3.make_headers(proxy_basic_auth=user) if user else None
    address = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    return urllib3.ProxyManager(address, proxy_headers=headers, num_pools=32, maxsize=8)
