"""Tasks that write shards: `scatter`, `shard` and `index`.

`scatter` sends the published columns of a partition to its shards, `shard` puts one shard together, `index` makes its
index. Until here rows never moved.
"""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.base.messages import ROLES, conversations, turns
from curate.base.pictures import picture_bytes
from curate.engine.exchange import BinnedWriter, for_block, of_bin
from curate.engine.mix_ranges import drawn_from
from curate.engine.store import Store, Writer, live_blocks, widened
from curate.stage_api import arrow_type, find_stage

GROUP_BYTES = 32 << 20
"""Text and pictures in a row group of a shard, so that a reader of one group needs little memory."""

GROUP_ROWS = 50_000


def scatter(store: Store, args: dict, draft: Path, counts: dict) -> None:
    """The published columns of a partition's documents, each row sent to its shard.

    counts["unique"]: the composition of the documents that are sent, each once.
    """
    types = {name: arrow_type(alias) for name, alias in args["types"].items()}
    sent = drawn_from(store, args["mix"], args["place"])
    unique = {}
    with BinnedWriter(draft, counts) as writer:
        for docs in live_blocks(store, args["reading"]):
            chosen = for_block(sent, docs)
            index = np.searchsorted(docs["doc"].to_numpy(), chosen["doc"].to_numpy())
            everything = np.array_equal(index, np.arange(docs.num_rows))
            rows = docs if everything else docs.take(pa.array(index))  # which would copy all texts
            columns = {
                name: rows[name].cast(kind) if name in rows.column_names else pa.nulls(len(index), kind)
                for name, kind in types.items()
            }
            columns["license"] = pc.fill_null(columns["license"], args["license"])
            sent_along = {"order": chosen["order"], "bin": chosen["shard"]}
            if "keys" in args:
                sent_along |= {args["keys"]: rows[args["keys"]], "text_bytes": pc.binary_length(rows["text"])}
            writer.write(pa.table(columns | sent_along))
            once = np.unique(index, return_index=True)[1]  # a mixture may draw a document more than once
            rows = pa.table({name: column for name, column in columns.items() if name != "images"})
            add(unique, composition(rows if len(once) == len(index) else rows.take(pa.array(once))))
    counts["unique"] = unique


def shard(store: Store, args: dict, draft: Path, counts: dict) -> None:
    """One shard of the release, in the order of the line."""
    rows, sequence, schema = _of_shard(store, args, args["columns"])
    with Writer(draft, level=3, content_defined=True) as writer:
        for group in _groups(rows, sequence, schema, row_bytes(rows)):
            writer.write(group)
    counts |= {"rows": rows.num_rows, "text_bytes": pc.sum(pc.binary_length(rows["text"])).as_py() or 0}
    counts |= {"composition": composition(rows)} | digest(draft)


def index(store: Store, args: dict, draft: Path, counts: dict) -> None:
    """What a later run needs to compare its documents with those of a shard, row by row as in the shard."""
    call, keys = find_stage(args["call"]["stage"]).index, args.get("keys")
    rows, sequence, schema = _of_shard(
        store, args, ("id", keys, "text_bytes") if keys else (*call.reads, *args.get("more", ()))
    )
    sizes = rows["text_bytes"].to_numpy() if keys else row_bytes(rows)
    with Writer(draft) as writer:
        for group in _groups(rows, sequence, schema, sizes):
            writer.write(group.drop_columns("text_bytes") if keys else call.build(group, **args["call"]["params"]))
    counts |= {"rows": rows.num_rows} | digest(draft)


def _of_shard(store: Store, args: dict, columns: Iterable[str]) -> tuple[pa.Table, pa.Array, pa.Schema]:
    """The rows that were sent to a shard, with these columns, the order in which the shard has them, and its schema: a
    column of strings or bytes ends at 2 GiB, a shard need not, so that here they are large ones."""
    sent = of_bin(store, store.behind(args["before"]), args["number"], [*columns, "order"])
    rows = pa.concat_tables(table for _, table in sent)
    sequence = pc.sort_indices(rows, [("order", "ascending"), ("id", "ascending")])
    rows = rows.drop_columns("order")
    schema = rows.schema
    wide = [field.with_type(widened(field.type)) for field in schema]
    return rows.cast(pa.schema(wide)).combine_chunks(), sequence, schema


