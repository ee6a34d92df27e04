"""Assign documents to splits and shards: which are held out, which are drawn, and how often."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from curate.mix.curve import exact
from curate.mix.hash_line import cut, held_out_end, shuffled
from curate.mix.keys import Repeats, groups_of
from curate.mix.mixture import VALIDATION
from curate.mix.quotas import Short, Want, draw
from curate.mix.shortages import Shortage, no_document


@dataclass(frozen=True)
class Candidates:
    """All live documents, 24 to 28 bytes each.

    doc     uint64[n], what stands for each one in the store
    line    uint64[n], places on the hash line
    bytes   uint32[n], of text
    tokens  uint32[n], or None if they were not counted
    key     int32[n], places in `names`
    names   of the keys, sorted
    pictures  int64[n], bytes of pictures, by which shards are cut too, or None where there are none
    """

    doc: np.ndarray
    line: np.ndarray
    bytes: np.ndarray
    tokens: np.ndarray | None
    key: np.ndarray
    names: list[str]
    pictures: np.ndarray | None = None

    def stored(self, row: np.ndarray) -> np.ndarray:
        """Bytes of text and pictures of these rows."""
        return self.bytes[row] if self.pictures is None else self.bytes[row] + self.pictures[row]

    def amount(self, unit: str) -> np.ndarray:
        """What each document counts for, in a unit."""
        return {"bytes": self.bytes, "tokens": self.tokens, "documents": np.ones(len(self.doc), np.uint8)}[unit]


@dataclass(frozen=True)
class Composed:
    """What is released: a row for each time a document is, sorted by shard and place in it.

    row, place, shard  int64[m] into the documents, uint64[m], uint32[m] counted through all splits
    splits             for each split in the order of its shards: what it is, and its totals by key
    left_out           documents that are in no split
    """

    row: np.ndarray
    place: np.ndarray
    shard: np.ndarray
    splits: list[dict]
    left_out: int


def compose(documents: Candidates, choice: dict, unit: str, shard_bytes: int) -> Composed:
    """Draw the phases and cut their shards.

    choice  `Mixture.choice()`
    unit    tokens, bytes or documents: what budgets, weights and shares are measured in

    Raises CurateError for a weight of nothing, a key with too little, and a phase without documents.
    """
    names, key, groups = documents.names, documents.key, groups_of(choice, documents.names)
    wants, repeats = wants_of(choice, groups), Repeats.of(choice, names, groups)
    line = by_key(documents.line, key)
    out = (documents.line < held_out_end(choice["validation"]))[line]
    held, line = line[out], line[~out]
    amount = documents.amount(unit)
    start = np.searchsorted(key[line], np.arange(len(names) + 1))
    try:
        drawn = draw(amount[line], start, wants, repeats)
    except Short as short:
        raise Shortage(short, choice, wants, groups, unit).error from None
    there = np.bincount(key[line], amount[line], len(names))
    wanted = np.array(wanted_keys(wants, repeats), bool)
    rows, places, shards, splits = [], [], [], []

    def add(split: dict, row: np.ndarray, place: np.ndarray) -> None:
        order = np.argsort(place, kind="stable")
        rows.append(row[order])
        places.append(place[order])
        shard = cut(documents.stored(rows[-1]), shard_bytes)
        first = sum(split["shards"] for split in splits)
        shards.append(shard + np.uint32(first))
        split |= {"shards": int(shard[-1]) + 1 if len(shard) else 0} | _totals(documents, row)
        splits.append(split)

    for number, given in enumerate(choice["wants"]):
        mine = drawn.phase == number
        row = line[drawn.row[mine]]
        if not len(row) and (given["name"] or given["weights"] or given["budget"]):
            raise no_document(given, drawn.budgets[number], unit)
        add(
            {"phase": given["name"], "split": "train"},
            row,
            shuffled(documents.line[row], drawn.phase[mine], drawn.copy[mine]),
        )
        asked = drawn.weights[number]
        total = int(amount[row].sum(dtype=np.int64))
        once = int(amount[_distinct(documents, row)].sum(dtype=np.int64))
        splits[-1] |= {"asked": drawn.budgets[number], "amount": total, "unique_amount": once}
        splits[-1]["keys"] = _keys(documents, names, key, row, amount, asked, there)
    if choice["validation"]:
        held = held[wanted[key[held]]]
        add({"phase": None, "split": VALIDATION}, held, documents.line[held])
        splits[-1]["keys"] = _keys(documents, names, key, held, amount)
    row = np.concatenate(rows)
    left_out = len(documents.doc) - len(_distinct(documents, row))
    return Composed(row, np.concatenate(places), np.concatenate(shards), splits, left_out)


def _distinct(documents: Candidates, row: np.ndarray) -> np.ndarray:
    """int64[k]: these rows, each once, ascending. By a flag a document, several times as fast as `np.unique`."""
    seen = np.zeros(len(documents.doc), bool)
    seen[row] = True
    return np.flatnonzero(seen)


def by_key(line: np.ndarray, key: np.ndarray) -> np.ndarray:
    """uint32[n]: the documents by key, then along the line."""
    order = np.argsort(line, kind="stable").astype(np.uint32)
    return order[np.argsort(key[order], kind="stable")]


def wants_of(choice: dict, groups: list[str]) -> list[Want]:
    """What each phase of `Mixture.choice()` asks for, of groups with these names."""
    return [_want(given, groups) for given in choice["wants"]]


def wanted_keys(wants: list[Want], repeats: Repeats) -> list[bool]:
    """Of which keys any phase may take documents, and the held-out split too."""
    return [
        bool(rate) and any(want.weights is None or want.weights[group] > 0 for want in wants)
        for group, rate in zip(repeats.group, repeats.rate, strict=True)
    ]


def _want(given: dict, names: list[str]) -> Want:
    weights = {name: exact(weight) for name, weight in given["weights"].items()}
    total = sum(weights.values(), Fraction(0))
    shares = tuple(weights.get(name, Fraction(0)) / total for name in names) if weights else None
    return Want(shares, given["budget"], given["again"])


def _totals(documents: Candidates, row: np.ndarray) -> dict:
    """Documents as often as drawn and each once, bytes and tokens of these rows, tokens of the longest."""
    totals = {
        "documents": len(row),
        "unique": len(_distinct(documents, row)),
        "bytes": int(documents.bytes[row].sum(dtype=np.int64)),
    }
    if documents.tokens is not None:
        tokens = documents.tokens[row]
        totals |= {"tokens": int(tokens.sum(dtype=np.int64)), "longest": int(tokens.max(initial=0))}
    return totals


def _keys(documents, names, key, row, amount, asked=None, there=None) -> dict[str, dict]:
    """{key: its totals among these rows}: with the share asked for, the share it has, and how many epochs that is."""
    of = key[row]
    counts = {"documents": np.bincount(of, minlength=len(names))}
    counts["unique"] = np.bincount(key[_distinct(documents, row)], minlength=len(names))
    counts["bytes"] = _sums(of, documents.bytes[row], names)
    if documents.tokens is not None:
        counts["tokens"] = _sums(of, documents.tokens[row], names)
    amounts = _sums(of, amount[row], names)
    found = {}
    for number, name in enumerate(names):
        if counts["documents"][number] or (asked and asked[number]):
            found[name] = {unit: int(count[number]) for unit, count in counts.items()}
            found[name]["share"] = round(float(amounts[number] / max(amounts.sum(), 1)), 6)
            if asked:
                found[name]["asked"] = round(float(asked[number]), 6)
                found[name]["epochs"] = round(float(amounts[number] / max(there[number], 1)), 4)
    return found


def _sums(key: np.ndarray, amount: np.ndarray, names: list[str]) -> np.ndarray:
    return np.bincount(key, amount, len(names))  # exact: float64 holds integers to 2**53
