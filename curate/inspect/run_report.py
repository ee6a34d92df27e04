"""The report of a run, with texts: what a rule took, what it nearly took, and near-duplicates side by side.

It is for the people who made the run: it goes to `work/reports/` and is not published. `curate.release.report` lays it
out.
"""

import math
from collections.abc import Iterator
from dataclasses import replace
from difflib import SequenceMatcher
from heapq import nsmallest
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curate.base.terminal import shown
from curate.documents import REJECT
from curate.engine.lane import Lane
from curate.engine.store import Store
from curate.errors import CurateError
from curate.manifest.manifest import Manifest, load
from curate.models.resources import write_text
from curate.release.diff import diff
from curate.release.fetched import PAGES, READ, Held, hold, is_published
from curate.release.figures import Figures, figures, histogram
from curate.release.make import WORK, recall
from curate.release.pages import place as where
from curate.release.report import render
from curate.release.thresholds import Bound, bounds
from curate.release.typed_lock import Lock, Shown

EACH, NEAR, PAIRS = 3, 3, 12
"""Samples of each source and reason, documents on each side of a threshold, and pairs of near-duplicates shown."""

BEGINS = 600
"""Characters of a text that are shown."""

DIFFERENT_WORDS, SAME_WORDS = 1_500, 12
"""Words of a pair that are compared, and shown of what both have before and after what differs."""

COUNTED = frozenset(["position", "n_bytes", "cluster_size", "selection_rank", "similarity"])
"""Columns of numbers that are no signals, or have a chart of their own."""


def report(place: str | Path | Manifest, work: str | Path = WORK, compare: str | Path | None = None) -> Path:
    """The report of a release or of a run, a self-contained page for the browser.

    place    a release, by its folder or hf:// address: its own `report.html`, which has no text of what is out; or a
             manifest that has run: a page in `work/reports`, with texts, which is not for publication
    compare  an earlier release: the page says what changed since. It is written to `work/reports` then, too

    Raises CurateError if there is no release, or the manifest has not run yet.

        webbrowser.open(curate.report("work/releases/web/1.0.0").absolute().as_uri())
    """
    if not is_run(place) and compare is None:
        return hold(str(place), PAGES).file("report.html")
    held, local = release_of(place, work, READ), None
    found = figures(held)
    if is_run(place):
        ran = _Ran(place, work)
        found, local = _with_all(ran, held, found), _texts(ran, held.lock)
    changes = diff(compare, held.folder if is_run(place) else str(place)) if compare else None
    page = render(held.lock, held.file("manifest.yaml").read_text(encoding="utf-8"), found, local, changes)
    path = Path(work) / "reports" / f"{held.lock.name}-{held.lock.version}.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, shown(page), private=local is not None)
    return path


def is_run(place: str | Path | Manifest) -> bool:
    """Whether this is a manifest; else it is a release."""
    return isinstance(place, Manifest) or not (is_published(place) or Path(place).is_dir())


def release_of(place: str | Path | Manifest, work: str | Path = WORK, wanted: tuple[str, ...] = PAGES) -> Held:
    """A release, or that of a manifest in a work folder. wanted: what is fetched of a published one.

    Raises CurateError where it is not written yet.
    """
    if not is_run(place):
        return hold(str(place), wanted)
    manifest = place if isinstance(place, Manifest) else load(place)
    folder = Path(work) / "releases" / manifest.name / manifest.version
    if not (folder / "lock.json").is_file():
        fix = "finish it with `curate run`; `curate status` shows how far it is"
        raise CurateError("this run has no release yet", str(folder), fix)
    return hold(folder)


