"""Stages and a source format of another package, as the tests need them: they reach the engine, and its workers,
through entry points.

`fragile` does what a file in the folder $CURATE_TEST_FATE says, once, and then never again: so a test can lose a worker
or stop a run in the middle of a job without any clock.
"""

import ctypes
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pyarrow as pa

from curate.documents import SCHEMA, document_id
from curate.sources import File, Origin, inputs
from curate.sources.format_api import Format
from curate.stage_api import reject, stage


def _exit() -> None:
    os._exit(7)


def _segv() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def _spin() -> None:
    while True:
        pass


def _sleep() -> None:
    ctypes.PyDLL(None).sleep(3600)  # keeps the interpreter's lock


@stage(version=1, hazard=True)
def hostile(docs: pa.Table, *, how: Literal["exit", "segv", "spin", "sleep"]) -> pa.Table:
    """Fail as a native library may, on a document that says POISON; reject one that says SPAM.

    Reads: text
    Reasons: spam
    """
    texts = docs["text"].to_pylist()
    if any("POISON" in (text or "") for text in texts):
        {"exit": _exit, "segv": _segv, "spin": _spin, "sleep": _sleep}[how]()
    return reject(docs, spam=pa.array(["SPAM" in (text or "") for text in texts], pa.bool_()))


@stage(version=1)
def picky(docs: pa.Table) -> pa.Table:
    """Count the words, and raise what a careless author's code raises on a document that says BAD.

    Reads: text
    Adds: n_words (int32, words)
    Reasons: spam
    """
    texts = docs["text"].to_pylist()
    words = [{}["no such key"] if "BAD" in text else len(text.split()) for text in texts]
    docs = docs.append_column("n_words", pa.array(words, pa.int32()))
    return reject(docs, spam=pa.array(["SPAM" in text for text in texts], pa.bool_()))


@stage(version=1)
def fragile(docs: pa.Table) -> pa.Table:
    """Pass all documents on.

    Reads: text
    """
    fate = Path(os.environ.get("CURATE_TEST_FATE", "/nowhere"))
    for name, act in FATES.items():
        try:
            (fate / name).unlink()
        except FileNotFoundError:
            continue
        act()
    return docs


def read_stanzas(file: File, *, origin: Origin, title: bool = False) -> Iterator[pa.Table]:
    """A document for each stanza of a poem."""
    with inputs.opened(file) as stream:
        texts = stream.read().decode().split("\n\n")
    rows = [
        {"id": document_id(origin.source, file.path, number), "source": origin.source, "path": file.path}
        | {"position": number, "text": text.strip(), "license": origin.license}
        for number, text in enumerate(texts)
        if number or not title
    ]
    yield pa.Table.from_pylist(rows, schema=SCHEMA.append(pa.field("reject", pa.string())))


STANZAS = Format("stanzas", "stanzas", read_stanzas, version=1, endings=(".poem",), compressed=False, reasons={})


def _interrupt() -> None:
    os.killpg(os.getpgrp(), signal.SIGINT)  # as a terminal does
    threading.Event().wait()


FATES = {"kill_worker": lambda: os.kill(os.getpid(), signal.SIGKILL), "interrupt_run": _interrupt}