def row_bytes(rows: pa.Table) -> np.ndarray:
    """Bytes of text and pictures of each row of a shard: int64[rows]."""
    sizes = pc.fill_null(pc.binary_length(rows["text"]), 0).to_numpy().astype(np.int64)
    return sizes + picture_bytes(rows["images"]) if "images" in rows.column_names else sizes


def _groups(rows: pa.Table, sequence: pa.Array, schema: pa.Schema, sizes: np.ndarray) -> Iterator[pa.Table]:
    """The row groups of a shard, whose rows are of these sizes: few rows at a time are copied."""
    for start, stop in row_groups(sizes[sequence.to_numpy()]):
        yield rows.take(sequence.slice(start, stop - start)).cast(schema)


def composition(rows: pa.Table) -> dict:
    """{column: {value: {"documents", "bytes", "tokens"}}} for source, language, license, and where a stage verified
    answers `verified`; tokens where known. Of conversations also `role`, whose values have "messages" too.

    rows  of a shard. bytes: of text in UTF-8. A missing value is "unknown".
    """
    sizes = {"bytes": pc.fill_null(pc.binary_length(rows["text"]).cast(pa.int64()), 0)}
    if "n_tokens" in rows.column_names:
        sizes["tokens"] = pc.fill_null(rows["n_tokens"].cast(pa.int64()), 0)
    found = {}
    for name in ("source", "language", "license", *(name for name in ("verified",) if name in rows.column_names)):
        keys = rows[name] if name in rows.column_names else pa.nulls(rows.num_rows, pa.string())
        table = pa.table({"key": pc.fill_null(keys.cast(pa.string()), "unknown")} | sizes)
        grouped = table.group_by("key").aggregate([([], "count_all"), *((size, "sum") for size in sizes)])
        found[name] = {
            row["key"]: {"documents": row["count_all"]} | {size: row[f"{size}_sum"] for size in sizes}
            for row in grouped.sort_by("key").to_pylist()
        }
    return found | ({"role": _roles(rows)} if conversations(rows) else {})


def _roles(rows: pa.Table) -> dict[str, dict[str, int]]:
    """{role: {"documents" in which it speaks, "messages", "bytes", "tokens" where a stage counted them}}"""
    said = turns(rows)
    said = said.append_column("bytes", pc.fill_null(pc.binary_length(said["content"]).cast(pa.int64()), 0))
    grouped = said.group_by("role").aggregate([("row", "count_distinct"), ([], "count_all"), ("bytes", "sum")])
    found = {
        row["role"] or "unknown": {
            "documents": row["row_count_distinct"],
            "messages": row["count_all"],
            "bytes": row["bytes_sum"],
        }
        for row in grouped.sort_by("role").to_pylist()
    }
    if "role_tokens" in rows.column_names:
        for place, role in enumerate(ROLES):
            if role in found:
                tokens = pc.list_element(pc.drop_null(rows["role_tokens"].combine_chunks()), place)
                found[role]["tokens"] = pc.sum(tokens).as_py() or 0
    return found


def add(total: dict, more: dict) -> None:
    """Add counts, and the counts within them."""
    for key, value in more.items():
        if isinstance(value, dict):
            add(total.setdefault(key, {}), value)
        else:
            total[key] = total.get(key, 0) + value


def row_groups(size: np.ndarray) -> Iterator[tuple[int, int]]:
    """Cut rows of these sizes (bytes) into row groups: (start, stop), each of one row at least."""
    start, total = 0, np.cumsum(size, dtype=np.int64)
    while start < len(size):
        before = total[start - 1] if start else 0
        stop = int(np.searchsorted(total, before + GROUP_BYTES, side="right"))
        stop = min(max(stop, start + 1), start + GROUP_ROWS)
        yield start, stop
        start = stop


def digest(path: Path) -> dict:
    """{"bytes", "sha256"} of a file."""
    with open(path, "rb") as file:
        return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
