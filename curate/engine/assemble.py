"""From settled documents to shards (their row groups too) and evidence.

The last jobs of a plan, each a task of `curate.engine.jobs`.

Until here rows never moved. `order` puts a partition's live documents on the hash line, `mix` sorts all of them and
cuts the shards, `scatter` sends the published columns of a partition to its shards, `shard` puts one shard together.
"""

import hashlib
from collections.abc import Iterable, Iterator
from operator import itemgetter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.base.messages import ROLES, conversations, turns
from curate.base.pictures import picture_bytes
from curate.documents import REJECT, coded, hashed
from curate.engine.store import BinnedWriter, Store, Writer, for_block, live_blocks, row_of, sent_to, widened
from curate.mix.hash_line import hash_line
from curate.mix.splits import Candidates, compose
from curate.stage_api import arrow_type, find_stage, set_column
from curate.stages import removed as removals

GROUP_BYTES = 32 << 20
"""Text and pictures in a row group of a shard, so that a reader of one group needs little memory."""

GROUP_ROWS = 50_000

EXAMPLES, CLUSTERS = 3, 10
"""How many rejected documents of each reason, and how many clusters of near-duplicates, the report shows."""

SHOWN = ("id", "source", "path", "position", "url", "stage", "reason")
"""What it shows of a document: where it is from, never its text."""

NOT_DRAWN = "mixture.not_drawn"
"""Why a document that all stages kept is not released."""


def order(store: Store, args: dict, draft: Path, counts: dict) -> None:
    """What the mixture must know of each live document of a partition: `doc`, its place on the hash line, the bytes and
    tokens of its text, those of its pictures, and the value that weights are given by."""
    rows, pictures = 0, False
    with Writer(draft) as writer:
        for docs in live_blocks(store, args["reading"]):
            columns = {
                "doc": docs["doc"],
                "order": pa.array(hash_line(docs["id"], args["seed"]), pa.uint64()),
                "bytes": docs["n_bytes"].fill_null(0),
                "key": docs[args["by"]].cast(pa.string()).fill_null("null"),
            }
            if "image_bytes" in docs.column_names:
                columns["pictures"] = docs["image_bytes"].cast(pa.int64()).fill_null(0)
            elif "images" in docs.column_names:
                columns["pictures"] = pa.array(picture_bytes(docs["images"]))
            if "n_tokens" in docs.column_names:
                columns["tokens"] = docs["n_tokens"].cast(pa.int64()).fill_null(0)
            writer.write(pa.table(columns))
            rows += docs.num_rows
            pictures |= "pictures" in columns
    counts |= {"rows": rows} | ({"pictures": True} if pictures else {})


def mix(store: Store, args: dict, draft: Path, counts: dict) -> None:
    """Draw the mixture and cut the shards. Back to their partitions, for each time they are seen: `doc`, `order`,
    `shard`."""
    documents = _all_documents(store, store.behind(args["before"]))
    composed = compose(documents, args["mixture"], args["unit"], args["shard_bytes"])
    doc = documents.doc[composed.row]
    columns = {"doc": doc, "order": composed.place, "shard": composed.shard}
    with BinnedWriter(draft) as writer:
        writer.write(pa.table(columns | {"bin": (doc >> np.uint64(32)).astype(np.uint32)}))
    counts |= {"bins": writer.bins, "splits": composed.splits, "left_out": composed.left_out}
    counts["shards"] = sum(split["shards"] for split in composed.splits)
    counts["documents"] = len(documents.doc)
    counts["drawn"] = np.bincount(composed.shard, minlength=counts["shards"]).tolist()


