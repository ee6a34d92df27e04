"""The identity of a job holds what affects it, no more: for every stage and every parameter, which jobs run again."""

from functools import cache
from pathlib import Path
from typing import get_args

import numpy as np
import pyarrow as pa
import pytest
import yaml
from test_laws import PARAMS, TEXTS, first_seen

from curate.engine.job import unmade
from curate.engine.lane import text_bytes
from curate.engine.plan import Plan, make
from curate.errors import CurateError
from curate.manifest.manifest import loads
from curate.sources import File
from curate.sources.partitions import Partition, Piece
from curate.stage_api import find_stage
from curate.testing import docs, run_steps

OWN = sorted(
    path.stem
    for home in ("stages", "dedup")
    for path in (Path(__file__).parents[1] / "curate" / home).glob("*.py")
    if not path.stem.startswith("_")
)
GROUPS = [name for name in OWN if find_stage(name).kind == "group"]
BASE = {
    "annotate": {"function": "annotations:dashes", "adds": {"n_dashes": "int32"}},
    "extract": {},
    "select": {"count": 5, "order": ["-n_bytes"], "by": "url"},
    "keep_top": {"fraction": 0.3, "column": "position", "by": "source"},
}
"""Parameters to start from, where not those that the laws are tried with first."""

FORMER = "strip_urls" if "strip_urls" in OWN else "normalize"
"""A stage that stands before the one that is looked at."""

ONLY = ("max_removed",)
"""What a run holds any stage to; no stage knows of it."""

FIRST = {
    "near_dedup": {"threshold": 5, "verify": 5, "rule": 5, "keep": 4, "counts": 4, "bins": None},
    "exact_dedup": {"keep": 3, "counts": 3, "bins": None},
    "image_dedup": {"keep": 4, "bins": None},
    "line_dedup": {"min_chars": 5, "keep": 3, "bins": None},
    "substring_dedup": {"boundary": 5, "max_share": 5, "keep": 3, "bins": None},
    "bloom_dedup": {"ngram": 2, "threshold": 2, "false_positives": 2, "expected_ngrams": 2},
    "bucket": {"buckets": 2, "name": 2},
    "keep_best": {"count": 2, "bins": None},
    "keep_top": {"fraction": 2, "bins": None},
    "select": {"at_most": 3, "bins": None},
}
"""The first step of a group stage that another value of a parameter runs again, where not the first of all. None: none.
A step that is applied to documents counts as one."""

NO_BINS = {"bloom_dedup": {}, "bucket": {}}
"""Group stages that are not cut in bins of any number."""

OTHERS = {
    ("bucket", "name"): {"name": "fifths"},
    ("near_dedup", "bands"): {"bands": 16, "rows": 8},
    ("near_dedup", "rows"): {"bands": 32, "rows": 4},
    ("near_dedup", "permutations"): {"permutations": 512},
    ("near_dedup", "rule"): {"rule": "components", "verify": "none"},
    ("near_dedup", "verify"): {"verify": "signature"},
    ("near_dedup", "keep"): {"keep": ["-position"]},
    ("exact_dedup", "keep"): {"keep": ["-position"]},
    ("image_dedup", "keep"): {"keep": ["-position"]},
    ("line_dedup", "keep"): {"keep": ["-position"]},
    ("substring_dedup", "keep"): {"keep": ["-position"]},
    ("bloom_dedup", "keep"): {"keep": ["-position"]},
    ("keep_best", "order"): {"order": ["-position"]},
    ("keep_top", "column"): {"column": "n_bytes"},
    ("keep_top", "by"): {"by": "path"},
    ("select", "by"): {"by": "source"},
    ("select", "order"): {"order": ["position"]},
}
"""Another value of a parameter, where it cannot be told from its type."""


LAYOUTS = {"conversation": "messages", "keep_best": "openr1-math", "preference": "preference"}
"""Layouts of what only some rows have."""


def last_of(name: str) -> dict:
    """A stage that stands after it."""
    return {"keep_top": {"fraction": 0.5, "column": "position"}} if name != "keep_top" else {"exact_dedup": {}}


