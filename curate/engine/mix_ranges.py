"""Tasks of the mixture of many documents, by ranges of the hash line (see `curate.mix.ranges`).

order ×partitions   -> each document to its range
line ×ranges        sorts a range by key and counts its cells
quotas              from all cells to the rows that each phase takes
draw ×ranges        takes them; each to the range of its place in the phase
cut ×ranges         sorts those and cuts the shards
mix                 the totals, and which shards there are
"""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow as pa

from curate.documents import coded
from curate.engine.exchange import BinnedWriter, of_bin, sent_to
from curate.engine.planner import Planner
from curate.engine.store import Store, Writer
from curate.mix.hash_line import held_out_end, shard_count, shards_after
from curate.mix.keys import Repeats, groups_of, told_apart
from curate.mix.mixture import VALIDATION
from curate.mix.quotas import Short, Span, shares
from curate.mix.ranges import Cells, drawn_of, range_of, totals_of
from curate.mix.shortages import Shortage, no_document
from curate.mix.splits import Candidates, by_key, wanted_keys, wants_of
from curate.stage_api import set_column

ROWS = 1 << 20
"""Rows that are written at a time."""

LINE, HELD = 0, 1
"""Bins of a sorted range: what phases draw from, and what is held out."""


def plan_ranges(planner: Planner, before: str, args: dict, ranges: int) -> str:
    """Add the jobs of the mixture over what a barrier stands for. Returns the fingerprint of the last.

    args  `mixture`, `unit` and `shard_bytes`
    """

    def each(task: str, label: str, behind: str, more: dict, also: Iterable[str] = ()) -> str:
        fps = [
            planner.add(
                task,
                f"mix: {label} {number + 1}/{ranges}",
                {"before": behind, "range": number, "ranges": ranges} | more,
                [behind, *also],
            )
            for number in range(ranges)
        ]
        return planner.barrier(f"mix: {label}", fps)

    mixture, unit = args["mixture"], args["unit"]
    told = {"rehydrate": mixture["rehydrate"]} if "rehydrate" in mixture else {}
    lines = each("line", "sort range", before, {"validation": mixture["validation"], "unit": unit} | told)
    quotas = planner.add(
        "quotas", "mix: quotas", {"before": lines, "mixture": mixture, "unit": unit, "ranges": ranges}, [lines]
    )
    draws = each("draw", "draw from range", lines, {"quotas": quotas, "unit": unit}, [quotas])
    cuts = each("cut", "cut range", draws, {"shard_bytes": args["shard_bytes"]})
    return planner.add("mix", "mix", args | {"quotas": quotas, "draws": draws, "cuts": cuts}, [quotas, draws, cuts])


def line(store: Store, args: dict, draft: Path, counts: dict) -> None:
    """The documents of a range by key and then along the line; those that are held out apart.

    counts: `keys`, and of each the `rows` and `amounts` that are not held out.
    """
    sent = of_bin(store, store.behind(args["before"]), args["range"])
    documents = _gathered(sent, {}, rehydrate=args.get("rehydrate"))
    amount, row = documents.amount(args["unit"]), by_key(documents.line, documents.key)
    out = (documents.line < held_out_end(args["validation"]))[row]
    with BinnedWriter(draft, counts) as writer:
        for number, mine in ((LINE, row[~out]), (HELD, row[out])):
            _write(writer, _columns(documents), mine, np.full(len(mine), number, np.uint32))
    keys, row = len(documents.names), row[~out]
    counts |= {"keys": documents.names, "documents": len(documents.doc)}
    counts["rows"] = np.bincount(documents.key[row], minlength=keys).tolist()
    counts["amounts"] = np.bincount(documents.key[row], amount[row], keys).astype(np.int64).tolist()