def _all_documents(store: Store, parts: list[str]) -> Candidates:
    """The parts that `order` made, in arrays of which each holds all."""
    total = sum(store.counts(fp)["rows"] for fp in parts)
    columns = {"doc": np.uint64, "order": np.uint64, "bytes": np.uint32, "tokens": np.uint32}
    arrays = {name: np.zeros(total, kind) for name, kind in columns.items()}
    if any(store.counts(fp).get("pictures") for fp in parts):
        arrays["pictures"] = np.zeros(total, np.int64)
    key, known, start, counted = np.empty(total, np.int32), {}, 0, True
    for place, table in store.stream(parts):
        rows = slice(start, start + table.num_rows)
        for name in arrays.keys() & set(table.column_names):
            arrays[name][rows] = table[name].to_numpy()
        arrays["doc"][rows] |= np.uint64(place) << np.uint64(32)
        key[rows] = coded(table["key"], known)
        counted &= "tokens" in table.column_names
        start += table.num_rows
    names = sorted(known)
    rank = np.empty(len(names), np.int32)
    rank[[known[name] for name in names]] = np.arange(len(names))
    tokens, pictures = arrays["tokens"] if counted else None, arrays.get("pictures")
    return Candidates(arrays["doc"], arrays["order"], arrays["bytes"], tokens, rank[key], names, pictures)


def scatter(store: Store, args: dict, draft: Path, counts: dict) -> None:
    """The published columns of a partition's documents, each row sent to its shard.

    counts["unique"]: the composition of the documents that are sent, each once.
    """
    types = {name: arrow_type(alias) for name, alias in args["types"].items()}
    sent = sent_to(store, [args["mix"]], args["place"], local=False)
    unique = {}
    with BinnedWriter(draft) as writer:
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
    counts |= {"bins": writer.bins, "unique": unique}


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
    sent = store.bin(store.behind(args["before"]), args["number"], [*columns, "order"])
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


def rejected(store: Store, args: dict, draft: Path, counts: dict) -> None:
    """Every document that is not released: where it comes from, the stage and the reason, and what the stage says.

    counts["examples"]: some of each reason, those of the lowest ids, which are hashes.
    """
    examples: dict[tuple, list[dict]] = {}

    def choose(block: pa.Table) -> pa.Table:
        out = block.filter(pc.and_(block[REJECT.name].is_valid(), pc.invert(_is_removed(block))))
        why = pc.split_pattern(out[REJECT.name].cast(pa.string()), ".", reverse=True, max_splits=1)
        stage, reason = pc.list_element(why, 0), pc.list_element(why, 1)
        out = out.append_column("stage", stage).append_column("reason", reason)
        shown = out.select([name for name in SHOWN if name in out.column_names]).sort_by("id")
        for kind in (
            pa.table({"stage": stage, "reason": reason}).group_by(["stage", "reason"]).aggregate([]).to_pylist()
        ):
            mask = pc.and_(pc.equal(shown["stage"], kind["stage"]), pc.equal(shown["reason"], kind["reason"]))
            more = [*examples.get(tuple(kind.values()), []), *shown.filter(mask).slice(0, EXAMPLES).to_pylist()]
            examples[tuple(kind.values())] = sorted(more, key=itemgetter("id"))[:EXAMPLES]
        return out

    _evidence(store, args, draft, counts, choose, {"stage": "string", "reason": "string"})
    counts["examples"] = [example for kind in sorted(examples) for example in examples[kind]]


def _is_removed(block: pa.Table) -> pa.ChunkedArray:
    """Which rows are out because someone asked: no evidence says where those were."""
    return pc.fill_null(pc.starts_with(block[REJECT.name].cast(pa.string()), "removed."), False)


def removed(store: Store, args: dict, draft: Path, counts: dict) -> None:
    """The record of removals, see `curate.stages.removed.RECORD`: what its lists say, and every document that is out.

    counts["removed"]: what the lock says of it.
    """
    record = removals.record_of(args["call"]["params"]["lists"])
    version = pc.fill_null(record["version"], args["version"])
    record = set_column(record, "version", version)
    for place, _ in enumerate(args["readings"]):
        for block in store.blocks(args["readings"][place]):
            out = block.filter(_is_removed(block))
            if not out.num_rows:
                continue
            columns = {
                "document": pa.repeat(True, out.num_rows),
                "id_sha256": pa.array([hashed(id) for id in out["id"].to_pylist()], pa.string()),
                "url_sha256": out["removed_url"],
                "text_sha256": out["removed_text"],
                "domain_sha256": pa.nulls(out.num_rows, pa.string()),
                "rule_sha256": out["removed_by"],
                "list": pc.utf8_slice_codeunits(out[REJECT.name].cast(pa.string()), len("removed.")),
                "version": pc.fill_null(out["removed_in"], args["version"]),
            }
            record = removals.merged(record, pa.table(columns).select(removals.RECORD.names).cast(removals.RECORD))
    with Writer(draft, level=3, content_defined=True) as writer:
        for table in _regrouped(iter([record])):
            writer.write(table)
    counts |= {"rows": record.num_rows, "removed": removals.counted(record)} | digest(draft)