def planned(name: str, params: dict, where: str = "stages", more: tuple = ()) -> Plan:
    """A plan with the stage between two others, over a source of two partitions and one of one."""
    archive = bool({"payload"} & {*find_stage(name).reads(find_stage(name).configure(_stage_alone(params)))})
    own = {name: params} if archive else FORMER
    hashed = "image_digests" in find_stage(name).reads(find_stage(name).configure(_stage_alone(params)))
    needed = ["images"] if hashed and "images" in OWN else []
    document = {
        "name": "n",
        "version": "1.0.0",
        "license": "mit",
        "sources": {source: {"inputs": ["x"], "pipeline": [own]} for source in ("one", "two")},
        "stages": [*more, *needed, *([] if archive else [{name: params}]), last_of(name)],
    }
    format = "warc" if archive else "jsonl"
    counts = {"one": 2, "two": 1}
    options = {"layout": LAYOUTS[name]} if name in LAYOUTS else {}
    inputs = {
        source: [
            Partition(source, format, options, (Piece(File(f"{source}{n}", "/x", 9, f"sha256:{n}")),))
            for n in range(count)
        ]
        for source, count in counts.items()
    }
    return make(loads(yaml.safe_dump(document, sort_keys=False), folder=Path(__file__).parent), inputs)


@cache
def base_plan(name: str) -> Plan:
    return planned(name, base_of(name))


def _stage_alone(params: dict) -> dict:
    return {name: value for name, value in params.items() if name not in ONLY}


def base_of(name: str) -> dict:
    return BASE.get(name, PARAMS.get(name, [{}])[0])


@cache
def others(name: str) -> list:
    """(parameter, the parameters with another value of it) for all parameters of a stage that a value is found for."""
    stage, found = find_stage(name), [("max_removed", base_of(name) | {"max_removed": 0.7})]
    given = stage.configure(base_of(name))
    for parameter, field in stage.params.model_fields.items():
        if (name, parameter) == ("annotate", "source"):  # not given: the stage digests the function's file
            continue
        changes = [OTHERS[name, parameter]] if (name, parameter) in OTHERS else []
        changes += [{parameter: value} for value in guesses(given[parameter], field.annotation)]
        for change in changes:
            try:
                changed = stage.configure(base_of(name) | change)
                stage.reads(changed)
                if stage.resources_from or stage.dry:
                    planned(name, base_of(name) | change)
            except (CurateError, ValueError, OSError, LookupError):
                continue
            if changed[parameter] != given[parameter]:
                found.append((parameter, base_of(name) | change))
                break
    return found


def guesses(value, annotation) -> list:
    """Values that a parameter of this kind may have."""
    choices = [choice for part in (annotation, *get_args(annotation)) for choice in get_args(part)]
    choices = [choice for choice in choices if isinstance(choice, str)]
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int | float):
        return [value + 1, value * 0.9, value * 0.5, 0.25, value + 7]
    if isinstance(value, list):
        return [value[:-1], *([choice] for choice in choices), ["n_words"], ["de"]]
    return [*choices, 0.25, 3, None, "n_bytes"]


def rerun(before: Plan, after: Plan) -> set[str]:
    """Labels of what runs, once `before` is made, without the numbers of partitions and bins."""
    labels = {job.label for job in unmade(after.jobs.values(), before.jobs.__contains__)}
    return {" ".join(word for word in label.split() if "/" not in word) for label in labels}


@pytest.mark.parametrize("name", OWN)
def test_another_value_runs_again_what_it_affects(name):
    for parameter, params in others(name):
        check_what_runs_again(name, parameter, params)


