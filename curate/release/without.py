"""The shards of a release without some of their documents, and the numbers of a lock counted again from its files."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate.documents import hashed
from curate.engine.adopted import adopt
from curate.engine.assemble import CLUSTERS, SHOWN, composition, digest, row_groups
from curate.engine.store import Writer
from curate.release import lock as locks
from curate.release.checked_lock import inside
from curate.release.earlier import RECORD as REMOVED
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


def find_gone(release: Path, lock: dict, record: pa.Table, version: str) -> Gone:
    """The documents of a release that a record of removals says are out: those it names, all others of their pages, and
    all others with their text, so that what is released from now on without them is the same by every way.

    version  the first release without them
    """
    removals, found, made = Removals().add(record), {}, [RECORD.empty_table()]
    data = [file for file in lock["files"] if file["path"].startswith("data/")]
    for file in data:
        adopt(inside(release, file["path"]), {"digest": f"sha256:{file['sha256']}", "rows": file.get("rows")})
    while True:
        new: dict[str, Match] = {}
        for file in data:
            docs = _read(release / file["path"], ["id", "url", "text"])
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
    for file in data:
        stays = pc.invert(pc.is_in(_read(release / file["path"], ["id"])["id"], gone.array))
        if not pc.all(stays, min_count=0).as_py():
            gone.keep[file["path"]] = stays.to_numpy()
    return gone


def _read(path: Path, names: list[str]) -> pa.Table:
    known = pq.read_schema(path).names
    return pq.read_table(path, columns=[name for name in names if name in known])


def leave_out(folder: Path, lock: dict, gone: Gone, record: pa.Table, everything: bool) -> dict[str, pa.Table]:
    """Write the files of a release again without the documents that are gone, in its folder, and bring its lock up to
    date: shards, their index, evidence, the record of removals, and every number.

    record      what `evidence/removed.parquet` has from now on
    everything  whether the mixture takes all there is, so that what was asked of it is less now

    Returns {path of a shard that changed: the rows it lost}.
    """
    known, lost = {file["path"]: file for file in lock["files"]}, {}
    for path, keep in gone.keep.items():
        lost[path] = _filter_shard(folder, path, keep, path.replace("data/", "index/", 1) in known)
    for path in [path for path in known if path.startswith("evidence/") and path != REMOVED]:
        table = pq.read_table(folder / path)
        if "id" not in table.column_names or not pc.any(pc.is_in(table["id"], gone.array)).as_py():
            continue
        if "cluster_size" in table.column_names and "kept" in table.column_names:
            table = _smaller_clusters(table, gone)
            lock["clusters"] = _largest_clusters(table)
        else:
            table = table.filter(pc.invert(pc.is_in(table["id"], gone.array)))
        write(folder / path, table)
    write(folder / REMOVED, record)
    lock["removed"] = counted(record)
    if REMOVED not in known:
        lock["files"].append({"path": REMOVED})
    for file in lock["files"]:
        path = folder / file["path"]
        file |= digest(path)
        if "rows" in file or file["path"] == REMOVED:
            file["rows"] = pq.read_metadata(path).num_rows
    lock["rejected"] = pq.read_metadata(folder / "evidence/rejected.parquet").num_rows
    lock["examples"] = [example for example in lock["examples"] if example.get("id") not in gone.ids]
    _recount(folder, lock, lost, everything)
    lock["digest"] = locks.release_digest(lock["files"])
    return lost


def keep_out(
    folder: Path, lock: dict, before: list[pa.Table], own: Collection[str], everything: bool
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
    gone = find_gone(folder, lock, record, lock["version"])
    if gone.ids:
        lost = leave_out(folder, lock, gone, merged(record, gone.record), everything)
        _count_as_removed(lock, gone, [rows for path, rows in lost.items() if path in own])
    return gone.keep


def _count_as_removed(lock: dict, gone: Gone, lost: list[pa.Table]) -> None:
    """Count documents of the run, which passed all stages, as removed: in what the stage did, and in what is kept."""
    names = dict(zip(gone.record["id_sha256"].to_pylist(), gone.record["list"].to_pylist(), strict=True))
    stage = next((stage for stage in reversed(lock["stages"]) if stage["stage"] == "removed"), None)
    rows = {row["id"]: row for table in lost for row in table.select(["id", "source", "text"]).to_pylist()}
    for id, row in rows.items():
        size = len(row["text"].encode())
        kept = lock["kept"][row["source"]]
        kept["documents"], kept["bytes"] = kept["documents"] - 1, kept["bytes"] - size
        if stage and row["source"] in stage["sources"]:
            count, name = stage["sources"][row["source"]], names[hashed(id)]
            count["kept"], count["bytes"] = count["kept"] - 1, count["bytes"] - size
            count["reasons"] = dict(sorted((Counter(count["reasons"]) + Counter([name])).items()))


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
    write(folder / path, left, row_groups(pc.binary_length(left["text"]).to_numpy()))
    if index:
        beside = path.replace("data/", "index/", 1)
        write(folder / beside, pq.read_table(folder / beside).filter(mask), [(0, left.num_rows)])
    return table.filter(pc.invert(mask))


def write(path: Path, table: pa.Table, groups: Iterable[tuple[int, int]] = ()) -> None:
    """Write a table as a file of a release, in row groups."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = Writer(path, level=3, content_defined=True)
    for start, stop in list(groups) or [(0, table.num_rows)]:
        writer.write(table.slice(start, stop - start))
    writer.close()