def near_duplicates(store: Store, args: dict, draft: Path, counts: dict) -> None:
    """Every document that near-duplicates join with others, the kept ones too: its cluster, and what it resembles.

    counts["clusters"]: the largest, each by a document that was kept of it.
    """
    largest: dict[str, dict] = {}

    def place(row: dict) -> tuple:  # nothing that depends on the blocks seen so far
        return -row["cluster_size"], row["cluster"]

    def choose(block: pa.Table) -> pa.Table:
        found = _marked(block, "cluster")
        kept = found.filter(found["kept"])
        if kept.num_rows:
            kept = kept.sort_by("id")
            shown = [name for name in ("cluster_size", *SHOWN) if name in kept.column_names]
            first = kept.group_by("cluster", use_threads=False).aggregate([(name, "first") for name in shown])
            first = first.rename_columns(["cluster", *shown])
            first = first.sort_by([("cluster_size", "descending"), ("cluster", "ascending")])  # groups have no order
            for row in first.slice(0, CLUSTERS).to_pylist():
                largest[row["cluster"]] = min(largest.get(row["cluster"], row), row, key=itemgetter("id"))
        for row in sorted(largest.values(), key=place)[CLUSTERS:]:
            del largest[row["cluster"]]
        return found

    _evidence(store, args, draft, counts, choose, {"kept": "bool"})
    counts["clusters"] = sorted(largest.values(), key=place)


def decontamination(store: Store, args: dict, draft: Path, counts: dict) -> None:
    """Every document that has n-grams in common with an evaluation set, kept or not: with which item, and which."""
    _evidence(store, args, draft, counts, lambda block: _marked(block, "contamination"), {"kept": "bool"})


def repeated_passages(store: Store, args: dict, draft: Path, counts: dict) -> None:
    """Every document that has passages of others, kept or not: which, and where they are first."""
    _evidence(store, args, draft, counts, lambda block: _marked(block, "repeated_passages"), {"kept": "bool"})


def _marked(block: pa.Table, column: str) -> pa.Table:
    """The documents of which a column is not null, without those out on request, and whether they are `kept`."""
    if column not in block.column_names:
        return block.slice(0, 0).append_column("kept", pa.array([], pa.bool_()))
    found = block.filter(pc.and_(block[column].is_valid(), pc.invert(_is_removed(block))))
    return found.append_column("kept", found[REJECT.name].is_null())


def _evidence(store: Store, args: dict, draft: Path, counts: dict, choose, more: dict[str, str]) -> None:
    """Write what `choose` takes of each block of all partitions, with the columns of `args["types"]` and more."""
    types = {name: arrow_type(alias) for name, alias in (args["types"] | more).items()}
    rows = 0
    with Writer(draft, level=3, content_defined=True) as writer:
        blocks = (block for place, _ in enumerate(args["readings"]) for block in _with_verdict(store, args, place))
        for table in _regrouped(_chosen(blocks, choose, types)):
            rows += table.num_rows
            writer.write(table)
    counts |= {"rows": rows} | digest(draft)


def _with_verdict(store: Store, args: dict, place: int) -> Iterator[pa.Table]:
    """The blocks of a partition; what the mixture did not draw is out as well."""
    if "drawn" not in args:
        yield from store.blocks(args["readings"][place])
        return
    drawn, start = row_of(sent_to(store, [args["drawn"]], place, local=False)["doc"]), 0
    for block in store.blocks(args["readings"][place]):
        seen = np.isin(np.arange(start, start + block.num_rows, dtype=np.uint64), drawn)
        left_out = pa.array(np.where(seen, None, NOT_DRAWN), pa.string())
        reject = pc.coalesce(block[REJECT.name].cast(pa.string()), left_out)
        start += block.num_rows
        yield set_column(block, REJECT.name, reject)


def _chosen(blocks: Iterator[pa.Table], choose, types: dict[str, pa.DataType]) -> Iterator[pa.Table]:
    for block in blocks:
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