def check_what_runs_again(name: str, parameter: str, params: dict) -> None:
    before, after = base_plan(name), planned(name, params)
    again = rerun(before, after)
    if parameter in ONLY:
        assert again == set(), parameter
        return
    assert name == FORMER or not {label for label in again if label.endswith(FORMER)}, "what stands before runs again"
    stage = find_stage(name)
    if stage.kind == "map":
        assert any(name in label for label in again), parameter
        assert {f"one {next(iter(last_of(name)))}", f"two {next(iter(last_of(name)))}", "mix"} <= again, parameter
        return
    first, count = FIRST.get(name, {}).get(parameter, 1), len(stage.steps(stage.configure(base_of(name))))
    if first is None:
        assert again == set(), parameter
        return
    numbers = {int(label.split()[1].rstrip(",")) for label in again if label.startswith(f"{name} ")}
    applied = stage.steps(stage.configure(base_of(name)))[-1][0].over == "apply"
    assert numbers == set(range(first, count + (not applied))), parameter
    assert {f"{source} {name}" for source in ("one", "two")} <= again, parameter


def test_a_value_is_tried_of_nearly_every_parameter():
    tried = {(name, parameter) for name in OWN for parameter, _ in others(name)}
    every = {(name, parameter) for name in OWN for parameter in (*find_stage(name).params.model_fields, "max_removed")}
    assert len(every - tried) < 0.2 * len(every), sorted(every - tried)
    assert not {pair for pair in every - tried if pair[0] in GROUPS}


@pytest.mark.parametrize("name", GROUPS)
def test_what_a_step_does_not_name_does_not_affect_it(name):
    """The steps before the first that names a parameter send on the same whatever its value."""
    for parameter, params in others(name):
        if parameter not in (*ONLY, "bins"):
            check_what_is_sent(name, parameter, params)


def check_what_is_sent(name: str, parameter: str, params: dict) -> None:
    first, (before, after) = FIRST.get(name, {}).get(parameter, 1), ({}, {})
    parts = [docs(*TEXTS[:7], url=[f"http://{n}.example/" for n in range(7)]), docs(*TEXTS[7:])]
    images, inputs = find_stage("images"), []
    for place, part in enumerate(parts):
        part = images(part, **images.configure({"mark": None})).drop_columns("reject")
        doc = np.arange(part.num_rows, dtype=np.uint64) | np.uint64(place) << np.uint64(32)
        part = part.set_column(part.column_names.index("n_bytes"), "n_bytes", pa.array(range(part.num_rows)))
        part = part.append_column("group", pa.array(["g"] * part.num_rows)).append_column("doc", pa.array(doc))
        inputs.append(part.append_column("priority", pa.array(np.zeros(part.num_rows, np.int32))))
    sent = []
    for given in (base_of(name), params):
        configured = find_stage(name).configure(given)
        configured |= {"bins": 3} if "bins" in configured else {}
        steps = [step for step in find_stage(name)(**configured) if step.over != "apply"]
        sent.append(run_steps(steps[: first - 1], inputs))
    before, after = sent
    sent = [[table.sort_by(_order(table)) for table in tables] for tables in (before, after)]
    assert sent[0] == sent[1], parameter


def _order(table: pa.Table) -> list[tuple[str, str]]:
    return [(column, "ascending") for column in table.column_names]


@pytest.mark.parametrize("name", GROUPS)
def test_every_step_of_ours_names_its_parameters(name):
    stage = find_stage(name)
    for step, identity in stage.steps(stage.configure(base_of(name) | NO_BINS.get(name, {"bins": 4}))):
        assert isinstance(identity["step"], str)
        assert "bins" not in identity["params"]
        assert "max_removed" not in identity["params"]
        assert stage.step(identity).func is getattr(step.run, "func", step.run)


def test_a_step_inside_a_stage_depends_on_all_parameters():
    for number, (step, identity) in enumerate(first_seen.steps({"bins": 4})):
        assert (identity["step"], identity["params"]) == (number, {"bins": 4})
        assert first_seen.step(identity).__code__ is step.run.__code__


def test_bands_that_follow_from_the_threshold_follow_it():
    asked = [planned("near_dedup", {"permutations": 128, "threshold": threshold}) for threshold in (0.8, 0.5)]
    assert "near_dedup 1, one" in rerun(*asked)


