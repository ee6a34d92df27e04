"""`curate train`: from a classifier recipe to a model with metrics, card and lock.

A recipe with `pages` makes a model of main content, see `train_main_content`. All others make a fastText model and say
what is good, what is not, and how to train on them. Such a recipe names sources as a manifest does, on a positive and a
negative side. Documents are sampled by hash, a share of them is held out to measure with, and the work folder gets

    classifiers/NAME/
      model.bin     the fastText model
      model.npz     collapsed to one number a row: what `quality` needs, a hundredth of the size
      metrics.json  of the documents held out
      README.md     the card
      lock.json     inputs, parameters, versions, digests

With `locked`, the default, one thread trains, and the same recipe over the same inputs gives the same bytes.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from curate.base import machine, redact
from curate.base.names import Name
from curate.base.parameters import Count, InnerShare, Large, NotTruth, Positive
from curate.base.terminal import shown
from curate.documents import hashes128, utf8
from curate.engine.damage import check_damage
from curate.engine.execute import cluster, execute
from curate.engine.job import Job
from curate.engine.plan import Plan
from curate.engine.profile import profile_of
from curate.engine.store import Damaged, Store, live_blocks
from curate.engine.weights import weigh
from curate.errors import CurateError, Stopped
from curate.manifest.allowed_code import check_code
from curate.manifest.call import Call
from curate.manifest.library import find, library
from curate.manifest.manifest import Manifest
from curate.manifest.models import Source, Spec, Strict
from curate.manifest.yaml_file import YamlFile
from curate.models.fasttext_file import MOST_BUCKETS, load_model
from curate.models.fasttext_model import collapse
from curate.models.metrics import measure
from curate.models.resources import read_text, sha256
from curate.models.train_main_content import ContentRecipe, identity_of, make
from curate.release.lock import made_before
from curate.release.make import prepare
from curate.release.pages import environment

FORMAT = 1
SIDES = ("positives", "negatives")
PREFIX = "__label__"


class Sample(Source):
    """Some documents of a source."""

    documents: Large | None = Field(None, description="number of documents to use, chosen by hash; null: all")


class Parameters(Strict):
    """fastText's parameters, with its names and defaults."""

    dim: Annotated[int, Field(ge=1, le=4096), NotTruth] = Field(100, description="dimension of the vectors")
    epoch: Annotated[int, Field(ge=1, le=10_000), NotTruth] = Field(5, description="passes over the data")
    lr: Annotated[float, Field(gt=0, le=100), NotTruth] = Field(0.1, description="initial learning rate")
    wordNgrams: Annotated[int, Field(ge=1, le=10), NotTruth] = Field(1, description="longest word n-gram")
    bucket: Annotated[int, Field(ge=0, le=MOST_BUCKETS), NotTruth] = Field(
        2_000_000, description="number of hash buckets for n-grams"
    )
    minCount: Positive = Field(1, description="minimum count of a word")
    minn: Annotated[int, Field(ge=0, le=10), NotTruth] = Field(0, description="shortest character n-gram")
    maxn: Annotated[int, Field(ge=0, le=10), NotTruth] = Field(0, description="longest character n-gram; 0: none")


class Recipe(Strict):
    """The contents of a classifier recipe file."""

    name: Name = Field(description="name of the classifier")
    description: str = Field("", description="a paragraph for the card")
    license: str = Field("other", description="license of the model")
    positives: dict[Name, Sample] = Field(min_length=1, description="sources of documents to score high")
    negatives: dict[Name, Sample] = Field(min_length=1, description="sources of documents to score low")
    labels: tuple[Name, Name] = Field(("hq", "cc"), description="the model's labels for the two sides")
    held_out: InnerShare = Field(0.1, description="share of documents held out for evaluation")
    seed: Count = Field(0, description="seed for sampling and training")
    locked: bool = Field(True, description="train on one thread, so the model is byte-identical every time")
    fasttext: Parameters = Field(default_factory=Parameters)


@dataclass(frozen=True)
class Classifier:
    """A recipe that holds. manifest: its sources and their pipelines."""

    recipe: Recipe
    manifest: Manifest


@dataclass(frozen=True)
class ContentModel:
    """A recipe of main content that holds. folder: where relative paths start."""

    recipe: ContentRecipe
    folder: Path


@dataclass(frozen=True)
class Trained:
    """The model is there. changed: whether it was made anew."""

    path: Path
    lock: dict
    metrics: dict
    changed: bool