def _recount(folder: Path, lock: dict, lost: dict[str, pa.Table], everything: bool) -> None:
    """Count again, from the files of a folder, what a lock says of a release's documents.

    lost        {path of a shard: the rows it lost}
    everything  whether the mixture was to take all there is, so that what was asked of it is less now
    """
    repeated = lock.get("drawn", lock["documents"]) != lock["documents"]  # else each row is a document
    lock["composition"], lock["unique"], lock["drawn"], mixture = {}, {}, 0, lock["mixture"]
    seen: set[str] = set()
    tables: dict[str, list[pa.Table]] = {}
    for file in lock["files"]:
        if not file["path"].startswith("data/"):
            continue
        rows = pq.read_table(folder / file["path"])
        file |= {"rows": rows.num_rows, "text_bytes": pc.sum(pc.binary_length(rows["text"])).as_py() or 0}
        locks.add(lock["composition"], composition(rows))
        locks.add(lock["unique"], composition(rows.filter(_unseen(rows["id"], seen)) if repeated else rows))
        lock["drawn"] += rows.num_rows
        tables.setdefault(file["path"].rpartition("/")[0], []).append(_measured(rows, mixture["by"]))
    for counts in ("composition", "unique"):
        lock[counts] = {name: dict(sorted(values.items())) for name, values in lock[counts].items()}
    lock["documents"] = sum(count["documents"] for count in lock["unique"].get("source", {}).values())
    train = [_measured(rows, mixture["by"]) for path, rows in lost.items() if not path.startswith("data/validation/")]
    less = _unique(train, mixture["unit"])
    for split in mixture["splits"]:
        held = tables.get(f"data/{locks.folder(split)}".rstrip("/"), [])
        _recount_split(split, held, mixture, less if split["split"] == "train" else {}, everything)
    if any(split["keys"] is None for split in mixture["splits"]):
        what = f"`{mixture['by']}` is not in the shards, so its shares were not counted again after a removal"
        mixture["notes"] = [*(note for note in mixture["notes"] if note != what), what]
        for split in mixture["splits"]:
            split["keys"] = split["keys"] or {}