def quotas(store: Store, args: dict, draft: Path, counts: dict) -> None:
    """The rows that each phase takes, counted over all ranges, and for each range the first row of each key."""
    fps = store.behind(args["before"])
    marks, choice, unit = [store.counts(fp) for fp in fps], args["mixture"], args["unit"]
    names = sorted({name for mark in marks for name in mark["keys"]})
    groups = groups_of(choice, names)
    wants, repeats = wants_of(choice, groups), Repeats.of(choice, names, groups)
    place = {name: number for number, name in enumerate(names)}
    documents, amounts = np.zeros((2, len(names), len(fps)), np.int64)
    for number, mark in enumerate(marks):
        mine = [place[name] for name in mark["keys"]]
        documents[mine, number], amounts[mine, number] = mark["rows"], mark["amounts"]

    def sizes(key: int, number: int) -> np.ndarray:
        if unit == "documents":
            return np.ones(documents[key, number], np.int64)
        first = int(documents[:key, number].sum())
        (table,) = (table for _, table in of_bin(store, [fps[number]], LINE, [unit]))
        return table[unit].slice(first, int(documents[key, number])).to_numpy()

    cells = Cells(documents, amounts, sizes)
    try:
        taken = shares(cells, cells.first[:: len(fps)], wants, repeats)
    except Short as short:
        raise Shortage(short, choice, wants, groups, unit).error from None
    for number, given in enumerate(choice["wants"]):
        if not any(span.phase == number for span in taken.spans) and (
            given["name"] or given["weights"] or given["budget"]
        ):
            raise no_document(given, taken.budgets[number], unit)
    with BinnedWriter(draft, counts) as writer:
        for number in range(len(fps)):
            bins = np.full(len(names), number, np.uint32)
            writer.write(pa.table({"base": cells.base(number), "count": documents[:, number], "bin": bins}))
    counts |= {"names": names, "wanted": wanted_keys(wants, repeats), "there": amounts.sum(axis=1).tolist()}
    counts |= {"spans": [list(span) for span in taken.spans], "budgets": taken.budgets}
    counts["weights"] = [list(map(str, weights)) for weights in taken.weights]
    counts["splits"] = [{"phase": given["name"], "split": "train"} for given in choice["wants"]]
    counts["splits"] += [{"phase": None, "split": VALIDATION}] if choice["validation"] else []


def draw(store: Store, args: dict, draft: Path, counts: dict) -> None:
    """What a range has of each split, sent to the ranges of its places in it.

    counts: `splits`, the totals of each; `sizes` and `rows`, bytes and documents of each split and range of places.
    """
    agreed, ranges, fp = store.counts(args["quotas"]), args["ranges"], store.behind(args["before"])[args["range"]]
    ((_, cells),) = of_bin(store, [args["quotas"]], args["range"])
    own, names = store.counts(fp)["keys"], {name: number for number, name in enumerate(agreed["names"])}
    documents = _gathered((pair for bin in (LINE, HELD) for pair in of_bin(store, [fp], bin)), names, own)
    count, base = cells["count"].to_numpy(), cells["base"].to_numpy()
    row, phase, place = drawn_of(documents.line, count, base, [Span(*span) for span in agreed["spans"]])
    parts = [(row[phase == number], place[phase == number]) for number in range(len(agreed["budgets"]))]
    if len(agreed["splits"]) > len(parts):
        held = np.arange(int(count.sum()), len(documents.doc))
        held = held[np.array(agreed["wanted"], bool)[documents.key[held]]]
        parts.append((held, documents.line[held]))
    amount, seen = documents.amount(args["unit"]), np.zeros(len(documents.doc), bool)
    sizes, rows = np.zeros((len(parts), ranges), np.int64), np.zeros((len(parts), ranges), np.int64)
    splits = []
    with BinnedWriter(draft, counts) as writer:
        for number, (row, place) in enumerate(parts):
            seen[row] = True
            splits.append(totals_of(documents, row, amount, len(names)))
            of, stored = range_of(place, ranges), documents.stored(row).astype(np.int64)
            rows[number] = np.bincount(of, minlength=ranges)
            sizes[number] = np.bincount(of, stored, ranges)
            columns = {"doc": documents.doc[row], "order": place, "stored": stored}
            _write(writer, columns, np.arange(len(row)), of + np.uint32(number * ranges))
    counts |= {"splits": splits, "sizes": sizes.tolist(), "rows": rows.tolist()}
    counts |= {"documents": len(documents.doc), "left_out": int((~seen).sum())}


