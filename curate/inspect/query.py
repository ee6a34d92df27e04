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
from curate.inspect.sandboxed_sql import answer
from curate.manifest.manifest import Manifest, load
from curate.release.fetched import is_published
from curate.release.make import WORK, recall

if TYPE_CHECKING:
    from curate.inspect.sandboxed_sql import Connection

OF_WORK = {
    "rejected": f"where {REJECT.name} is not null",
    "near_duplicates": "where cluster is not null",
    "decontamination": "where contamination is not null",
    "repeated_passages": "where repeated_passages is not null",
}
"""Views of the work of a manifest beside `documents`, and which of the documents they have."""

NEEDS = {
    "near_duplicates": "cluster",
    "decontamination": "contamination",
    "repeated_passages": "repeated_passages",
}
"""The column without which such a view would have nothing."""


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
    place = _only_release(Path(work)) if place is None else place
    if not isinstance(place, Manifest) and (is_published(place) or Path(place, "lock.json").is_file()):
        return open_release(place).query(sql)
    manifest = place if isinstance(place, Manifest) else load(place)
    store = Store(Path(work) / "store")
    lanes = [lane for lane in recall(manifest, work).lanes if store.marker(lane.parts[0])]
    if not lanes:
        raise CurateError("this manifest has not run yet", str(work), "run `curate run` first")
    return answer(sql, _views(lanes, store), [str(store.root.absolute())])


def _only_release(work: Path) -> Path:
    found = sorted(lock.parent for lock in work.glob("releases/*/*/lock.json"))
    if len(found) != 1:
        what = "there is no release" if not found else f"there are {len(found)} releases, the first being {found[0]}"
        raise CurateError(what, str(work), "name a release or a manifest after the query")
    return found[0]


def _views(lanes: list[Lane], store: Store) -> Callable[["Connection"], list[str]]:
    """What makes the views: the parts of a partition side by side, those of all partitions one after the other."""

    def make(connection: "Connection") -> list[str]:
        parts = " union all by name ".join(_partition(lane, store) for lane in lanes)
        connection.execute(f"create view documents as {parts}")
        known = {name for name, *_ in connection.execute("describe documents").fetchall()}
        made = ["documents"]
        for name, condition in OF_WORK.items():
            if NEEDS.get(name, REJECT.name) in known:
                connection.execute(f"create view {name} as select * from documents {condition}")
                made.append(name)
        return made

    return make


def _partition(lane: Lane, store: Store) -> str:
    """A query for the documents of a partition, with the columns that are made so far."""
    whose = {name: _latest(lane, name, fp, store) for name, fp in lane.columns.items()}
    parts: dict[str, list[str]] = {}
    for name, fp in whose.items():
        if fp:
            parts.setdefault(fp, []).append(name)
    tables = [
        f"(select {', '.join(map(_quoted, names))} from read_parquet({_text(store.part(fp))}))"
        for fp, names in parts.items()
    ]
    split = (
        f"split_part({REJECT.name}, '.', 1) as stage, substr({REJECT.name}, instr({REJECT.name}, '.') + 1) as reason"
    )
    return f"(select *, {split} from {' positional join '.join(tables)})"


def _latest(lane: Lane, name: str, fp: str, store: Store) -> str | None:
    """The part that has a column, as far as jobs are done: of `reject` the last one that is made."""
    if store.marker(fp):
        return fp
    made = [part for part in lane.parts if store.marker(part)]
    return made[-1] if name == REJECT.name else None


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _text(value: object) -> str:
    return "'" + str(value).replace("'", "''") + "'"
