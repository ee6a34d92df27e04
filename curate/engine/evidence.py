"""Tasks that write evidence: what is not released and why, what resembles what, what was removed on request."""

from collections.abc import Iterator
from operator import itemgetter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.documents import REJECT, hashed
from curate.engine.exchange import row_of
from curate.engine.mix_ranges import drawn_from
from curate.engine.shard_tasks import GROUP_ROWS, digest
from curate.engine.store import Store, Writer
from curate.stage_api import arrow_type, set_column
from curate.stages import removed as removals

EXAMPLES, CLUSTERS = 3, 10
"""How many rejected documents of each reason, and how many clusters of near-duplicates, the report shows."""

SHOWN = ("id", "source", "path", "position", "url", "stage", "reason")
"""What it shows of a document: where it is from, never its text."""

NOT_DRAWN = "mixture.not_drawn"
"""Why a document that all stages kept is not released."""


def chosen(store: Store, args: dict, draft: Path, counts: dict) -> None:
    """The evidence of some partitions, for `joined`. args: those of the task that `kind` names; `first`, the place of
    the first partition."""
    KINDS[args["kind"]](store, args, draft, counts)


def joined(store: Store, args: dict, draft: Path, counts: dict) -> None:
    """Evidence of groups of partitions as one file: the same bytes and counts as of all partitions at once."""
    marks = [store.counts(fp) for fp in args["parts"]]
    with Writer(draft, level=3, content_defined=True) as writer:
        for table in _regrouped(table for _, table in store.stream(args["parts"])):
            writer.write(table)
    counts |= {"rows": sum(mark["rows"] for mark in marks)} | digest(draft)
    if "examples" in marks[0]:
        examples: dict[tuple, list[dict]] = {}
        for example in (example for mark in marks for example in mark["examples"]):
            examples.setdefault((example["stage"], example["reason"]), []).append(example)
        counts["examples"] = [one for kind in sorted(examples) for one in _first(examples[kind])]
    if "clusters" in marks[0]:
        largest: dict[str, dict] = {}
        for row in (row for mark in marks for row in mark["clusters"]):
            largest[row["cluster"]] = min(largest.get(row["cluster"], row), row, key=itemgetter("id"))
        counts["clusters"] = sorted(largest.values(), key=_rank)[:CLUSTERS]


def _first(examples: list[dict]) -> list[dict]:
    return sorted(examples, key=itemgetter("id"))[:EXAMPLES]


def _rank(cluster: dict) -> tuple:
    """By size, and by nothing that depends on the blocks seen so far."""
    return -cluster["cluster_size"], cluster["cluster"]


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
            examples[tuple(kind.values())] = _first(more)
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
        for row in sorted(largest.values(), key=_rank)[CLUSTERS:]:
            del largest[row["cluster"]]
        return found

    _evidence(store, args, draft, counts, choose, {"kept": "bool"})
    counts["clusters"] = sorted(largest.values(), key=_rank)


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
        blocks = (block for number, _ in enumerate(args["readings"]) for block in _with_verdict(store, args, number))
        for table in _regrouped(_chosen(blocks, choose, types)):
            rows += table.num_rows
            writer.write(table)
    counts |= {"rows": rows} | digest(draft)


def _with_verdict(store: Store, args: dict, number: int) -> Iterator[pa.Table]:
    """The blocks of a partition; what the mixture did not draw is out as well."""
    if "drawn" not in args:
        yield from store.blocks(args["readings"][number])
        return
    drawn, start = row_of(drawn_from(store, args["drawn"], args.get("first", 0) + number)["doc"]), 0
    for block in store.blocks(args["readings"][number]):
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


KINDS = {
    "rejected": rejected,
    "near_duplicates": near_duplicates,
    "decontamination": decontamination,
    "repeated_passages": repeated_passages,
}
"""Tasks that can be done for some partitions at a time."""
