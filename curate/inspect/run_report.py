"""The report of a run, with texts: what a rule took, what it nearly took, and near-duplicates side by side.

It is for the people who made the run: it goes to `work/reports/` and is not published. `curate.release.report` lays it
out.
"""

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
from curate.errors import CurateError
from curate.inspect.followed import Work
from curate.inspect.marked_text import excerpt
from curate.inspect.released import is_release
from curate.inspect.sample import sample
from curate.manifest.manifest import Manifest, load
from curate.models.resources import write_text
from curate.release.diff import diff
from curate.release.fetched import PAGES, READ, Held, hold
from curate.release.figures import Figures, figures, histogram
from curate.release.make import WORK
from curate.release.pages import place as where
from curate.release.report import render
from curate.release.thresholds import bounds
from curate.release.typed_lock import Lock, Shown
from curate.stages._bounds import MEASURED, bounds_of, measured

EACH, NEAR, PAIRS = 3, 6, 12
"""Samples of each source and reason, documents near each threshold, and pairs of near-duplicates that are shown."""

MEASURED_DOCUMENTS = 5_000
"""Documents whose signals are measured, of stages that keep none of them."""

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
        ran = Work(place, work, whole=True)
        found, local = _with_all(ran, held, found), _texts(ran, held.lock, work)
    changes = diff(compare, held.folder if is_run(place) else str(place)) if compare else None
    page = render(held.lock, held.file("manifest.yaml").read_text(encoding="utf-8"), found, local, changes)
    path = Path(work) / "reports" / f"{held.lock.name}-{held.lock.version}.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, shown(page), private=local is not None)
    return path


def is_run(place: str | Path | Manifest) -> bool:
    """Whether this is a manifest; else it is a release."""
    return isinstance(place, Manifest) or not (is_release(place) or Path(place).is_dir())


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


def _with_all(ran: Work, held: Held, found: Figures) -> Figures:
    """The figures of a release with the signals of all documents that were read, also those that are out."""
    limits = bounds(held.lock)
    names = sorted({name for lane in ran.lanes for name, kind in lane.types.items() if _is_number(kind)} - COUNTED)
    charts = [histogram(_column(ran, name), name, 1.0, limits.get(name, ())) for name in names]
    charts += [
        chart
        for stage in dict.fromkeys(stage.title for stage in held.lock.stages if stage.stage in MEASURED)
        for chart in _measured(ran, held.lock, stage)
    ]
    return replace(found, signals=[chart for chart in charts if chart])


def _is_number(kind: str) -> bool:
    return kind.startswith(("int", "uint", "float", "double"))


def _column(ran: Work, name: str) -> pa.Table:
    """A column of all documents, with their sources and whether they are kept."""
    held = [_of_lane(ran, lane, name) for lane in ran.lanes if name in lane.columns]
    return pa.concat_tables(held, promote_options="permissive") if held else pa.table({})


def _of_lane(ran: Work, lane: Lane, *names: str) -> pa.Table:
    held = ran.columns(lane, [*names, REJECT.name])
    made = held.append_column("kept", held[REJECT.name].is_null())
    return made.append_column("source", pa.repeat(lane.source, held.num_rows))


def _measured(ran: Work, lock: Lock, title: str) -> Iterator[Any]:
    """Histograms of the signals of a stage that keeps none of them, measured on some documents that reached it."""
    stage = next(stage for stage in lock.stages if stage.title == title)
    tables, reached, taken = [], 0, 0
    for lane in ran.lanes:
        labels = [call.label for scope, call in ran.plan.manifest.calls if scope in ("", lane.source)]
        if stage.scope not in ("all", lane.source) or stage.label not in labels:
            continue
        held = _of_lane(ran, lane, "id", "text")
        verdict = pc.replace_substring_regex(held[REJECT.name].cast(pa.string()), r"\.[^.]*$", "")
        later = pa.array(labels[labels.index(stage.label) :], pa.string())
        held = held.filter(pc.or_(held["kept"], pc.fill_null(pc.is_in(verdict, later), False)))
        few = pc.select_k_unstable(held, min(max(MEASURED_DOCUMENTS - taken, 0), held.num_rows), [("id", "ascending")])
        reached, taken = reached + held.num_rows, taken + len(few)
        tables += [held.take(few)] if len(few) else []
    if not tables:
        return
    held = pa.concat_tables(tables)
    found = bounds(lock).items()
    limits = {name: mine for name, all in found if (mine := [one for one in all if one.stage == title])}
    values = measured(held["text"], stage.stage, stage.params)
    for name in limits:
        if name in values:
            table = held.select(["source", "kept"]).append_column(name, values[name])
            chart = histogram(table, name, reached / max(taken, 1), limits[name])
            yield chart and replace(chart, name=f"{title}: {name}")