class _Ran:
    """What the run of a manifest left in the work folder: its partitions, and the columns of their documents."""

    def __init__(self, place: str | Path | Manifest, work: str | Path):
        manifest = place if isinstance(place, Manifest) else load(place)
        plan = recall(manifest, work)
        self.lanes, self.store = plan.lanes, Store(Path(work) / "store")
        if any(self.store.marker(lane.parts[-1]) is None for lane in self.lanes):
            raise CurateError("this run is not complete", str(work), "finish it with `curate run`")

    def columns(self, lane: Lane, *names: str) -> pa.Table:
        """These columns of all documents of a partition, as far as it has them, with `source`, `reject` (why a document
        is out), `kept` and `row`."""
        parts = {name: lane.columns[name] for name in names if name in lane.columns} | {REJECT.name: lane.parts[-1]}
        held = pa.table({name: self.store.open(fp).read(columns=[name])[name] for name, fp in parts.items()})
        why = held[REJECT.name].cast(pa.string())
        more = {"kept": why.is_null(), "source": pa.repeat(lane.source, held.num_rows)}
        more |= {REJECT.name: why, "row": pa.array(range(held.num_rows), pa.int64())}
        return pa.table({name: held[name] for name in held.column_names if name != REJECT.name} | more)

    def document(self, lane: Lane, row: int) -> dict[str, Any]:
        """The latest value of every column of a document."""
        parts = dict.fromkeys([lane.columns[name] for name in lane.columns])
        return {
            name: value
            for fp in parts
            for name, value in self.store.row(fp, row).items()
            if lane.columns.get(name) == fp
        }

    def text_of(self, id: str) -> str:
        """The text of a document of this run, by its id."""
        for lane in self.lanes:
            found = pc.index(self.columns(lane, "id")["id"], id).as_py()
            if found >= 0:
                return self.document(lane, found)["text"]
        return ""


def _with_all(ran: _Ran, held: Held, found: Figures) -> Figures:
    """The figures of a release with the signals of all documents that were read, also those that are out."""
    limits = bounds(held.lock)
    names = sorted({name for lane in ran.lanes for name, kind in lane.types.items() if _is_number(kind)} - COUNTED)
    charts = [histogram(_column(ran, name), name, 1.0, limits.get(name, ())) for name in names]
    return replace(found, signals=[chart for chart in charts if chart])


def _is_number(kind: str) -> bool:
    return kind.startswith(("int", "uint", "float", "double"))


def _column(ran: _Ran, name: str) -> pa.Table:
    """A column of all documents, with their sources and whether they are kept."""
    held = [ran.columns(lane, name) for lane in ran.lanes if name in lane.columns]
    return pa.concat_tables(held, promote_options="permissive") if held else pa.table({})


def _texts(ran: _Ran, lock: Lock) -> dict:
    """What `curate.release.report.render` shows of the texts of documents."""
    sides = {
        (bound.stage, bound.reason): _sides(ran, column, bound)
        for column, limits in bounds(lock).items()
        for bound in limits
        if bound.cut and column not in COUNTED
    }
    return {"samples": _samples(ran), "sides": sides, "pairs": list(_pairs(ran))}


def _sides(ran: _Ran, column: str, bound: Bound) -> dict[str, list[dict]]:
    """The documents nearest to a threshold on either side of it."""
    nearest: dict[bool, list[tuple[float, str, int, int]]] = {True: [], False: []}
    for place, lane in enumerate(ran.lanes):
        if column not in lane.columns:
            continue
        held = ran.columns(lane, "id", column)
        values = pc.fill_null(held[column].cast(pa.float64()), math.nan)
        held = held.append_column("distance", pc.abs(pc.subtract(values, bound.value)))
        below = pc.less(values, bound.value) if bound.below else pc.less_equal(values, bound.value)
        for side in (True, False):
            chosen = held.filter(pc.and_(pc.equal(below, side), pc.is_finite(held["distance"])))
            keys = [("distance", "ascending"), ("id", "ascending")]
            few = chosen.take(pc.select_k_unstable(chosen, min(NEAR, chosen.num_rows), keys)).to_pylist()
            more = [(row["distance"], row["id"], place, row["row"]) for row in few]
            nearest[side] = nsmallest(NEAR, [*nearest[side], *more])
    titles = {bound.below: "Removed", not bound.below: "Passed"}
    return {
        titles[side]: [_example(ran.document(ran.lanes[place], row), column) for _, _, place, row in nearest[side]]
        for side in (True, False)
    }


