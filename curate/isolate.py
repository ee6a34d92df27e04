"""Stages that may crash or hang on a hostile document.

Normally they run in the worker, `watched`: the worker ends itself when a stage makes no progress. The engine then runs
the lost job again, `isolated`: each document in a process of its own, and the one that takes it down is named.
"""

import faulthandler
import json
import os
import socket
import subprocess
import sys
from multiprocessing.connection import Connection

import pyarrow as pa

from curate.apply import Configured
from curate.stage import reject

HANG_SECONDS = float(os.environ.get("CURATE_HANG_SECONDS", 300))
"""A block that takes longer than this has hung; so has one document, isolated, after a tenth of it."""


def watched(stage: Configured, docs: pa.Table) -> pa.Table:
    """stage(docs), ending this process when it takes too long. The watch needs no interpreter lock."""
    with open(os.devnull, "w") as nowhere:
        faulthandler.dump_traceback_later(HANG_SECONDS, exit=True, file=nowhere)
        try:
            return stage(docs)
        finally:
            faulthandler.cancel_dump_traceback_later()


def isolated(stage: Configured, docs: pa.Table) -> pa.Table:
    """stage(docs), each document on its own in a child process; one that crashes or hangs it is rejected."""
    if docs.num_rows == 0:
        return stage(docs)
    results: list[pa.Table | None] = []
    nothing = docs.schema.empty_table()
    child = _Child(stage, nothing)
    for row in range(docs.num_rows):
        results.append(child.run(docs.take([row])))  # pickling a slice would send all of its table
        if results[-1] is None:
            child = _Child(stage, nothing)
    child.end()
    tables = [
        reject(docs.slice(row, 1), **{f"{stage.stage.name}_crashed": pa.array([True])}) if result is None else result
        for row, result in enumerate(results)
    ]
    if all(result is None for result in results):  # the columns that the stage adds come from its result on no document
        tables.append(stage(docs.slice(0, 0)))
    return pa.concat_tables(tables, promote_options="permissive")


class _Child:
    """A process that runs a stage on the documents it is sent. (A worker, a daemon, may not use multiprocessing.)"""

    def __init__(self, stage: Configured, nothing: pa.Table):
        ours, theirs = socket.socketpair()
        spec = json.dumps({"label": stage.label, "stage": stage.stage.name, "params": stage.params})
        command = [sys.executable, "-m", "curate.isolate", str(theirs.fileno()), spec]
        self.process = subprocess.Popen(command, pass_fds=[theirs.fileno()], stderr=subprocess.DEVNULL)
        theirs.close()
        self.pipe = Connection(ours.detach())
        self.pipe.send(nothing)
        self.pipe.recv()  # the time of a document does not count imports and compilation

    def run(self, docs: pa.Table) -> pa.Table | None:
        """The stage's result, or None if the child died or hung over it."""
        try:
            self.pipe.send(docs)
            if self.pipe.poll(HANG_SECONDS / 10):
                return self.pipe.recv()
        except (EOFError, ConnectionError):
            pass
        self.process.kill()
        self.end()
        return None

    def end(self) -> None:
        self.pipe.close()
        self.process.wait()


def _serve(pipe: Connection, stage: Configured) -> None:
    try:
        while True:
            pipe.send(stage(pipe.recv()))
    except EOFError:
        pass


if __name__ == "__main__":
    _serve(Connection(int(sys.argv[1])), Configured.of(json.loads(sys.argv[2])))
