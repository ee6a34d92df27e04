"""report.html, one page that works offline; its sections are in report.html.jinja.

Beside the tables it has the charts of `curate.release.charts`, and a script that sorts tables and shows one source
alone. Its policy lets no other script run and loads nothing, whatever the data says.
"""

import base64
import hashlib
from collections.abc import Iterator
from pathlib import Path

from markupsafe import Markup

from curate.base.phrases import size
from curate.release.accounts import funnel_counts
from curate.release.card import facts
from curate.release.charts import color, curve_chart, funnel_steps, histogram_chart
from curate.release.figures import HOSTS, Figures
from curate.release.pages import environment
from curate.release.typed_lock import Lock

STYLE, SCRIPT = (Path(__file__).with_name(f"report.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))


def render(lock: Lock, manifest: str, figures: Figures, local: dict | None = None, compared: dict | None = None) -> str:
    """The page's HTML, with its charts, styles and script inside.

    local     texts of documents, of the report of a run, which is not published: "samples" {(stage, reason): examples},
              "sides" {(stage, reason): {title: examples}}, "pairs" [near-duplicates]
    compared  what `curate.diff` says of the release before it
    """
    told = facts(lock, manifest, figures) | {
        "draw": lambda chart: Markup(histogram_chart(chart)),
        "curve": lambda stage: Markup(curve_chart(stage)),
        "local": local,
        "compared": compared,
        "steps": funnel_steps(lock),
        "color": color,
        "passed": [(place, *row[:4]) for place, row in enumerate(funnel_counts(lock), start=1)],
        "reasons": list(reasons(lock)),
        "personal": list(personal(lock)),
        "plan": list(asked_and_got(lock)),
        "most_hosts": HOSTS,
        "estimated": _estimated(figures),
        "style": Markup(STYLE),
        "script": Markup(SCRIPT),
        "script_digest": base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode(),
    }
    told["contents"] = list(_contents(told, lock))
    return environment().get_template("report.html.jinja").render(**told)


def _estimated(figures: Figures) -> str:
    if figures.sampled == figures.rows:
        return ""
    return f"; estimated from {figures.sampled:,} of {figures.rows:,} rows, a uniform sample"


def _contents(told: dict, lock: Lock) -> Iterator[tuple[str, str]]:
    """(id, title) of the sections that the page has."""
    figures = told["figures"]
    there = {
        "Signals": figures.signals,
        "Near-duplicates": told["curves"] or figures.similarity,
        "Mixture": lock.mixture and lock.mixture.notes,
        "Decontamination": told["decontaminated"],
        "Personal data": told["personal"],
        "Changes": lock.extends or lock.parent or lock.removed or told["compared"],
    }
    titles = (
        "Overview",
        "Composition",
        "Funnel",
        "Reasons",
        "Signals",
        "Near-duplicates",
        "Mixture",
        "Decontamination",
    )
    for title in (*titles, "Personal data", "Splits", "Plan", "Changes", "Inputs"):
        if there.get(title, True):
            yield title.lower().replace(" ", "-"), title


def reasons(lock: Lock) -> Iterator[tuple[str, str, str, int, int]]:
    """(source, stage, reason, documents, documents that reached the stage), the most frequent first."""
    found = [
        (source, stage, reason, count, arrived)
        for source, stage, arrived, _, why in funnel_counts(lock)
        for reason, count in why.items()
    ]
    yield from sorted(found, key=lambda row: (-row[3], row[:3]))


def personal(lock: Lock) -> Iterator[tuple[str, str, str, int]]:
    """(source, stage, kind, matches) of what the stages `pii` found in the documents that they kept."""
    for stage in lock.stages:
        if stage.stage == "pii":
            for source, passed in stage.sources.items():
                yield from ((source, stage.label, kind, count) for kind, count in sorted(passed.tally.items()))


def asked_and_got(lock: Lock) -> Iterator[tuple[str, str, str]]:
    """(setting, what was asked for, what came of it) of the limits and amounts of a manifest."""
    for split in lock.mixture.splits if lock.mixture else ():
        if split.asked is not None and lock.mixture:
            unit = lock.mixture.unit
            asked, got = (size(int(n)) if unit == "bytes" else f"{n:,.0f}" for n in (split.asked, split.amount or 0))
            yield f"{unit} of {split.name}", asked, got
    for stage in lock.stages:
        most = (stage.__pydantic_extra__ or {}).get("max_removed")
        if isinstance(most, int | float):
            lost = [(passed.in_ - passed.kept) / passed.in_ for passed in stage.sources.values() if passed.in_]
            yield f"most that {stage.title} removes of a source", f"{most:.1%}", f"{max(lost, default=0):.1%}"
    for name, source in lock.sources.items():
        missed = sum(entry.files for entry in source.not_taken)
        yield f"files of {name} read", f"{len(source.files) + missed:,}", f"{len(source.files):,}"