def cut(store: Store, args: dict, draft: Path, counts: dict) -> None:
    """Of each split the documents of a range of places, in order, with their shard, back to their partitions: `doc`,
    `order`, `shard`. Shards have gaps as yet.

    counts: `shards`, [number, documents] of each.
    """
    draws, here = store.behind(args["before"]), args["range"]
    sizes, rows = _sent(store, draws)
    first, found = 0, []
    with BinnedWriter(draft, counts) as writer:
        for number, (size, count) in enumerate(zip(sizes, rows, strict=True)):
            mine = pa.concat_tables(table for _, table in of_bin(store, draws, number * args["ranges"] + here))
            order = np.argsort(mine["order"].to_numpy(), kind="stable")
            columns = {name: mine[name].to_numpy() for name in ("doc", "order")}
            shard = np.empty(len(order), np.uint32)
            total, documents, earlier = int(size.sum()), int(count.sum()), int(size[:here].sum())
            stored = mine["stored"].to_numpy()[order]
            shard[order] = shards_after(stored, earlier, total, documents, args["shard_bytes"]) + np.uint32(first)
            columns["shard"] = shard
            _write(writer, columns, order, (columns["doc"][order] >> np.uint64(32)).astype(np.uint32))
            found += zip(*(list_.tolist() for list_ in np.unique(shard, return_counts=True)), strict=True)
            first += shard_count(total, documents, args["shard_bytes"])
    counts |= {"shards": found}


def mix(store: Store, args: dict, draft: Path, counts: dict) -> None:
    """The same counts as of the mixture in one piece, and `parts`, where its documents are."""
    agreed, cuts = store.counts(args["quotas"]), store.behind(args["cuts"])
    draws = store.behind(args["draws"])
    marks, drawn = [store.counts(fp) for fp in draws], {}
    for fp in cuts:
        for number, documents in store.counts(fp)["shards"]:
            drawn[number] = drawn.get(number, 0) + documents
    used, splits, first = np.array(sorted(drawn), np.uint32), [], 0
    sizes, rows = _sent(store, draws)
    for number, split in enumerate(agreed["splits"]):
        totals = _added([mark["splits"][number] for mark in marks])
        last = first + shard_count(int(sizes[number].sum()), int(rows[number].sum()), args["shard_bytes"])
        split |= {"shards": int(np.searchsorted(used, last) - np.searchsorted(used, first))}
        split |= {unit: sum(totals[unit]) for unit in ("documents", "unique", "bytes", "tokens") if unit in totals}
        split |= {"longest": totals["longest"]} if "longest" in totals else {}
        asked = None
        if number < len(agreed["budgets"]):
            asked = list(map(Fraction, agreed["weights"][number]))
            split |= {"asked": agreed["budgets"][number], "amount": sum(totals["amount"])}
            split["unique_amount"] = sum(totals["unique_amount"])
        split["keys"] = _keys(agreed, totals, asked)
        splits.append(split)
        first = last
    with Writer(draft) as writer:
        writer.write(pa.table({"shard": used}))
    counts |= {"splits": splits, "left_out": sum(mark["left_out"] for mark in marks), "parts": cuts}
    counts |= {"documents": sum(mark["documents"] for mark in marks), "shards": len(used)}
    counts["drawn"] = [drawn[number] for number in used.tolist()]


def drawn_from(store: Store, mix: str, place: int) -> pa.Table:
    """What the mixture drew of a partition, sorted by `doc`: `doc`, `order`, `shard`."""
    parts = store.counts(mix).get("parts")
    if parts is None:
        return sent_to(store, [mix], place, local=False)
    sent, used = sent_to(store, parts, place, local=False), store.open(mix).read()["shard"].to_numpy()
    return set_column(sent, "shard", pa.array(np.searchsorted(used, sent["shard"].to_numpy()), pa.uint32()))