def load(path: str | Path) -> Classifier | ContentModel:
    """Read the recipe at a path, or the one of that name that comes with curate.

    Raises ManifestError with all mistakes, CurateError if there is no such file.
    """
    path = Path(path)
    if not os.path.isfile(path):
        path = find("classifiers", str(path), Path.cwd())
    folder = Path.cwd() if path.parent == library("classifiers") else path.parent
    file = YamlFile(str(path), folder)
    text = read_text(path, "the recipe")
    value = file.parse(text)
    if isinstance(value, dict) and "pages" in value:
        content = file.validate(ContentRecipe, value)
        file.check()
        return ContentModel(content, folder.resolve())
    recipe = file.validate(Recipe, value)
    pipelines: dict[str, list[Call]] = {}
    sources: dict[str, Sample] = {}
    if recipe and not recipe.fasttext.bucket and (recipe.fasttext.wordNgrams > 1 or recipe.fasttext.maxn):
        fix = "raise `bucket`, or leave out `wordNgrams` and `maxn`"
        file.wrong(("fasttext", "bucket"), "n-grams need buckets", fix)
    for side in SIDES if recipe else ():
        for name, source in getattr(recipe, side).items():
            if name in sources:
                file.wrong((side, name), f"source `{name}` is on both sides", "rename one of them")
            file.check_source(source, (side, name))
            sources[name] = source
            pipelines[name] = file.pipeline(value[side][name], "pipeline", (side, name))
    file.check()
    spec = Spec(name=recipe.name, version="0.0.0", license=recipe.license, sources=sources)
    return Classifier(recipe, Manifest(spec, pipelines, [], folder.resolve(), path, text))


def train_events(
    recipe: Classifier | ContentModel | str | Path,
    work: str | Path = "work",
    workers: int | None = None,
    scheduler: str | None = None,
    allow_code: Iterable[str] = (),
    profile: str | Path | None = None,
) -> Iterator:
    """Train the classifier of a recipe, yielding what happens as `curate.run_events` does; the last is Trained.

    A model that already exists, of the same recipe, inputs and versions, is not trained again. Raises CurateError
    for what is wrong with the recipe, the inputs or the number of documents, Stopped where running again goes on.
    """
    classifier = load(recipe) if isinstance(recipe, str | Path) else recipe
    work = Path(work).absolute()
    if isinstance(classifier, ContentModel):
        found, folder = classifier.recipe, classifier.folder
        identity = identity_of(found, folder)
        yield _made(work, found.name, identity, lambda home: make(found, folder, identity, home))
        return
    check_code(classifier.manifest, allow_code)
    plan, store = prepare(classifier.manifest, work), Store(work / "store")
    with cluster(workers, profile_of(scheduler, profile)) as submit:
        jobs = _jobs(plan)
        yield from execute(jobs, store, submit, weigh(plan, jobs))
    check_damage(plan, store)
    identity = _identity(classifier.recipe, plan)
    yield _made(
        work, classifier.recipe.name, identity, lambda home: _make(classifier.recipe, plan, store, identity, home)
    )


def _made(work: Path, name: str, identity: dict, make: Callable[[Path], None]) -> Trained:
    """A model's folder, made if it is not there already, whole and of the same identity."""
    home = work / "classifiers" / name
    lock = made_before(home, identity["fingerprint"])
    if lock is None:
        home.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=home.parent) as draft:
            made = Path(draft) / "made"
            made.mkdir()
            make(made)
            shutil.rmtree(home, ignore_errors=True)
            made.rename(home)
    metrics = json.loads((home / "metrics.json").read_text(encoding="utf-8"))
    return Trained(home, lock or json.loads((home / "lock.json").read_text(encoding="utf-8")), metrics, lock is None)


def _jobs(plan: Plan) -> list[Job]:
    """What has to be made before the documents can be read: no release."""
    wanted = {fp for lane in plan.lanes for fp in lane.parts}
    for job in reversed(plan.jobs.values()):
        if job.fp in wanted:
            wanted.update(job.upstream)
    return [job for job in plan.jobs.values() if job.fp in wanted]


def _identity(recipe: Recipe, plan: Plan) -> dict:
    """All that affects the model."""
    sources = {}
    for side in SIDES:
        for name, sample in getattr(recipe, side).items():
            parts = [lane.parts[-1] for lane in plan.lanes if lane.source == name]
            files = {
                piece.file.path: piece.file.digest
                for lane in plan.lanes
                if lane.source == name
                for piece in lane.partition.pieces
            }
            stages = [{"label": call.label, **call.identity} for call in plan.manifest.pipelines[name]]
            asked = {"side": side, "documents": sample.documents}
            sources[name] = asked | {"files": files, "stages": stages, "parts": parts}
    options = recipe.model_dump(mode="json", include={"labels", "held_out", "seed", "locked", "fasttext"})
    versions = {name: version(name) for name in ("fasttext-community", "numpy")}
    identity = {"lock": FORMAT, "name": recipe.name, "sources": sources, "options": options, "versions": versions}
    key = json.dumps(identity, sort_keys=True)
    return identity | {"fingerprint": blake2b(key.encode(), digest_size=16).hexdigest()}