def _texts(ran: Work, lock: Lock, work: str | Path) -> dict:
    """What `curate.release.report.render` shows of the texts of documents."""
    manifest = ran.plan.manifest
    sides = {}
    for stage in lock.stages:
        source = None if stage.scope == "all" else stage.scope
        for bound in bounds_of(stage.stage, stage.params):
            took = sum(passed.reasons.get(bound.reason, 0) for passed in stage.sources.values())
            if not took or bound.limit(stage.params) is None or stage.stage == "near_dedup":
                continue
            rows = sample(manifest, work, near=f"{stage.label}.{bound.parameter}", source=source, limit=NEAR)
            why = (stage.label, bound.reason)
            out = [_example(row, bound.signal) for row in rows if (row["stage"], row["reason"]) == why]
            kept = [_example(row, bound.signal) for row in rows if (row["stage"], row["reason"]) != why]
            sides[stage.title, bound.reason] = {"Removed": out, "Passed": kept}
    paired = any(stage.stage == "near_dedup" for stage in lock.stages)
    pairs = sample(manifest, work, pairs=True, limit=PAIRS) if paired else []
    return {"samples": _samples(ran), "sides": sides, "pairs": [_pair(row) for row in pairs if row.get("kept")]}


def _samples(ran: Work) -> dict[tuple[str, str], list[dict]]:
    """{(stage, reason): examples} of what is out, those with the lowest ids, which are hashes, of each source."""
    lowest: dict[tuple[str, str], list[tuple[str, int, int]]] = {}
    for place, lane in enumerate(ran.lanes):
        held = ran.columns(lane, ["id", REJECT.name])
        out = held.append_column("row", pa.array(range(held.num_rows), pa.int64()))
        out = out.filter(held[REJECT.name].is_valid())
        for why in pc.unique(out[REJECT.name]).to_pylist():
            mine = out.filter(pc.equal(out[REJECT.name], why))
            few = mine.take(pc.select_k_unstable(mine, min(EACH, mine.num_rows), [("id", "ascending")])).to_pylist()
            key = (str(why), lane.source)
            more = [*lowest.get(key, []), *((row["id"], place, row["row"]) for row in few)]
            lowest[key] = nsmallest(EACH, more)
    found: dict[tuple[str, str], list[dict]] = {}
    for (why, _), documents in sorted(lowest.items()):
        if why.startswith("removed."):  # on request: nobody is shown these
            continue
        stage, _, reason = why.rpartition(".")
        for _, place, row in documents:
            followed = ran.follow(ran.lanes[place], row)
            marks = [list(mark) for mark in followed.causes().marks]
            found.setdefault((stage, reason), []).append(_example(followed.values | {"marks": marks}))
    return found


def _example(row: dict[str, Any], signal: str = "") -> dict:
    """A document as the page shows it: where it is from, and what is around the cause in its text."""
    lines = excerpt(row.get("text") or "", row.get("marks") or [])
    made = {"source": row["source"], "place": where(_place(row)), "lines": lines}
    value = next((one["value"] for one in row.get("signals", ()) if one["signal"] == signal), None)
    return made if value is None else made | {"signal": signal, "value": value}


def _place(row: dict[str, Any]) -> Shown:
    return Shown.model_validate({name: row.get(name) for name in ("id", "source", "path", "position", "url")})


def _pair(row: dict[str, Any]) -> dict:
    kept = row["kept"]
    return {
        "source": row["source"],
        "place": where(_place(row)),
        "similarity": kept["similarity"] or 0.0,
        "kept_id": kept["id"],
        "diff": list(_differences(kept["text"] or "", row["text"] or "")),
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