def _sent(store: Store, draws: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Bytes and documents of each split in each range of places: int64[splits, ranges] twice."""
    sizes, rows = 0, 0
    for fp in draws:
        mark = store.counts(fp)
        sizes, rows = sizes + np.array(mark["sizes"], np.int64), rows + np.array(mark["rows"], np.int64)
    return sizes, rows


def _added(totals: list[dict]) -> dict:
    found = {unit: np.sum([each[unit] for each in totals], axis=0).tolist() for unit in totals[0] if unit != "longest"}
    return found | ({"longest": max(each["longest"] for each in totals)} if "longest" in totals[0] else {})


def _keys(agreed: dict, totals: dict, asked: list[Fraction] | None) -> dict[str, dict]:
    found, amounts = {}, totals["amount"]
    for number, name in enumerate(agreed["names"]):
        if totals["documents"][number] or (asked and asked[number]):
            units = ("documents", "unique", "bytes", "tokens")
            found[name] = {unit: totals[unit][number] for unit in units if unit in totals}
            found[name]["share"] = round(amounts[number] / max(sum(amounts), 1), 6)
            if asked:
                found[name]["asked"] = round(float(asked[number]), 6)
                found[name]["epochs"] = round(amounts[number] / max(agreed["there"][number], 1), 4)
    return found


def _columns(documents: Candidates) -> dict[str, np.ndarray]:
    columns = {"doc": documents.doc, "order": documents.line, "bytes": documents.bytes, "code": documents.key}
    columns |= {} if documents.tokens is None else {"tokens": documents.tokens}
    return columns | ({} if documents.pictures is None else {"pictures": documents.pictures})


def _write(writer: BinnedWriter, columns: dict, row: np.ndarray, bins: np.ndarray) -> None:
    """Rows of columns, few at a time; none still carries the schema."""
    for start in range(0, max(len(row), 1), ROWS):
        mine = row[start : start + ROWS]
        table = {name: column[mine] for name, column in columns.items()}
        writer.write(pa.table(table | {"bin": bins[start : start + ROWS]}))


def _gathered(
    tables: Iterable[tuple[int, pa.Table]],
    known: dict[str, int],
    own: list[str] | None = None,
    rehydrate: list | None = None,
) -> Candidates:
    """The documents of one range.

    tables     as `order` sent them, or sorted ones, whose `code` stands for the names in `own`
    known      what numbers names get; empty: those that are there, sorted
    rehydrate  by which ranges of copies those that `order` sent are told apart
    """
    held: dict[str, list[np.ndarray]] = {}
    counted, pictured, found = True, False, dict(known)
    for place, table in tables:
        size, sent = table.num_rows, own is None
        counted, pictured = counted and "tokens" in table.column_names, pictured or "pictures" in table.column_names
        doc = table["doc"].to_numpy()
        read = {"doc": doc | np.uint64(place) << np.uint64(32) if sent else doc, "order": table["order"].to_numpy()}
        read["key"] = coded(table["key"], found) if sent else table["code"].to_numpy()
        kinds = {"bytes": np.uint32, "tokens": np.uint32, "pictures": np.int64}
        for name, kind in (kinds | ({"copies": np.int64} if rehydrate else {})).items():
            there = name in table.column_names
            read[name] = table[name].to_numpy().astype(kind) if there else np.zeros(size, kind)
        for name, column in read.items():
            held.setdefault(name, []).append(column)
    arrays = {name: np.concatenate(held.pop(name)) for name in list(held)}
    if own is None:
        key, names = told_apart(arrays["key"], found, arrays.get("copies"), rehydrate)
    else:
        key, names = np.array([known[name] for name in own], np.int32)[arrays["key"]], list(known)
    tokens, pictures = arrays["tokens"] if counted else None, arrays["pictures"] if pictured else None
    return Candidates(arrays["doc"], arrays["order"], arrays["bytes"], tokens, key, names, pictures)
