"""What a worker does: one function per task of the plan.

Each reads parts and writes one. `run_job` is all that a scheduler needs to know.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.documents import ARCHIVE_SCHEMA, REJECT
from curate.engine import evidence, exchange, mix_ranges, mixing, shard_tasks
from curate.engine import token_tasks as sequences
from curate.engine.apply import Configured, apply, of_type
from curate.engine.earlier_files import check_earlier
from curate.engine.exchange import BinnedWriter, for_block, globally, partition_of, sent_to
from curate.engine.guard import Guard
from curate.engine.job import Job
from curate.engine.running import Meter
from curate.engine.stage_sandbox import StageSandbox, sandboxed_blocks, watched, watched_blocks
from curate.engine.store import Store, Writer, live_blocks
from curate.errors import CurateError
from curate.mix.hash_line import held_out
from curate.models.resources import each
from curate.sources import Origin, partitions
from curate.stage_api import arrow_type, find_stage, set_column


def run_job(store: str | Path, job: Job, mode: str = "plain") -> dict:
    """Make the part of a job unless it is made already. Returns its marker.

    mode  plain     stages run in this process
          watched   the same, and this process ends itself when a stage or a reader hangs
          sandboxed  stages and readers run in processes that may be lost
    """
    store = Store(store)
    marker = store.marker(job.fp)
    if marker is None:
        args = _placed(job.args, job.where)
        with _labeled(job), store.commit(job.fp) as (draft, counts):
            counts |= {"task": job.task, "label": job.label}
            if job.task == "map":
                map_stages(store, job, args, draft, counts, mode)
            elif job.task == "earlier":
                counts["rows"] = check_earlier(Path(job.where["url"]), args)
                draft.symlink_to(job.where["url"])
            else:
                TASKS[job.task](store, args, draft, counts)
        marker = store.marker(job.fp)
    return marker


@contextmanager
def _labeled(job: Job) -> Iterator[None]:
    """Note at an error the source and the stage that it is of: `source`, `label`."""
    try:
        yield
    except CurateError as error:
        error.source = job.args.get("source")
        error.label = getattr(error, "label", None) or job.where.get("label")
        raise


def _placed(args: dict, where: dict) -> dict:
    """The args with paths of resources in place of their digests, and the part to read in place of its equal."""

    def place(value):
        return where.get(value, value) if isinstance(value, str) and value.startswith("sha256:") else value

    placed = args | {key: each(place, args[key]) for key in ("stages", "call") if key in args}
    return placed | ({"before": where.get(args["before"], args["before"])} if "before" in args else {})


def map_stages(store: Store, job: Job, args: dict, draft: Path, counts: dict, mode: str = "plain") -> None:
    """Read a partition, or its columns so far, through the map stages that stand together."""
    types = {name: arrow_type(alias) for name, alias in args["columns"].items()}
    stages = [Configured.of(stage) for stage in args["stages"]]
    counts |= {"source": args["source"], "rows": 0, "kept": 0, "kept_bytes": 0, "stages": {}}
    sandboxed, origin = StageSandbox(), Origin(args["source"])
    guard, meter = Guard({"watched": watched, "sandboxed": sandboxed}.get(mode)), Meter(store, job.fp, 1 + len(stages))

    def guarded(stage: Configured, docs: pa.Table) -> pa.Table:
        result = guard(stage, docs)
        meter.passed()
        return result

    if "reading" in args:
        blocks = _counted(store, args["reading"], origin)
    else:
        blocks = _read(args, job.where, counts, origin, mode)
    try:
        with Writer(draft) as writer, meter:
            for block in blocks:
                meter.read(block.num_rows, origin.share)
                table, counted = apply(block, stages, guarded)
                shard_tasks.add(counts["stages"], counted)
                counts["rows"] += table.num_rows
                counts["kept"] += table[REJECT.name].null_count
                if "n_bytes" in types:
                    table = set_column(table, "n_bytes", pc.binary_length(table["text"]).cast(pa.int64()))
                kept_bytes = pc.sum(table["n_bytes"].filter(table[REJECT.name].is_null())).as_py() or 0
                counts["kept_bytes"] += kept_bytes
                writer.write(_conform(table, types))
    finally:
        sandboxed.end()
    if guard.failures:
        counts["failures"] = guard.failures


def _counted(store: Store, reading: dict, origin: Origin) -> Iterator[pa.Table]:
    """The blocks of a partition that was read before, with the share of it that they are."""
    total, seen = store.counts(next(iter(reading)))["rows"], 0
    for block in store.blocks(reading):
        seen += block.num_rows
        origin.reached(seen / max(total, 1))
        yield block


def _read(args: dict, where: dict, counts: dict, origin: Origin, mode: str) -> Iterator[pa.Table]:
    """The blocks of a partition from its source, counted by file."""
    files, reasons = Counter(), Counter()
    if mode == "sandboxed":
        blocks = sandboxed_blocks(args["read"], where, origin)
    else:
        blocks = partitions.read(args["read"], where, origin)
    blocks = watched_blocks(blocks) if mode == "watched" else blocks
    first = next(blocks, ARCHIVE_SCHEMA.empty_table().append_column(REJECT.name, pa.nulls(0, pa.string())))
    for block in _chain(first, blocks):
        for path in pc.value_counts(block["path"]).to_pylist():
            files[path["values"]] += path["counts"]
        reasons.update(pc.drop_null(block[REJECT.name]).to_pylist())
        full = pc.binary_join_element_wise("read", block[REJECT.name].cast(pa.string()), ".")
        yield set_column(block, REJECT.name, full)
    counts["files"] = {path: files[path] for path, *_ in args["read"]["pieces"]}
    counts["skipped"] = dict(sorted(origin.skipped.items()))
    counts["file_reads"] = {path: asdict(found) for path, found in sorted(origin.files.items())}
    total = files.total()
    counts["read"] = {"in": total, "kept": total - reasons.total(), "reasons": dict(sorted(reasons.items()))}


def _chain(first: pa.Table, rest: Iterator[pa.Table]) -> Iterator[pa.Table]:
    yield first
    yield from rest


def _conform(table: pa.Table, types: dict[str, pa.DataType]) -> pa.Table:
    """These columns and `reject`, in this order and of these types; null where a rejected row has none."""
    columns = [
        table[name].cast(kind) if name in table.column_names else pa.nulls(table.num_rows, kind)
        for name, kind in types.items()
    ]
    reject = table[REJECT.name].combine_chunks().cast(pa.string()).dictionary_encode().cast(REJECT.type)
    schema = pa.schema([*(pa.field(name, kind) for name, kind in types.items()), REJECT])
    return pa.table([*columns, reject], schema=schema)


def step(store: Store, args: dict, draft: Path, counts: dict) -> None:
    """One step of a group stage: over a partition, a bin, or all there is. See `curate.stage_api.Step`."""
    carry_out, local = find_stage(args["call"]["stage"]).step(args["call"]), args.get("local", False)
    before = store.behind(args["before"]) if "before" in args else []
    with BinnedWriter(draft, counts) as writer:
        if args["over"] == "docs":
            sent = sent_to(store, before, args["place"], local) if before else None
            for docs in _documents(store, args):
                result = carry_out(docs) if sent is None else carry_out(docs, for_block(sent, docs))
                writer.write(_dealt(result, args["bins"]))
        elif args["over"] == "bins":
            writer.write(_dealt(carry_out(sent_to(store, before, args["bin"], local)), args["bins"]))
        else:
            sizes = np.array([store.counts(fp)["rows"] for fp in store.behind(args["heads"])], np.int64)
            tables = (globally(table, place, local) for place, table in exchange.of_all(store, before))
            for result in carry_out(tables, sizes):
                writer.write(_dealt(result, args["bins"]))


def keys(store: Store, args: dict, draft: Path, counts: dict) -> None:
    """What the index of a release keeps of a partition's documents, row by row; null where a document is out."""
    build = find_stage(args["call"]["stage"]).index.build
    with Writer(draft, "lz4", level=None) as writer:
        for block in store.blocks(args["reading"]):
            live = block[REJECT.name].is_null()
            some_out = block[REJECT.name].null_count < block.num_rows
            made = build(block.filter(live) if some_out else block, **args["call"]["params"]).select([args["column"]])
            is_live = live.to_numpy()
            writer.write(made.take(pa.array(np.cumsum(is_live) - 1, mask=~is_live)) if some_out else made)


