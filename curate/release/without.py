"""Rewrite shards without some documents, and recompute the lock from its files."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate.documents import hashed
from curate.engine.earlier_files import check_earlier
from curate.engine.evidence import CLUSTERS, SHOWN
from curate.engine.shard_tasks import add, composition, digest, row_bytes, row_groups
from curate.engine.store import Writer
from curate.mix.keys import names_of
from curate.release.checked_lock import inside
from curate.release.earlier import RECORD as REMOVED
from curate.release.lock import folder as folder_of
from curate.release.lock import release_digest
from curate.release.typed_lock import Amount, Cluster, Composition, File, Key, Lock, Mixture, Removed, Split
from curate.stages.removed import RECORD, Match, Removals, counted, documents, merged, read_list


@dataclass(frozen=True)
class Gone:
    """Documents of a release that are out.

    record  their rows for `evidence/removed.parquet`
    keep    {path of a shard that changes: bool[rows], what stays}
    causes  {cause: documents}, see `curate.stages.removed.Match`
    """

    ids: frozenset[str]
    record: pa.Table
    keep: dict[str, np.ndarray] = field(repr=False)
    causes: dict[str, int]

    @property
    def array(self) -> pa.Array:
        return pa.array(sorted(self.ids), pa.string())


def find_gone(release: Path, lock: Lock, record: pa.Table, version: str) -> Gone:
    """The documents of a release that a record of removals says are out: those it names, all others of their pages, and
    all others with their text, so that what is released from now on without them is the same by every way.

    version  the first release without them
    """
    removals, found, made = Removals().add(record), {}, [RECORD.empty_table()]
    for file in lock.shards:
        check_earlier(inside(release, file.path), {"digest": f"sha256:{file.sha256}", "rows": file.rows})
    while True:
        new: dict[str, Match] = {}
        for file in lock.shards:
            docs = _read(release / file.path, ["id", "url", "text"])
            matches = [
                None if id in found or id in new else match
                for id, match in zip(docs["id"].to_pylist(), removals.find(docs), strict=True)
            ]
            new |= {id: match for id, match in zip(docs["id"].to_pylist(), matches, strict=True) if match}
            made.append(documents(docs, matches, version))
        found |= new
        if not new or all(match.cause == "same text" for match in new.values()):
            break
        removals.add(pa.concat_tables(made))
    gone = Gone(
        frozenset(found), pa.concat_tables(made), {}, dict(sorted(Counter(m.cause for m in found.values()).items()))
    )
    for file in lock.shards:
        stays = pc.invert(pc.is_in(_read(release / file.path, ["id"])["id"], gone.array))
        if not pc.all(stays, min_count=0).as_py():
            gone.keep[file.path] = stays.to_numpy()
    return gone


def _read(path: Path, names: list[str]) -> pa.Table:
    known = pq.read_schema(path).names
    return pq.read_table(path, columns=[name for name in names if name in known])


def leave_out(folder: Path, lock: Lock, gone: Gone, record: pa.Table, everything: bool) -> dict[str, pa.Table]:
    """Write the files of a release again without the documents that are gone, in its folder, and bring its lock up to
    date: shards, their index, evidence, the record of removals, and every number.

    record      what `evidence/removed.parquet` has from now on
    everything  whether the mixture takes all there is, so that what was asked of it is less now

    Returns {path of a shard that changed: the rows it lost}.
    """
    known, lost = {file.path for file in lock.files}, {}
    for path, keep in gone.keep.items():
        lost[path] = _filter_shard(folder, path, keep, path.replace("data/", "index/", 1) in known)
    for path in [file.path for file in lock.files if file.path.startswith("evidence/") and file.path != REMOVED]:
        table = pq.read_table(folder / path)
        if "id" not in table.column_names or not pc.any(pc.is_in(table["id"], gone.array)).as_py():
            continue
        if "cluster_size" in table.column_names and "kept" in table.column_names:
            table = _smaller_clusters(table, gone)
            lock.clusters = _largest_clusters(table)
        else:
            table = table.filter(pc.invert(pc.is_in(table["id"], gone.array)))
        write(folder / path, table)
    write(folder / REMOVED, record)
    lock.removed = [Removed(**entry) for entry in counted(record)]
    lock.files = [_measured_again(folder, file) for file in lock.files]
    if REMOVED not in known:
        path = folder / REMOVED
        lock.files.append(File(path=REMOVED, **digest(path), rows=pq.read_metadata(path).num_rows))
    lock.rejected = pq.read_metadata(folder / "evidence/rejected.parquet").num_rows
    lock.examples = [example for example in lock.examples if example.id not in gone.ids]
    _recount(folder, lock, lost, everything)
    lock.digest = release_digest(lock.files)
    return lost


def _measured_again(folder: Path, file: File) -> File:
    """The entry of a file as it is now, but for what is counted of a shard."""
    path, counted = folder / file.path, file.rows is not None or file.path == REMOVED
    rows = {"rows": pq.read_metadata(path).num_rows} if counted else {}
    return file.model_copy(update=digest(path) | rows)


def keep_out(
    folder: Path, lock: Lock, before: list[pa.Table], own: Collection[str], everything: bool
) -> dict[str, np.ndarray]:
    """Leave out of the shards of a run, and of those it took over, what its record of removals names, and copies of it.

    before  records whose documents are known to be out of all shards: nothing is looked for where none is new
    own     paths of the files that the run itself made

    Returns {path of a shard that changed: bool[rows], what stays}.
    """
    if not (folder / REMOVED).is_file():
        return {}
    record = read_list(folder / REMOVED, "removed")
    if not any(_keys(record) - _keys(table) for table in before):
        return {}
    gone = find_gone(folder, lock, record, lock.version)
    if gone.ids:
        lost = leave_out(folder, lock, gone, merged(record, gone.record), everything)
        _count_as_removed(lock, gone, [rows for path, rows in lost.items() if path in own])
    return gone.keep


def _count_as_removed(lock: Lock, gone: Gone, lost: list[pa.Table]) -> None:
    """Count documents of the run, which passed all stages, as removed: in what the stage did, and in what is kept."""
    names = dict(zip(gone.record["id_sha256"].to_pylist(), gone.record["list"].to_pylist(), strict=True))
    stage = next((stage for stage in reversed(lock.stages) if stage.stage == "removed"), None)
    rows = {row["id"]: row for table in lost for row in table.select(["id", "source", "text"]).to_pylist()}
    for id, row in rows.items():
        size = len(row["text"].encode())
        kept = lock.kept[row["source"]]
        kept.documents, kept.bytes = kept.documents - 1, kept.bytes - size
        if stage and row["source"] in stage.sources:
            count, name = stage.sources[row["source"]], names[hashed(id)]
            count.kept, count.bytes = count.kept - 1, count.bytes - size
            count.reasons = dict(sorted((Counter(count.reasons) + Counter([name])).items()))


def _keys(record: pa.Table) -> set[tuple[str, str]]:
    """What a record matches documents of other sources by."""
    found = set()
    for row in record.to_pylist():
        names = ("url_sha256", "text_sha256", "domain_sha256")
        keys = {(name, row[name]) for name in names if row[name]}
        found |= keys or {("id_sha256", row["id_sha256"])}
    return found


def _filter_shard(folder: Path, path: str, keep: np.ndarray, index: bool) -> pa.Table:
    """Write a shard, and its index where it has one, without some rows. Returns the rows that went."""
    table, mask = pq.read_table(folder / path), pa.array(keep)
    left = table.filter(mask)
    write(folder / path, left, row_groups(row_bytes(left)))
    if index:
        beside = path.replace("data/", "index/", 1)
        write(folder / beside, pq.read_table(folder / beside).filter(mask), [(0, left.num_rows)])
    return table.filter(pc.invert(mask))


def write(path: Path, table: pa.Table, groups: Iterable[tuple[int, int]] = ()) -> None:
    """Write a table as a file of a release, in row groups."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with Writer(path, level=3, content_defined=True) as writer:
        for start, stop in list(groups) or [(0, table.num_rows)]:
            writer.write(table.slice(start, stop - start))


