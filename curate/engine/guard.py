"""Reject a document that makes a stage raise an exception, and only that one, as `STAGE_failed`.

A stage that raises on a block runs again on its halves, down to the documents that raise by themselves: they are
rejected as `STAGE_failed`. Row i of a stage's result depends on row i alone, so neither blocks nor workers affect who
is out. What is no document's fault goes on as an error: a mistake in a setting, a machine that gives out, Ctrl-C.
"""

from collections import Counter
from collections.abc import Callable, Iterator

import pyarrow as pa

from curate.engine.apply import Configured
from curate.errors import CurateError, Stopped, refusal
from curate.stage_api import reject

SHOWN = 5
"""Failures of a stage that a marker names; more are counted."""

HOPELESS = 1000
"""A stage that fails on so many documents of a partition before it takes one is wrong itself."""


class Guard:
    """Calls stages as guard(stage, docs).

    call      what runs a stage on documents, where it is not this process
    failures  {label: [{"id", "error"}]}, the first of each stage
    """

    def __init__(self, call: Callable[[Configured, pa.Table], pa.Table] | None = None):
        self.call = call or (lambda stage, docs: stage(docs))
        self.failures: dict[str, list[dict]] = {}
        self.failed: Counter[str] = Counter()
        self.sound: set[str] = set()

    def __call__(self, stage: Configured, docs: pa.Table) -> pa.Table:
        tables = list(self._tables(stage, docs))
        if len(tables) == 1 and stage.label in self.sound:
            return tables[0]
        # The columns that the stage adds come from its result on no document, where every one of these failed.
        return pa.concat_tables([*tables, self.call(stage, docs.slice(0, 0))], promote_options="permissive")

    def _tables(self, stage: Configured, docs: pa.Table) -> Iterator[pa.Table]:
        try:
            result = self.call(stage, docs)
        except BaseException as error:  # a panic of Rust is no Exception
            if not docs.num_rows or not of_document(error):
                raise
            problem = error
        else:
            self.sound |= {stage.label} if docs.num_rows else set()
            yield result
            return
        if docs.num_rows == 1:
            yield self._reject(stage, docs, problem)
            return
        middle = docs.num_rows // 2
        yield from self._tables(stage, docs.slice(0, middle))
        yield from self._tables(stage, docs.slice(middle))

    def _reject(self, stage: Configured, docs: pa.Table, error: BaseException) -> pa.Table:
        label, said = stage.label, named(error)
        shown = self.failures.setdefault(label, [])
        if len(shown) < SHOWN:
            shown.append({"id": docs["id"][0].as_py() if "id" in docs.column_names else "", "error": said})
        self.failed[label] += 1
        if self.failed[label] >= HOPELESS and label not in self.sound:
            problem = hopeless(label, f"each of the first {HOPELESS:,} documents", said)
            problem.label = label
            raise problem from error
        return reject(docs, **{f"{stage.stage.name}_failed": pa.array([True])})


def of_document(error: BaseException) -> bool:
    """Whether an error may be the fault of what was worked on, and of nothing else."""
    if isinstance(error, CurateError | KeyboardInterrupt | SystemExit | GeneratorExit):
        return False
    return not isinstance(refusal(error), Stopped)


def named(error: BaseException) -> str:
    """An error in a line: `ValueError: math domain error`."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__


def hopeless(label: str, where: str, error: str) -> CurateError:
    """What is said of a stage that fails on so many documents that it must be wrong itself."""
    fix = "check the stage, its parameters and the packages it uses: no document should make a stage fail"
    return CurateError(f"`{label}` fails on {where}; the first error is {error}", fix=fix)