def _samples(ran: _Ran) -> dict[tuple[str, str], list[dict]]:
    """{(stage, reason): examples} of what is out, those with the lowest ids, which are hashes, of each source."""
    lowest: dict[tuple[str, str], list[tuple[str, int, int]]] = {}
    for place, lane in enumerate(ran.lanes):
        held = ran.columns(lane, "id")
        for why in pc.unique(held[REJECT.name].drop_null()).to_pylist():
            if why.startswith("removed."):  # on request: nobody is shown these
                continue
            mine = held.filter(pc.equal(held[REJECT.name], why))
            few = mine.take(pc.select_k_unstable(mine, min(EACH, mine.num_rows), [("id", "ascending")])).to_pylist()
            key = (why, lane.source)
            lowest[key] = nsmallest(EACH, [*lowest.get(key, []), *((row["id"], place, row["row"]) for row in few)])
    found: dict[tuple[str, str], list[dict]] = {}
    for (why, _), documents in sorted(lowest.items()):
        stage, _, reason = why.rpartition(".")
        examples = [_example(ran.document(ran.lanes[place], row)) for _, place, row in documents]
        found.setdefault((stage, reason), []).extend(examples)
    return found


def _example(row: dict[str, Any], signal: str = "") -> dict:
    """A document as the page shows it: where it is from, and how its text begins."""
    text = row.get("text") or ""
    lines = [[(text[:BEGINS] + ("…" if len(text) > BEGINS else ""), False)]]
    made = {"source": row["source"], "place": where(_place(row)), "lines": lines}
    return made | ({"signal": signal, "value": row[signal]} if signal else {})


def _place(row: dict[str, Any]) -> Shown:
    return Shown.model_validate({name: row.get(name) for name in ("id", "source", "path", "position", "url")})


def _pairs(ran: _Ran) -> Iterator[dict]:
    """Near-duplicates, each with the document that was kept: those with the lowest ids, which are hashes."""
    lowest: list[tuple[str, int, int]] = []
    for place, lane in enumerate(ran.lanes):
        if "similarity" in lane.columns:
            held = ran.columns(lane, "id", "similarity")
            mine = held.filter(pc.and_(held["similarity"].is_valid(), pc.invert(held["kept"])))
            few = mine.take(pc.select_k_unstable(mine, min(PAIRS, mine.num_rows), [("id", "ascending")])).to_pylist()
            lowest = nsmallest(PAIRS, [*lowest, *((row["id"], place, row["row"]) for row in few)])
    for _, place, row in lowest:
        document = ran.document(ran.lanes[place], row)
        yield {
            "source": document["source"],
            "place": where(_place(document)),
            "similarity": document["similarity"],
            "kept_id": document["duplicate_of"],
            "diff": list(_differences(ran.text_of(document["duplicate_of"] or ""), document["text"] or "")),
        }


def _differences(old: str, new: str) -> Iterator[tuple[str, str]]:
    """("=" in both, "-" only in the first, "+" only in the second; words), long stretches of "=" cut short."""
    first, second = (text.split()[:DIFFERENT_WORDS] for text in (old, new))
    for kind, a, b, c, d in SequenceMatcher(None, first, second, autojunk=False).get_opcodes():
        if kind == "equal":
            words = first[a:b]
            cut = len(words) > 2 * SAME_WORDS
            yield "=", " ".join([*words[:SAME_WORDS], "…", *words[-SAME_WORDS:]] if cut else words)
            continue
        yield from ((sign, " ".join(words)) for sign, words in (("-", first[a:b]), ("+", second[c:d])) if words)