def test_the_priority_of_a_source_matters_where_copies_are_weighed():
    plain = planned("near_dedup", {})
    text = plain.manifest.text.replace("  two:\n", "  two:\n    priority: 4\n")
    inputs = {name: [lane.partition for lane in plain.lanes if lane.source == name] for name in ("one", "two")}
    again = rerun(plain, make(loads(text, folder=Path(__file__).parent), inputs))
    assert {label for label in again if label.startswith("near_dedup")} == {
        "near_dedup 4, two",
        "near_dedup 4, all",
        "near_dedup 5, bin",
        "near_dedup 5, all",
    }


def test_a_stage_added_to_one_source_leaves_the_labels_of_all_others():
    first = planned("exact_dedup", {}, more=("length",))
    text = first.manifest.text.replace(
        f"pipeline:\n    - {FORMER}", f"pipeline:\n    - {FORMER}\n    - length: 9\n    - exact_dedup", 1
    )
    inputs = {name: [lane.partition for lane in first.lanes if lane.source == name] for name in ("one", "two")}
    second = make(loads(text, folder=Path(__file__).parent), inputs)
    assert [call.label for call in second.manifest.stages] == ["length", "exact_dedup", "keep_top"]
    again = rerun(first, second)
    assert {f"one {FORMER}, length", "one exact_dedup"} <= again
    assert not {
        label
        for label in again
        if label.startswith("two") and "exact" not in label and "keep_top" not in label and "order" not in label
    }
    labels = [job.label for job in second.jobs.values()]
    assert len(set(labels)) == len(labels)


def test_a_source_that_is_added_leaves_the_parts_of_others():
    plain = planned("near_dedup", {})
    inputs = {name: [lane.partition for lane in plain.lanes if lane.source == name] for name in ("one", "two")}
    more = Partition("three", "jsonl", {}, (Piece(File("three", "/x", 9, "sha256:3")),))
    text = plain.manifest.text.replace("sources:\n", "sources:\n  three: {inputs: [x], pipeline: [strip_urls]}\n")
    again = rerun(plain, make(loads(text, folder=Path(__file__).parent), {"three": [more]} | inputs))
    assert {f"three {FORMER}", "near_dedup 1, three"} <= again
    assert not {f"one {FORMER}", f"two {FORMER}", "near_dedup 1, one", "near_dedup 1, two"} & again


def test_bins_follow_the_text_that_files_hold():
    """A file in ranges counts once, a compressed one as what is in it, an archive as the little text of its pages."""
    file = File("big.parquet", "/x", 700 << 20, "sha256:7")
    ranges = [Partition("one", "parquet", {}, (Piece(file, (n, n + 1)),)) for n in range(6)]
    plain = Piece(File("plain.jsonl", "/x", 9, "sha256:2")), Piece(File("less.jsonl.gz", "/x", 1000, "sha256:3"))
    pages = Partition("two", "warc", {}, (Piece(File("pages.warc.gz", "/x", 10_000, "sha256:4")),))
    two = [Partition("two", "jsonl", {}, plain), pages]
    plan = make(planned("near_dedup", {}).manifest, {"one": ranges, "two": two})
    assert text_bytes(plan.lanes) == (700 << 20) * 2.5 + 9 + 3 * 1000 + 0.15 * 10_000
    assert sum(job.label.startswith("near_dedup 2, bin") for job in plan.jobs.values()) == 8


def test_only_what_is_needed_of_what_is_passed_on_is_made_again():
    plan = planned("near_dedup", {"bins": 4})
    jobs = list(plan.jobs.values())
    steps = {job.fp for job in jobs if job.task in ("step", "barrier", "order")}
    assert unmade(jobs, lambda fp: fp not in steps) == []
    lost = next(job.fp for job in jobs if job.label == "two 1/1: near_dedup")
    again = unmade(jobs, lambda fp: fp not in steps | {lost})
    assert {job.fp for job in again} == {lost} | {job.fp for job in jobs if job.label.startswith("near_dedup")}