def _unseen(ids: pa.ChunkedArray, seen: set[str]) -> pa.Array:
    """Which of the rows have an id that was not met before; all are, after."""
    first = []
    for id in ids.to_pylist():
        first.append(id not in seen)
        seen.add(id)
    return pa.array(first, pa.bool_())


def _measured(rows: pa.Table, by: str) -> pa.Table:
    """What a mixture is counted by: id, documents, bytes, tokens where known, and `key` where it is a column."""
    bytes = pc.binary_length(rows["text"]).cast(pa.int64())
    columns = {"id": rows["id"], "documents": pa.repeat(1, rows.num_rows), "bytes": bytes}
    if "n_tokens" in rows.column_names:
        columns["tokens"] = pc.fill_null(rows["n_tokens"].cast(pa.int64()), 0)
    if by in rows.column_names:
        columns["key"] = pc.fill_null(rows[by].cast(pa.string()), "null")
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


def _recount_split(split: dict, tables: list[pa.Table], mixture: dict, less: dict[str, int], everything: bool) -> None:
    """Count a split of a mixture again. `keys` is None where the shards do not tell it."""
    sizes = [name for name in ("documents", "bytes", "tokens") if name in split]
    totals = {name: sum(pc.sum(table[name]).as_py() or 0 for table in tables) for name in sizes}
    split |= totals
    if "unique" in split:
        split["unique"] = pc.count_distinct(_joined(tables, "id")).as_py()
    if "longest" in split:
        split["longest"] = max((pc.max(table["tokens"]).as_py() or 0 for table in tables if table.num_rows), default=0)
    split["shards"] = len(tables)
    if "amount" in split:
        split["asked"] = totals[mixture["unit"]] if everything else split["asked"]
        split["amount"] = totals[mixture["unit"]]
    counts: dict[str, Counter] = {}
    for table in tables:
        if "key" not in table.column_names:
            split["keys"] = None
            return
        grouped = table.group_by("key").aggregate([(name, "sum") for name in sizes])
        for row in grouped.to_pylist():
            counts.setdefault(row["key"], Counter()).update({name: row[f"{name}_sum"] for name in sizes})
    by_key = pa.table({"key": _joined(tables, "key"), "id": _joined(tables, "id")})
    for row in by_key.group_by("key").aggregate([("id", "count_distinct")]).to_pylist():
        counts[row["key"]]["unique"] = row["id_count_distinct"]
    if counts.keys() - split["keys"].keys():
        split["keys"] = None
        return
    whole, unit = max(totals[mixture["unit"]], 1), mixture["unit"]
    old, split["keys"] = split["keys"], {}
    for name, entry in old.items():
        named = [size for size in (*sizes, "unique") if size in entry]
        now = {size: counts.get(name, Counter())[size] for size in named}
        if not now["documents"] and (everything or not entry.get("asked")):
            continue
        there = entry[unit] / entry["epochs"] - less.get(name, 0) if entry.get("epochs") else 0
        split["keys"][name] = entry | now | {"share": round(now[unit] / whole, 6)}
        if everything and "asked" in entry:
            split["keys"][name]["asked"] = split["keys"][name]["share"]
        if "epochs" in entry:
            split["keys"][name]["epochs"] = round(now[unit] / max(round(there), 1), 4)


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


def _largest_clusters(near: pa.Table) -> list[dict]:
    """The largest clusters, each by a document that was kept of it, as `engine.assemble.near_duplicates` has them."""
    return list(_first_kept(near))[:CLUSTERS]


def _first_kept(near: pa.Table) -> Iterator[dict]:
    shown = [name for name in ("cluster_size", *SHOWN) if name in near.column_names]
    first: dict[str, dict] = {}
    for row in near.filter(near["kept"]).select(["cluster", *shown]).to_pylist():
        if row["cluster"] not in first or row["id"] < first[row["cluster"]]["id"]:
            first[row["cluster"]] = row
    yield from sorted(first.values(), key=lambda row: (-row["cluster_size"], row["cluster"]))
