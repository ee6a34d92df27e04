"""From settled documents to shards and evidence: the last jobs of a plan, each a task of `curate.jobs`.

Until here rows never moved. `order` puts a partition's live documents on the hash line, `mix` sorts all of them and
cuts the shards, `scatter` sends the published columns of a partition to its shards, `shard` puts one shard together.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.documents import REJECT
from curate.mix.mixture import cut, hash_line
from curate.stage import arrow_type, find_stage
from curate.store import BinnedWriter, Store, Writer, for_block, live_blocks, sent_to

GROUP_BYTES = 32 << 20
"""Text in a row group of a shard, so that a reader of one group needs little memory."""

GROUP_ROWS = 50_000


def order(store: Store, args: dict, draft: Path, counts: dict) -> None:
    """Each live document of a partition: `doc`, its place on the hash line, the bytes of its text."""
    writer, rows = Writer(draft), 0
    for docs in live_blocks(store, args["reading"]):
        table = pa.table(
            {
                "doc": docs["doc"],
                "order": pa.array(hash_line(docs["id"], args["seed"]), pa.uint64()),
                "bytes": docs["n_bytes"].fill_null(0),
            }
        )
        writer.write(table)
        rows += table.num_rows
    writer.close()
    counts["rows"] = rows


def mix(store: Store, args: dict, draft: Path, counts: dict) -> None:
    """Sort all documents on the line and cut the shards. Back to their partitions: `doc`, `order`, `shard`."""
    tables = list(store.stream(store.behind(args["before"])))
    place = np.concatenate([np.full(table.num_rows, place, np.uint64) for place, table in tables])
    rows = pa.concat_tables([table for _, table in tables]).combine_chunks()
    doc = (place << np.uint64(32)) | rows["doc"].to_numpy()
    line = np.lexsort((doc, rows["order"].to_numpy()))
    size = rows["bytes"].to_numpy()[line]
    shard = cut(size, args["shard_bytes"])
    writer = BinnedWriter(draft)
    writer.write(
        pa.table(
            {
                "doc": pa.array(doc[line]),
                "order": pa.array(rows["order"].to_numpy()[line]),
                "shard": pa.array(shard),
                "bin": pa.array((doc[line] >> np.uint64(32)).astype(np.uint32)),
            }
        )
    )
    writer.close()
    counts |= {"bins": writer.bins, "documents": len(doc), "bytes": int(size.sum())}
    counts["shards"] = int(shard[-1]) + 1 if len(shard) else 0


def scatter(store: Store, args: dict, draft: Path, counts: dict) -> None:
    """The published columns of a partition's documents, each row sent to its shard."""
    types = {name: arrow_type(alias) for name, alias in args["types"].items()}
    sent = sent_to(store, [args["mix"]], args["place"], local=False)
    writer = BinnedWriter(draft)
    for docs in live_blocks(store, args["reading"]):
        chosen = for_block(sent, docs)
        index = np.searchsorted(docs["doc"].to_numpy(), chosen["doc"].to_numpy())
        rows = docs.take(pa.array(index))
        columns = {
            name: rows[name].cast(kind) if name in rows.column_names else pa.nulls(len(index), kind)
            for name, kind in types.items()
        }
        columns["license"] = pc.fill_null(columns["license"], args["license"])
        writer.write(pa.table(columns | {"order": chosen["order"], "bin": chosen["shard"]}))
    writer.close()
    counts["bins"] = writer.bins


def shard(store: Store, args: dict, draft: Path, counts: dict) -> None:
    """One shard of the release, in the order of the line."""
    rows = pa.concat_tables([table for _, table in store.bin(store.behind(args["before"]), args["number"])])
    rows = rows.sort_by([("order", "ascending"), ("id", "ascending")]).drop_columns("order")
    writer = Writer(draft, level=3, content_defined=True)
    for start, stop in row_groups(pc.binary_length(rows["text"]).to_numpy()):
        writer.write(rows.slice(start, stop - start))
    writer.close()
    counts |= {"rows": rows.num_rows, "text_bytes": pc.sum(pc.binary_length(rows["text"])).as_py() or 0}
    counts |= digest(draft)


