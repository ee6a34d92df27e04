"""Charts of a release, drawn by the `.svg.jinja` templates.

Static SVG: the same bytes on every machine, without measuring fonts or running a browser.
"""

from itertools import pairwise

from curate.release.pages import environment
from curate.release.typed_lock import Lock, Scheme, Stage

PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#999999")
"""Told apart by people with any color vision (Okabe and Ito 2008)."""

WIDTH = 560
"""Of the bars and of the curve, in pixels."""


def charts(lock: Lock) -> dict[str, str]:
    """{path in the release: SVG} of the charts that the lock has numbers for."""
    made = {"charts/funnel.svg": funnel_chart(lock)}
    return made | {f"charts/{stage.label}.svg": curve_chart(stage) for stage in curves(lock)}


def curves(lock: Lock) -> list[Stage]:
    """The near-duplicate stages, which have an S-curve."""
    return [stage for stage in lock.stages if stage.has_curve]


def funnel(lock: Lock) -> list[tuple[str, dict[str, int]]]:
    """Documents left: [(step, {source: documents})], from what was found to what is released."""
    left = {name: source.read.in_ for name, source in lock.sources.items()}
    steps = [("found", dict(left))]
    left |= {name: source.read.kept for name, source in lock.sources.items()}
    steps.append(("read", dict(left)))
    for stage in lock.stages:
        left |= {name: passed.kept for name, passed in stage.sources.items()}
        steps.append((stage.title, dict(left)))
    once = lock.once.get("source", {})  # repeats of the mixture are no more documents
    released = {name: once[name].documents if name in once else 0 for name in left}
    return [*steps, ("released", released)]


def funnel_chart(lock: Lock) -> str:
    """Bars of the documents left after each step that took some, in the colors of their sources."""
    steps = funnel(lock)
    shown = [steps[0]] + [step for before, step in pairwise(steps) if step[1] != before[1]]
    shown = shown if shown[-1][0] == "released" else [*shown, steps[-1]]
    most = max(sum(left.values()) for _, left in shown) or 1
    bars = []
    for name, left in shown:
        start, parts = 0, []
        for place, (source, count) in enumerate(left.items()):
            parts.append((start * WIDTH / most, count * WIDTH / most, PALETTE[place % len(PALETTE)], source, count))
            start += count
        bars.append((name if len(name) <= 30 else name[:29] + "…", parts, start, start / most))
    sources = [(PALETTE[place % len(PALETTE)], name) for place, name in enumerate(lock.sources)]
    return environment().get_template("funnel.svg.jinja").render(bars=bars, sources=sources, width=WIDTH)


def proposed(similarity: float, scheme: Scheme) -> float:
    """The chance that bands propose a pair of this Jaccard similarity (Leskovec, Rajaraman, Ullman, 3.4.2)."""
    return 1 - (1 - similarity**scheme.rows) ** scheme.bands


def curve_chart(stage: Stage) -> str:
    """The S-curve of a near-duplicate stage, with its threshold."""
    height, steps = 260, 100
    points = [(place / steps, proposed(place / steps, stage.scheme)) for place in range(steps + 1)]
    path = " ".join(f"{x * WIDTH:.1f},{(1 - y) * height:.1f}" for x, y in points)
    template = environment().get_template("curve.svg.jinja")
    threshold = stage.params["threshold"]
    chance = proposed(threshold, stage.scheme)
    return template.render(stage=stage, path=path, width=WIDTH, height=height, threshold=threshold, chance=chance)