def _make(recipe: Recipe, plan: Plan, store: Store, identity: dict, home: Path) -> None:
    """Everything in the folder of a classifier."""
    from curate.models.fasttext_library import train_model

    model, lines = home / "model.bin", home / "lines.txt"
    held, counts = _write_lines(recipe, plan, store, lines)
    threads = 1 if recipe.locked else machine.cores()
    train_model(lines, model, threads=threads, seed=recipe.seed, **recipe.fasttext.model_dump())
    lines.unlink()
    small = collapse(load_model(model), recipe.labels[0])
    small.save(home / "model.npz")
    metrics = measure(small.score(*utf8(held["text"])), held["good"].to_numpy())
    (home / "metrics.json").write_text(json.dumps(metrics, indent=1) + "\n", encoding="utf-8")
    lock = redact.everywhere(identity | {"documents": counts})
    (home / "README.md").write_text(shown(redact.published(card(recipe, lock, metrics))), encoding="utf-8")
    names = ("model.bin", "model.npz", "metrics.json", "README.md")
    lock |= {"files": {name: sha256(home / name) for name in names}}
    (home / "lock.json").write_text(json.dumps(lock, indent=1) + "\n", encoding="utf-8")


def _write_lines(recipe: Recipe, plan: Plan, store: Store, path: Path) -> tuple[pa.Table, dict]:
    """Write what is trained on, a document a line, in the order of their hashes. Returns the documents held out
    (`text`, `good`: bool), and {source: {documents, taken, held_out}}."""
    trained, held, counts = [], [], {}
    for side, label in zip(SIDES, recipe.labels, strict=True):
        for name, sample in getattr(recipe, side).items():
            docs, total = _sample(plan, store, name, recipe.seed, sample.documents)
            out = pc.less(docs["low"], pa.scalar(int(recipe.held_out * 2**64), pa.uint64()))
            docs = docs.append_column("good", pa.repeat(side == "positives", docs.num_rows))
            docs = docs.append_column("label", pa.repeat(f"{PREFIX}{label} ", docs.num_rows))
            trained.append(docs.filter(pc.invert(out)))
            held.append(docs.filter(out))
            counts[name] = {"documents": total, "taken": docs.num_rows, "held_out": held[-1].num_rows}
    order = [("high", "ascending"), ("low", "ascending")]
    rows, held = pa.concat_tables(trained).sort_by(order), pa.concat_tables(held).sort_by(order)
    for table, what in ((rows, "to train on"), (held, "to evaluate on")):
        if pc.count_distinct(table["good"]).as_py() < 2:
            fix = "add documents, or change `held_out`"
            raise CurateError(f"one side has no documents {what}: {_said(counts)}", str(plan.manifest.path), fix)
    with path.open("w", encoding="utf-8") as file:
        for label, text in zip(rows["label"].to_pylist(), rows["text"].to_pylist(), strict=True):
            file.write(f"{label}{text}\n")
    return held, counts


def _sample(plan: Plan, store: Store, source: str, seed: int, most: int | None) -> tuple[pa.Table, int]:
    """The live documents of a source with text that have the lowest hashes of seed and id: (`text` as the model takes
    it, `high` and `low` words of the hash as uint64; how many documents there were)."""

    def tables(*names: str) -> Iterator[pa.Table]:
        for lane in plan.lanes:
            if lane.source == source:
                yield from live_blocks(store, lane.reading(names))

    def hashes(block: pa.Table) -> tuple[np.ndarray, np.ndarray]:
        return hashes128(pc.binary_join_element_wise(str(seed), source, block["id"], "\x1f"))

    try:
        every = [np.concatenate([np.empty(0, np.uint64), *(hashes(block)[0] for block in tables("id"))])]
        total, last = len(every[0]), np.uint64(2**64 - 1)
        if most is not None and most < total:
            last = np.partition(every[0], most - 1)[most - 1]
        chosen = []
        for block in tables("id", "text"):
            high, low = hashes(block)
            rows = pa.table({"text": _line(block["text"]), "high": high, "low": low})
            chosen.append(rows.filter(pa.array(high <= last)))
    except Damaged as error:
        store.discard(error.fp)
        raise Stopped(error.what, error.where, error.fix) from error
    return pa.concat_tables(chosen) if chosen else _NOTHING, total


_NOTHING = pa.schema([("text", pa.string()), ("high", pa.uint64()), ("low", pa.uint64())]).empty_table()


def _line(text: pa.ChunkedArray) -> pa.ChunkedArray:
    """Text as one line, and without what fastText would take for a label."""
    return pc.replace_substring(pc.replace_substring(text, "\n", " "), PREFIX, " ")


def _said(counts: dict) -> str:
    return ", ".join(f"{name} {count['taken']} of {count['documents']}" for name, count in counts.items())


def card(recipe: Recipe, lock: dict, metrics: dict) -> str:
    """The model card."""
    return environment().get_template("classifier.md.jinja").render(recipe=recipe, lock=lock, metrics=metrics)