def _recount(folder: Path, lock: Lock, lost: dict[str, pa.Table], everything: bool) -> None:
    """Count again, from the files of a folder, what a lock says of a release's documents.

    lost        {path of a shard: the rows it lost}
    everything  whether the mixture was to take all there is, so that what was asked of it is less now
    """
    repeated = lock.rows != lock.documents  # else each row is a document
    rows_by, once, drawn, mixture = {}, {}, 0, lock.mixture
    seen: set[str] = set()
    tables: dict[str, list[pa.Table]] = {}
    for file in lock.shards:
        rows = pq.read_table(folder / file.path)
        file.rows, file.text_bytes = rows.num_rows, pc.sum(pc.binary_length(rows["text"])).as_py() or 0
        add(rows_by, composition(rows))
        add(once, composition(rows.filter(_unseen(rows["id"], seen)) if repeated else rows))
        drawn += rows.num_rows
        tables.setdefault(file.path.rpartition("/")[0], []).append(_measured(rows, mixture))
    lock.composition, lock.unique, lock.drawn = _typed(rows_by), _typed(once), drawn
    lock.documents = sum(count.documents for count in lock.unique.get("source", {}).values())
    train = [_measured(rows, mixture) for path, rows in lost.items() if not path.startswith("data/validation/")]
    less, known = _unique(train, mixture.unit), True
    for split in mixture.splits:
        held = tables.get(f"data/{folder_of(split.phase, split.split)}".rstrip("/"), [])
        known &= _recount_split(split, held, mixture.unit, less if split.split == "train" else {}, everything)
    if not known:
        columns = ", ".join(f"`{name}`" for name in mixture.columns)
        what = f"{columns} {'is' if len(mixture.columns) == 1 else 'are'} not in the shards, so "
        what += "its shares were not recomputed after a removal"
        mixture.notes = [*(note for note in mixture.notes if note != what), what]


