"""Exit 70 is for our bugs alone: what the machine, the network and libraries refuse has a cause and a fix."""

import errno
import json
import sqlite3
import sys
import zipfile
import zlib

import duckdb
import httpx
import pyarrow as pa
import pytest
import yaml

from curate.cli import commands as cli
from curate.errors import CurateError, Stopped, refusal, shown

AGAIN = [
    ConnectionResetError("reset"),
    TimeoutError("timed out"),
    OSError(errno.ENETUNREACH, "Network is unreachable"),
    OSError(errno.ENOSPC, "No space left on device", "/x"),
    OSError(errno.EMFILE, "Too many open files"),
    httpx.ConnectError("name or service not known"),
    httpx.RemoteProtocolError("peer closed"),
    sqlite3.DatabaseError("malformed"),
    MemoryError("Unable to allocate 4 TiB"),
]
WRONG = [
    OSError(errno.ENAMETOOLONG, "File name too long", "x" * 300),
    PermissionError(errno.EACCES, "Permission denied", "/x"),
    FileNotFoundError(errno.ENOENT, "No such file or directory", "/x"),
    pa.ArrowInvalid("bad column"),
    pa.ArrowNotImplementedError("no cast"),
    duckdb.ConversionException("Conversion Error: n/a"),
    zipfile.BadZipFile("not a zip file"),
    zlib.error("incorrect header check"),
    json.JSONDecodeError("Expecting value", "x", 0),
    yaml.YAMLError("bad"),
    RecursionError("maximum recursion depth exceeded"),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
]


@pytest.mark.parametrize("error", AGAIN, ids=lambda error: type(error).__name__)
def test_what_may_pass_can_be_run_again(error):
    known = refusal(error)
    assert isinstance(known, Stopped)
    assert known.fix


@pytest.mark.parametrize("error", WRONG, ids=lambda error: type(error).__name__)
def test_what_is_wrong_is_named(error):
    known = refusal(error)
    assert isinstance(known, CurateError)
    assert not isinstance(known, Stopped)
    assert known.fix


@pytest.mark.parametrize("error", [ValueError("x"), KeyError("x"), AssertionError(), TypeError("x")])
def test_our_own_bugs_stay_bugs(error):
    assert refusal(error) is None


class PanicException(BaseException):
    """As pyo3 raises it: no Exception."""


PanicException.__module__ = "pyo3_runtime"


@pytest.mark.parametrize(
    ("error", "code"),
    [(PanicException("index out of bounds"), 2), (httpx.ConnectError("x"), 3), (ZeroDivisionError("x"), 70)],
)
def test_the_exit_code(monkeypatch, capsys, error, code):
    def fails(*, standalone_mode):
        raise error

    monkeypatch.setattr(cli, "app", fails)
    monkeypatch.setattr(sys, "argv", ["curate", "plan", "m.yaml", "--json"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == code
    done = capsys.readouterr()
    assert ("Traceback" in done.err) == (code == 70)
    if code != 70:
        assert json.loads(done.out)["error"]["fix"]


def test_values_are_shown_in_few_words():
    deep: list = []
    for _ in range(10_000):
        deep = [deep]
    for value in (deep, "x" * 10_000, 10**5000, {"a": "b" * 500}, [list(range(1000))] * 1000):
        assert len(shown(value)) <= 60
    assert shown("short") == "'short'"
