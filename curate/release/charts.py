"""Charts of a release, drawn by the `.svg.jinja` templates.

Static SVG: the same bytes on every machine, without measuring fonts or running a browser. Colors are CSS variables of
the report; their fallbacks are those of a chart in a file of its own.
"""

import math
from itertools import pairwise

import numpy as np

from curate.release.figures import Figures, Histogram
from curate.release.pages import environment
from curate.release.typed_lock import Lock, Scheme, Stage

PALETTE = ("#0072B2", "#C45100", "#008A65", "#B3508A", "#7A6A00", "#6A5ACD", "#00829B", "#767676")
"""Told apart by people with any color vision, each with a contrast of 3 at least on white and on dark paper."""

WIDTH = 560
"""Of the bars of the funnel, in pixels."""

CURVE_WIDTH, CURVE_HEIGHT = 380, 180
BARS_WIDTH, BARS_HEIGHT = 340, 120
"""Of the S-curve and of a histogram."""


def charts(lock: Lock, figures: Figures) -> dict[str, str]:
    """{path in the release: SVG} of the charts that there are numbers for."""
    made = {"charts/funnel.svg": funnel_chart(lock)}
    made |= {f"charts/{stage.label}.svg": curve_chart(stage) for stage in curves(lock)}
    shown = {"lengths": figures.lengths[0] if figures.lengths else None, "similarity": figures.similarity}
    return made | {f"charts/{name}.svg": histogram_chart(chart) for name, chart in shown.items() if chart}


def curves(lock: Lock) -> list[Stage]:
    """The near-duplicate stages, which have an S-curve."""
    return [stage for stage in lock.stages if stage.has_curve]


def funnel(lock: Lock) -> list[tuple[str, dict[str, int]]]:
    """Documents left: [(step, {source: documents})], from what was found to what is released, which never rises.

    Documents of the release that this one extends went through the funnel of that one, and the repeats of a mixture are
    no more documents: neither counts here.
    """
    left = {name: source.read.in_ for name, source in lock.sources.items()}
    steps = [("found", dict(left))]

    def step(name: str, now: dict[str, int]) -> None:
        left.update({source: min(left[source], count) for source, count in now.items() if source in left})
        steps.append((name, dict(left)))

    step("read", {name: source.read.kept for name, source in lock.sources.items()})
    for stage in lock.stages:
        step(stage.title, {name: passed.kept for name, passed in stage.sources.items()})
    once = lock.kept if lock.extends else lock.once.get("source", {})  # an extending release takes all that is kept
    step("released", {name: once[name].documents if name in once else 0 for name in left})
    return steps


def funnel_steps(lock: Lock) -> list[tuple[str, dict[str, int]]]:
    """The steps of the funnel that took some, with the first and the last."""
    steps = funnel(lock)
    shown = [steps[0]] + [step for before, step in pairwise(steps) if step[1] != before[1]]
    return shown if shown[-1][0] == "released" else [*shown, steps[-1]]


def funnel_chart(lock: Lock) -> str:
    """Bars of the documents left after each step that took some, in the colors of their sources."""
    shown = funnel_steps(lock)
    most = max(sum(left.values()) for _, left in shown) or 1
    bars = []
    for name, left in shown:
        start, parts = 0, []
        for place, (source, count) in enumerate(left.items()):
            parts.append((start * WIDTH / most, count * WIDTH / most, color(place), source, count))
            start += count
        bars.append((name if len(name) <= 30 else name[:29] + "…", parts, start, start / most))
    sources = [(color(place), name) for place, name in enumerate(lock.sources)]
    return environment().get_template("funnel.svg.jinja").render(bars=bars, sources=sources, width=WIDTH)


def color(place: int) -> str:
    """The color of a source, by its place among them."""
    return PALETTE[place % len(PALETTE)]


def proposed(similarity: float, scheme: Scheme) -> float:
    """The chance that bands propose a pair of this Jaccard similarity (Leskovec, Rajaraman, Ullman, 3.4.2)."""
    return 1 - (1 - similarity**scheme.rows) ** scheme.bands


def curve_chart(stage: Stage) -> str:
    """The S-curve of a near-duplicate stage, with its threshold."""
    points = [(place / 100, proposed(place / 100, stage.scheme)) for place in range(101)]
    threshold = stage.params["threshold"]
    told = {
        "path": " ".join(f"{x * CURVE_WIDTH:.1f},{(1 - y) * CURVE_HEIGHT:.1f}" for x, y in points),
        "threshold": threshold,
        "chance": proposed(threshold, stage.scheme),
    }
    template = environment().get_template("curve.svg.jinja")
    return template.render(stage=stage, width=CURVE_WIDTH, height=CURVE_HEIGHT, **told)


def histogram_chart(chart: Histogram) -> str:
    """Bars of the documents by a number, the ones that are out above the kept, with the thresholds as lines."""
    kept, out = chart.kept, chart.out
    most = max(max(map(sum, zip(kept, out, strict=True))), 1)
    step = BARS_WIDTH / len(kept)
    bars, above = [], []
    for place, (inside, outside) in enumerate(zip(kept, out, strict=True)):
        label = f"{short(chart.edges[place])} to {short(chart.edges[place + 1])}: {inside:,} kept, {outside:,} removed"
        high, higher = inside * BARS_HEIGHT / most, outside * BARS_HEIGHT / most
        bars.append((place * step, BARS_HEIGHT - high, high, label))
        above.append((place * step, BARS_HEIGHT - high - higher, higher, label))
    told = {
        "bars": bars,
        "above": above if any(out) else [],
        "lines": [(_across(chart, bound.value), bound) for bound in chart.bounds if _shown(chart, bound.value)],
        "ticks": [(_across(chart, value), short(value)) for value in ticks(chart)],
        "most": most,
    }
    template = environment().get_template("histogram.svg.jinja")
    return template.render(chart=chart, step=step, width=BARS_WIDTH, height=BARS_HEIGHT, **told)


def _shown(chart: Histogram, value: float) -> bool:
    """Whether a value lies on the scale."""
    return chart.edges[0] <= value <= chart.edges[-1]


def _across(chart: Histogram, value: float) -> float:
    """Where a value lies on the scale, in pixels."""
    edges = np.log(np.maximum(chart.edges, 1e-300)) if chart.log else np.asarray(chart.edges)
    value = math.log(max(value, 1e-300)) if chart.log else value
    return float(np.interp(value, edges, np.linspace(0, BARS_WIDTH, len(edges))))


def ticks(chart: Histogram) -> list[float]:
    """Round numbers along the scale, seven at most."""
    first, last = chart.edges[0], chart.edges[-1]
    if chart.log:
        powers = range(math.ceil(math.log10(first) - 1e-9), math.floor(math.log10(last) + 1e-9) + 1)
        found = [10.0**power for power in powers]
        return found[:: len(found) // 7 + 1] if len(found) > 1 else [first, last]
    rough = (last - first) / 5
    size = 10 ** math.floor(math.log10(rough))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= rough * 0.999)
    step = max(step, 1) if chart.whole else step
    return [place * step for place in range(math.ceil(first / step), math.floor(last / step + 1e-9) + 1)][:7]


def short(value: float) -> str:
    """`1.2k`, `0.05`, `3M`: a number on a scale."""
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= max(size, 1e4):
            return f"{value / size:.3g}{unit}"
    return f"{value:.4g}"