def _documents(store: Store, args: dict) -> Iterator[pa.Table]:
    """The live rows of a partition with what the step looks at, block by block."""
    for docs in live_blocks(store, args["reading"]):
        if "priority" in args:
            priority = np.full(docs.num_rows, args["priority"], np.int32)
            if held := args.get("held"):
                priority[held_out(docs["id"], held["seed"], held["share"])] = held["priority"]
            docs = docs.append_column("priority", pa.array(priority))
        for name, alias in args["types"].items():
            if name not in docs.column_names:
                docs = docs.append_column(name, pa.nulls(docs.num_rows, arrow_type(alias)))
        yield docs


def _dealt(result: pa.Table, bins: int) -> pa.Table:
    """A step's rows with the bin (uint32) they go to: of so many by the column they have, or their documents'
    partition."""
    if not bins:
        return set_column(result, "bin", pa.array(partition_of(result["doc"])))
    key = result["bin"].to_numpy()
    return set_column(result, "bin", pa.array((key % key.dtype.type(bins)).astype(np.uint32)))


def collect(store: Store, args: dict, draft: Path, counts: dict) -> None:
    """Lay the verdicts of a group stage beside the documents of one partition, or let it change them."""
    label, types = args["label"], {name: arrow_type(alias) for name, alias in args["columns"].items()}
    change = find_stage(args["call"]["stage"]).step(args["call"]) if "call" in args else None
    sent = sent_to(store, store.behind(args["before"]), args["place"], local=False)
    count = {"in": 0, "kept": 0, "bytes": 0, "reasons": {}}
    reasons, start = Counter(), 0
    with Writer(draft) as writer:
        for block in store.blocks(args["reading"]):
            numbers = pa.array(np.arange(start, start + block.num_rows, dtype=np.uint64))
            verdicts = for_block(sent, block.append_column("doc", numbers))
            if change:
                live = block.append_column("doc", numbers).filter(block[REJECT.name].is_null())
                verdicts = change(live.drop_columns(REJECT.name), verdicts)
            found = verdicts.take(pc.index_in(numbers, verdicts["doc"].combine_chunks()))
            verdict = found[REJECT.name].cast(pa.string())
            was_out = block[REJECT.name].is_valid()
            reasons.update(pc.drop_null(verdict).to_pylist())
            reject = pc.coalesce(block[REJECT.name].cast(pa.string()), pc.binary_join_element_wise(label, verdict, "."))
            kept = reject.is_null()
            for name in types.keys() & set(block.column_names):  # what an earlier stage found stands
                found = set_column(
                    found, name, pc.coalesce(found[name].cast(types[name]), of_type(block[name], types[name]))
                )
            if "n_bytes" in types:
                found = set_column(found, "n_bytes", pc.binary_length(found["text"]).cast(pa.int64()))
            size = (found if "n_bytes" in types else block)["n_bytes"]
            count["in"] += block.num_rows - (pc.sum(was_out).as_py() or 0)
            count["kept"] += pc.sum(kept).as_py() or 0
            count["bytes"] += pc.sum(size.filter(kept)).as_py() or 0
            writer.write(_conform(set_column(found, REJECT.name, reject), types))
            start += block.num_rows
    count["reasons"] = dict(sorted(reasons.items()))
    counts |= {"source": args["source"], "rows": start, "kept": count["kept"], "kept_bytes": count["bytes"]}
    counts["stages"] = {label: count}


def barrier(store: Store, args: dict, draft: Path, counts: dict) -> None:
    """Many parts as one: a list of them."""
    with Writer(draft) as writer:
        writer.write(pa.table({"part": pa.array(args["parts"], pa.string())}))


TASKS = {
    "barrier": barrier,
    "step": step,
    "merge": exchange.merge,
    "keys": keys,
    "collect": collect,
    "order": mixing.order,
    "line": mix_ranges.line,
    "quotas": mix_ranges.quotas,
    "draw": mix_ranges.draw,
    "cut": mix_ranges.cut,
    "mix": mixing.mix,
    "scatter": shard_tasks.scatter,
    "shard": shard_tasks.shard,
    "index": shard_tasks.index,
    "tokenize": sequences.tokenize_shard,
    "pack": sequences.pack_shard,
    "removed": evidence.removed,
    "chosen": evidence.chosen,
    "joined": evidence.joined,
    **evidence.KINDS,
}