def row_groups(size: np.ndarray) -> Iterator[tuple[int, int]]:
    """Cut rows of these sizes (bytes) into row groups: (start, stop), each of one row at least."""
    start, total = 0, np.cumsum(size, dtype=np.int64)
    while start < len(size):
        before = total[start - 1] if start else 0
        stop = int(np.searchsorted(total, before + GROUP_BYTES, side="right"))
        stop = min(max(stop, start + 1), start + GROUP_ROWS)
        yield start, stop
        start = stop


def index(store: Store, args: dict, draft: Path, counts: dict) -> None:
    """What a later run needs to compare its documents with those of a shard, row by row as in the shard."""
    build = find_stage(args["call"]["stage"]).index.build
    writer, rows = Writer(draft, level=3), 0
    for _, table in store.stream([args["shard"]]):
        writer.write(build(table, **args["call"]["params"]))
        rows += table.num_rows
    writer.close()
    counts |= {"rows": rows} | digest(draft)


def rejected(store: Store, args: dict, draft: Path, counts: dict) -> None:
    """Every rejected document: where it comes from, the stage and the reason, and what the stage says of it."""

    def choose(block: pa.Table) -> pa.Table:
        out = block.filter(block[REJECT.name].is_valid())
        why = pc.split_pattern(out[REJECT.name].cast(pa.string()), ".", reverse=True, max_splits=1)
        stage, reason = pc.list_element(why, 0), pc.list_element(why, 1)
        return out.append_column("stage", stage).append_column("reason", reason)

    _evidence(store, args, draft, counts, choose, {"stage": "string", "reason": "string"})


def near_duplicates(store: Store, args: dict, draft: Path, counts: dict) -> None:
    """Every document that near-duplicates join with others, the kept ones too: its cluster, and what it resembles."""
    _marked(store, args, draft, counts, "cluster")


def decontamination(store: Store, args: dict, draft: Path, counts: dict) -> None:
    """Every document that has n-grams in common with an evaluation set, the kept ones too: with which item, and which."""
    _marked(store, args, draft, counts, "contamination")


def _marked(store: Store, args: dict, draft: Path, counts: dict, column: str) -> None:
    """The documents of which a column is not null, and whether they are kept."""

    def choose(block: pa.Table) -> pa.Table:
        if column not in block.column_names:
            return block.slice(0, 0).append_column("kept", pa.array([], pa.bool_()))
        found = block.filter(block[column].is_valid())
        return found.append_column("kept", found[REJECT.name].is_null())

    _evidence(store, args, draft, counts, choose, {"kept": "bool"})


def _evidence(store: Store, args: dict, draft: Path, counts: dict, choose, more: dict[str, str]) -> None:
    """Write what `choose` takes of each block of all partitions, with the columns of `args["types"]` and more."""
    types = {name: arrow_type(alias) for name, alias in (args["types"] | more).items()}
    writer, rows = Writer(draft, level=3, content_defined=True), 0
    for table in _regrouped(_chosen(store, args["readings"], choose, types)):
        rows += table.num_rows
        writer.write(table)
    writer.close()
    counts |= {"rows": rows} | digest(draft)


def _chosen(store: Store, readings: list[dict], choose, types: dict[str, pa.DataType]) -> Iterator[pa.Table]:
    for reading in readings:
        for block in store.blocks(reading):
            chosen = choose(block)
            columns = {
                name: chosen[name].cast(kind) if name in chosen.column_names else pa.nulls(chosen.num_rows, kind)
                for name, kind in types.items()
            }
            yield pa.table(columns)


def _regrouped(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """The same rows in tables of GROUP_ROWS, however they came; one table at least, for its schema."""
    waiting = next(tables)
    for table in tables:
        waiting = pa.concat_tables([waiting, table])
        while waiting.num_rows > GROUP_ROWS:
            yield waiting.slice(0, GROUP_ROWS)
            waiting = waiting.slice(GROUP_ROWS)
    yield waiting


def digest(path: Path) -> dict:
    """{"bytes", "sha256"} of a file."""
    with open(path, "rb") as file:
        return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
