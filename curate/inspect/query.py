"""`curate query`: ask a release, or the work of a manifest, in SQL."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from curate.documents import REJECT
from curate.engine.lane import Lane
from curate.engine.store import Store
from curate.errors import CurateError
from curate.inspect.opened import open_release
from curate.inspect.released import is_release
from curate.inspect.sandboxed_sql import answer
from curate.manifest.manifest import Manifest, load
from curate.release.make import WORK, recall

if TYPE_CHECKING:
    from curate.inspect.sandboxed_sql import Connection

OF_WORK = {
    "rejected": REJECT.name,
    "near_duplicates": "cluster",
    "decontamination": "contamination",
    "repeated_passages": "repeated_passages",
}
"""Views of the work of a manifest beside `documents`: the documents that have a value in this column."""


def query(sql: str, place: str | Path | Manifest | None = None, work: str | Path = WORK) -> pa.Table:
    """The answer to a question in DuckDB's SQL.

    place  a release, by its folder or hf:// address; or a manifest, for the results of its latest run in the work
           folder, finished or not. Default: the only release in the work folder

    The tables are `documents`, `rejected`, `near_duplicates`, `decontamination` and `repeated_passages`, as far as
    there are any; of a release also `funnel`, and `release`, which has one row. The documents of a manifest include the
    rejected ones, with the columns `stage` and `reason` and all that stages computed.

    The query can read nothing else, and change nothing. Raises CurateError for a query that is invalid or not a SELECT,
    and if nothing has run.

        curate.query("select stage, reason, count(*) as n from rejected group by all order by n desc")
    """
    place = only_release(Path(work)) if place is None else place
    if is_release(place):
        return open_release(place).query(sql)
    manifest = place if isinstance(place, Manifest) else load(place)
    store = Store(Path(work) / "store")
    lanes = recall(manifest, work).lanes
    made = store.markers(fp for lane in lanes for fp in {*lane.parts, *lane.columns.values()})
    lanes = [lane for lane in lanes if lane.parts[0] in made]
    if not lanes:
        raise CurateError("this manifest has not run yet", str(work), "run `curate run` first")
    return answer(sql, _views(lanes, store, made), [str(store.root.absolute())])


def only_release(work: Path) -> Path:
    """The release in a work folder. Raises CurateError where there is none, or more than one."""
    found = sorted(lock.parent for lock in work.glob("releases/*/*/lock.json"))
    if len(found) != 1:
        what = "there is no release" if not found else f"there are {len(found)} releases, the first being {found[0]}"
        raise CurateError(what, str(work), "name a release or a manifest")
    return found[0]


def _views(lanes: list[Lane], store: Store, made: set[str]) -> Callable[["Connection"], list[str]]:
    """What makes the views: the parts of a partition side by side, those of all partitions one after the other."""

    def make(connection: "Connection") -> list[str]:
        parts = " union all by name ".join(_partition(lane, store, made) for lane in lanes)
        connection.execute(f"create view documents as {parts}")
        known = {name for name, *_ in connection.execute("describe documents").fetchall()}
        views = {name: column for name, column in OF_WORK.items() if column in known}
        for name, column in views.items():
            connection.execute(f"create view {name} as select * from documents where {column} is not null")
        return ["documents", *views]

    return make


def _partition(lane: Lane, store: Store, made: set[str]) -> str:
    """A query for the documents of a partition, with the columns that are made so far, and the latest verdict."""
    whose = {name: fp for name, fp in lane.columns.items() if fp in made}
    whose[REJECT.name] = next(fp for fp in reversed(lane.parts) if fp in made)
    parts: dict[str, list[str]] = {}
    for name, fp in whose.items():
        parts.setdefault(fp, []).append(name)
    tables = [
        f"(select {', '.join(map(_quoted, names))} from read_parquet({_text(store.part(fp))}))"
        for fp, names in parts.items()
    ]
    stage = f"regexp_extract({REJECT.name}, '^(.*)\\.', 1)"  # a label, such as length.2
    reason = f"regexp_extract({REJECT.name}, '[^.]*$')"
    return f"(select *, {stage} as stage, {reason} as reason from {' positional join '.join(tables)})"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _text(value: object) -> str:
    return "'" + str(value).replace("'", "''") + "'"