def _typed(composition: dict[str, dict[str, dict]]) -> Composition:
    return {
        column: {value: Amount(**count) for value, count in sorted(counts.items())}
        for column, counts in composition.items()
    }


def _unseen(ids: pa.ChunkedArray, seen: set[str]) -> pa.Array:
    """Which of the rows have an id that was not met before; all are, after."""
    first = []
    for id in ids.to_pylist():
        first.append(id not in seen)
        seen.add(id)
    return pa.array(first, pa.bool_())


def _measured(rows: pa.Table, mixture: Mixture) -> pa.Table:
    """What a mixture is counted by: id, documents, bytes, tokens where known, and `key` where its columns are there."""
    bytes = pc.binary_length(rows["text"]).cast(pa.int64())
    columns = {"id": rows["id"], "documents": pa.repeat(1, rows.num_rows), "bytes": bytes}
    if "n_tokens" in rows.column_names:
        columns["tokens"] = pc.fill_null(rows["n_tokens"].cast(pa.int64()), 0)
    names = mixture.columns
    there = {*names} <= {*rows.column_names}
    if there and (not mixture.rehydrate or pa.types.is_integer(rows[names[-1]].type)):
        columns["key"] = names_of(rows, names, mixture.curve is not None, mixture.rehydrate)
    return pa.table(columns)


def _unique(tables: list[pa.Table], unit: str) -> dict[str, int]:
    """{key: what documents amount to, each counted once however often it is drawn}."""
    seen: dict[str, tuple[str, int]] = {}
    for table in tables:
        if "key" in table.column_names and unit in table.column_names:
            for id, key, amount in zip(*(table[name].to_pylist() for name in ("id", "key", unit)), strict=True):
                seen[id] = key, amount
    total: Counter = Counter()
    for key, amount in seen.values():
        total[key] += amount
    return dict(total)


