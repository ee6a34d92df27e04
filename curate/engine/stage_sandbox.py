"""Run stages and readers that may crash or hang on untrusted input.

Normally they run `watched`: the process ends itself when one makes no progress. The engine then runs the lost job
again, `StageSandbox`: stages and readers in processes of their own, that may be lost, and what takes one down is named.
"""

import faulthandler
import json
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa

from curate.base.child import Child, Gone, main
from curate.engine.apply import Configured
from curate.sources import File, FileRead, Origin, partitions
from curate.stage_api import reject

TOGETHER = 64
"""Documents that a sandboxed stage gets at once, before each by itself where that fails."""

FINE_BLOCK = 64 << 10
"""Bytes of text or payload that a sandboxed reader sends at a time: what is lost with it before it crashed."""


def hang_seconds() -> float:
    """A block that takes longer has hung; so has a sandboxed document after a tenth of it. 0: nothing is watched."""
    return float(os.environ.get("CURATE_HANG_SECONDS") or 300)


def watched(stage: Configured, docs: pa.Table) -> pa.Table:
    """stage(docs), ending this process when it takes too long. The watch needs no interpreter lock."""
    if not hang_seconds():
        return stage(docs)
    with open(os.devnull, "w") as nowhere:
        faulthandler.dump_traceback_later(hang_seconds(), exit=True, file=nowhere)
        try:
            return stage(docs)
        finally:
            faulthandler.cancel_dump_traceback_later()


def watched_blocks(blocks: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The blocks of a reader, ending this process when one takes too much processor time: waiting for a server is no
    hanging, and has its own patience."""
    blocks = iter(blocks)
    while True:
        with _busy_at_most(hang_seconds()):
            block = next(blocks, None)
        if block is None:
            return
        yield block


@contextmanager
def _busy_at_most(seconds: float):
    if not seconds or not hasattr(signal, "setitimer"):
        yield
        return
    signal.setitimer(signal.ITIMER_PROF, seconds)  # its signal ends the process, whatever that is doing
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


class StageSandbox:
    """Runs stages, each in a process that may be lost. Called as sandboxed(stage, docs).

    A document that takes its stage down is rejected as `STAGE_crashed`, and so is one that hangs it.
    """

    def __init__(self):
        self.children: dict[str, Child] = {}

    def __call__(self, stage: Configured, docs: pa.Table) -> pa.Table:
        starts = range(0, docs.num_rows, TOGETHER)
        tables = [table for first in starts for table in self._some(stage, docs.slice(first, TOGETHER))]
        # The columns that it adds come from its result on no document, where every document crashed it.
        return pa.concat_tables([*tables, stage(docs.slice(0, 0))], promote_options="permissive")

    def _some(self, stage: Configured, docs: pa.Table) -> list[pa.Table]:
        try:
            return [self._ask(stage, docs)]
        except Gone:
            pass
        if docs.num_rows > 1:
            return [table for row in range(docs.num_rows) for table in self._some(stage, docs.slice(row, 1))]
        return [reject(docs, **{f"{stage.stage.name}_crashed": pa.array([True])})]

    def _ask(self, stage: Configured, docs: pa.Table) -> pa.Table:
        child = self.children.get(stage.label)
        if child is None:
            spec = {"label": stage.label, "stage": stage.stage.name, "params": stage.params}
            child = self.children[stage.label] = Child(__name__, json.dumps({"stage": spec}))
            child.ask(docs.schema.empty_table())  # the time of a document does not count imports and compilation
        rows = docs.take(pa.array(range(docs.num_rows)))  # pickling a slice would send all of its table
        try:
            return child.ask(rows, hang_seconds() / 10 or None)
        except Gone:
            del self.children[stage.label]
            raise

    def end(self) -> None:
        for child in self.children.values():
            child.end()
        self.children.clear()


def sandboxed_blocks(read: dict, where: dict[str, File], origin: Origin) -> Iterator[pa.Table]:
    """The blocks of a partition, as `partitions.read` gives them, read in a process that may be lost.

    Where a file takes the reader down, what was read before that is used, and the file counts as lost.
    """
    for piece in read["pieces"]:
        path, held, state = piece[0], [], None
        child = Child(__name__, json.dumps({"read": read | {"pieces": [piece]}, "source": origin.source}))
        try:
            child.ask({name: where[name] for name in (path, *read.get("images", ()))})
            while True:
                block, state = child.ask(None)
                if block is None:
                    break
                held.append(block)
                if sum(block.nbytes for block in held) >= origin.block_bytes:
                    yield pa.concat_tables(held)
                    held = []
        except Gone:
            why = "its reader crashed or hung on it; rows read before that are used"
            origin.lose(path, 0, max(where[path].size, 1), why)
        finally:
            child.end()
        if state:
            _add(origin, state)
        if held:
            yield pa.concat_tables(held)


def _add(origin: Origin, state: tuple[Counter, dict[str, FileRead]]) -> None:
    """Count for a source what another reader of it counted."""
    skipped, files = state
    origin.skipped += skipped
    for path, more in files.items():
        found = origin.of(path)
        found.rows, found.bad_rows = found.rows + more.rows, found.bad_rows + more.bad_rows
        found.lost, found.first_bad = found.lost + more.lost, found.first_bad or more.first_bad
        found.damage = [*more.damage, *found.damage][: FileRead.SHOWN]
        found.notes = [*more.notes, *found.notes][: FileRead.SHOWN]


def _answers(argument: str) -> Callable[[Any], Any]:
    """What a child does: run a stage on the documents it is sent, or read a partition block by block."""
    spec = json.loads(argument)
    if "stage" in spec:
        return Configured.of(spec["stage"])
    origin, blocks = Origin(spec["source"], block_bytes=FINE_BLOCK), None

    def answer(question: dict[str, File] | None):
        nonlocal blocks
        if blocks is None:
            blocks = watched_blocks(partitions.read(spec["read"], question, origin))
            return None
        return next(blocks, None), (origin.skipped, origin.files)

    return answer


if __name__ == "__main__":
    main(_answers)