def _recount_split(split: Split, tables: list[pa.Table], unit: str, less: dict[str, int], everything: bool) -> bool:
    """Count a split of a mixture again. Returns whether the shards tell its keys; if not, it has none."""
    sizes = [name for name in ("documents", "bytes", "tokens") if getattr(split, name) is not None]
    for name in sizes:
        setattr(split, name, sum(pc.sum(table[name]).as_py() or 0 for table in tables))
    if split.unique is not None:
        split.unique = pc.count_distinct(_joined(tables, "id")).as_py()
    if split.unique_amount is not None:
        each = (
            pa.concat_tables(table.select(["id", unit]) for table in tables).group_by("id").aggregate([(unit, "max")])
        )
        split.unique_amount = pc.sum(each[f"{unit}_max"]).as_py() or 0
    if split.longest is not None:
        split.longest = max((pc.max(table["tokens"]).as_py() or 0 for table in tables if table.num_rows), default=0)
    split.shards = len(tables)
    whole = getattr(split, unit)
    if split.amount is not None:
        split.asked = whole if everything else split.asked
        split.amount = whole
    counts = _by_key(tables, sizes)
    if counts is None or counts.keys() - split.keys.keys():
        split.keys = {}
        return False
    keys = {}
    for name, key in split.keys.items():
        found, named = counts.get(name, Counter()), (*sizes, "unique")
        now = {size: found[size] for size in named if getattr(key, size) is not None}
        if now["documents"] or not (everything or not key.asked):
            keys[name] = _recount_key(key, now, unit, whole, less.get(name, 0), everything)
    split.keys = keys
    return True


def _by_key(tables: list[pa.Table], sizes: list[str]) -> dict[str, Counter] | None:
    """{key: its sizes, and how many documents it has} of the shards of a split; None where they do not tell it."""
    if any("key" not in table.column_names for table in tables):
        return None
    counts: dict[str, Counter] = {}
    for table in tables:
        grouped = table.group_by("key").aggregate([(name, "sum") for name in sizes])
        for row in grouped.to_pylist():
            counts.setdefault(row["key"], Counter()).update({name: row[f"{name}_sum"] for name in sizes})
    by_key = pa.table({"key": _joined(tables, "key"), "id": _joined(tables, "id")})
    for row in by_key.group_by("key").aggregate([("id", "count_distinct")]).to_pylist():
        counts[row["key"]]["unique"] = row["id_count_distinct"]
    return counts


def _recount_key(key: Key, now: dict[str, int], unit: str, whole: int, less: int, everything: bool) -> Key:
    """A key of a split with what is there of it now: its sizes.

    whole  what the split holds, in its unit
    less   what documents of the key that are gone amount to, each once
    """
    made = key.model_copy(update=now)
    made.share = round(now[unit] / max(whole, 1), 6)
    if everything and key.asked is not None:
        made.asked = made.share
    if key.epochs is not None:
        there = getattr(key, unit) / key.epochs - less if key.epochs else 0
        made.epochs = round(now[unit] / max(round(there), 1), 4)
    return made


def _joined(tables: list[pa.Table], name: str) -> pa.ChunkedArray:
    return pa.chunked_array([chunk for table in tables for chunk in table[name].chunks], pa.string())


def _smaller_clusters(near: pa.Table, gone: Gone) -> pa.Table:
    """The evidence of near-duplicates without some documents, with the sizes of their clusters as they are now."""
    out = pc.is_in(near["id"], gone.array)
    touched, left = pc.unique(near.filter(out)["cluster"]), near.filter(pc.invert(out))
    if "cluster_size" not in near.column_names or not len(touched):
        return left
    sizes = {row["values"]: row["counts"] for row in pc.value_counts(left["cluster"]).to_pylist()}
    changed = pc.is_in(left["cluster"], touched.combine_chunks() if isinstance(touched, pa.ChunkedArray) else touched)
    now = pa.array([sizes[name] for name in left["cluster"].to_pylist()], near.schema.field("cluster_size").type)
    place = left.column_names.index("cluster_size")
    return left.set_column(place, "cluster_size", pc.if_else(changed, now, left["cluster_size"]))


def _largest_clusters(near: pa.Table) -> list[Cluster]:
    """The largest clusters, each by a document that was kept of it, as `engine.evidence.near_duplicates` has them."""
    return [Cluster(**row) for row in islice(_first_kept(near), CLUSTERS)]


def _first_kept(near: pa.Table) -> Iterator[dict]:
    shown = [name for name in ("cluster_size", *SHOWN) if name in near.column_names]
    first: dict[str, dict] = {}
    for row in near.filter(near["kept"]).select(["cluster", *shown]).to_pylist():
        if row["cluster"] not in first or row["id"] < first[row["cluster"]]["id"]:
            first[row["cluster"]] = row
    yield from sorted(first.values(), key=lambda row: (-row["cluster_size"], row["cluster"]))
