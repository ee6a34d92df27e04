"""`curate train` for main content: what to learn from labeled pages, and how.

Each block of a page is content if at least half of its word trigrams stand in the text that people marked, or, where
they marked parts alone, if it is among these. Blocks weigh by the square root of their words, and pages all the same,
however much of them is marked.
Sites are dealt to five folds; what is said of the model was measured on sites that the measured model had not seen.
"""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from hashlib import blake2b
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Literal
from zlib import crc32

import numpy as np
from pydantic import Field

from curate.base import machine, redact
from curate.base.names import Name
from curate.base.parameters import Count, Positive
from curate.base.terminal import shown
from curate.errors import CurateError
from curate.kernels.block_names import FEATURES
from curate.kernels.block_text import kept_of
from curate.kernels.boosted_trees import LEAVES, LEVELS, NODES, packed
from curate.manifest.models import Strict
from curate.models.main_content import UNIT, MainContent, Read
from curate.models.marked_pages import MarkedPage, files_of, marked_pages
from curate.models.resources import sha256
from curate.release.pages import environment

FOLDS = 5
_UNKNOWN = -1.0
_NO_MODEL = MainContent(
    np.zeros((1, NODES), np.uint32), np.zeros((1, LEAVES), np.int16), np.zeros((1, NODES), np.int16)
)
_MOST = np.iinfo(np.int16).max


class MarkedSet(Strict):
    """Pages to learn from."""

    path: str = Field(description="path of the set, relative to the recipe's folder")
    form: Literal["parquet", "segments", "scrapinghub"] = Field(description="see `curate.models.marked_pages`")
    source: str = Field("", description="author of the set, for the card")
    license: str = Field("", description="license of the set, for the card")


class Boosting(Strict):
    """LightGBM's parameters, with its names."""

    num_iterations: Positive = Field(400, description="number of trees")
    learning_rate: float = Field(0.06, gt=0, le=1, description="weight of each tree")
    num_leaves: int = Field(40, ge=2, le=LEAVES, description="maximum number of leaves per tree")
    min_data_in_leaf: Positive = Field(40, description="minimum number of blocks per leaf")
    lambda_l2: float = Field(1.0, ge=0, le=1e6, description="regularization of the leaves")
    feature_fraction: float = Field(0.4, gt=0, le=1, description="share of the features that a tree may use")


class ContentRecipe(Strict):
    """The contents of a main-content recipe file."""

    name: Name = Field(description="name of the model")
    description: str = Field("", description="a paragraph for the card")
    license: str = Field("other", description="license of the model")
    pages: dict[Name, MarkedSet] = Field(min_length=1, description="sets of pages whose main content is labeled")
    seed: Count = Field(0, description="seed for training")
    boosting: Boosting = Field(default_factory=Boosting)


@dataclass(frozen=True)
class Learned:
    """A page as it is learned: how much of each block is content (-1: nobody knows), what each weighs."""

    page: MarkedPage
    read: Read
    content: np.ndarray
    weights: np.ndarray


def words_of(text: str | None) -> list[str]:
    return re.findall(r"\w+", text.lower()) if text else []


def word_f1(got: Iterable[str], wanted: Iterable[str]) -> tuple[float, float, float]:
    """(precision, recall, F1) of words, each as often as it stands."""
    mine, theirs = Counter(got), Counter(wanted)
    if not theirs or not mine:
        return (float(not mine and not theirs),) * 3
    both = sum((mine & theirs).values())
    precision, recall = both / mine.total(), both / theirs.total()
    return precision, recall, 2 * precision * recall / (precision + recall) if both else 0.0


def learned(page: MarkedPage) -> Learned:
    """Read a page, and say of each block whether it is main content."""
    read = _NO_MODEL.read(page.html, everything=True)
    words = [words_of(block.text) for block in read.blocks()]
    content = _of_text(words, page.text) if page.text is not None else _of_parts(words, page)
    size = np.sqrt(np.array([len(block) for block in words], np.float64) + 0.1)
    size[content == _UNKNOWN] = 0
    weights = size / max(1.0, size.sum())
    return Learned(page, read, content, weights)


def _of_text(blocks: list[list[str]], text: str) -> np.ndarray:
    """The share of each block's word trigrams that stand in a text; of fewer than four words, all or nothing."""
    gold = words_of(text)
    trigrams, line = set(zip(gold, gold[1:], gold[2:], strict=False)), f" {' '.join(gold)} "
    shares = np.zeros(len(blocks))
    for number, words in enumerate(blocks):
        if 0 < len(words) < 4:
            shares[number] = f" {' '.join(words)} " in line
        elif words:
            found = [trigram in trigrams for trigram in zip(words, words[1:], words[2:], strict=False)]
            shares[number] = sum(found) / len(found)
    return shares


def _of_parts(blocks: list[list[str]], page: MarkedPage) -> np.ndarray:
    """1 for blocks that a marked part of the content has in common, 0 for those of another part, else unknown."""
    parts = [(" ".join(words_of(part)), 1.0) for part in page.inside]
    parts += [(" ".join(words_of(part)), 0.0) for part in page.out]
    found = np.full(len(blocks), _UNKNOWN)
    for number, words in enumerate(blocks):
        line = " ".join(words)
        if line:
            verdicts = {verdict for part, verdict in parts if part and (part in line or line in part)}
            if len(verdicts) == 1:
                found[number] = verdicts.pop()
    return found


def fit(pages: Iterable[Learned], boosting: Boosting, seed: int = 0) -> MainContent:
    """Boosted trees of what is known of pages. Raises CurateError where LightGBM is not installed, or nothing known."""
    try:
        import lightgbm
    except ImportError as error:
        fix = 'pip install "curate-corpus[train]"'
        raise CurateError("LightGBM, which trains the model, is not installed", "lightgbm", fix) from error
    rows, verdicts, weights = [], [], []
    for page in pages:
        known = page.content != _UNKNOWN
        rows.append(page.read.features[known])
        verdicts.append(page.content[known] >= 0.5)
        weights.append(page.weights[known])
    if not rows or len(set(np.concatenate(verdicts).tolist())) < 2:
        raise CurateError(
            "the pages need both blocks that are main content and blocks that are not", fix="add pages with both"
        )
    weight = np.concatenate(weights)
    options = boosting.model_dump() | {
        "objective": "binary",
        "max_depth": LEVELS,
        "seed": seed,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": machine.cores(),
        "verbose": -1,
    }
    data = lightgbm.Dataset(np.vstack(rows), np.concatenate(verdicts), weight=weight / weight.mean())
    return _flattened(lightgbm.train(options, data).dump_model()["tree_info"])


def _flattened(trees: list[dict]) -> MainContent:
    """LightGBM's trees as complete ones of integers."""
    tested, bounds, means = (np.zeros((len(trees), NODES), np.int64) for _ in range(3))
    values = np.zeros((len(trees), LEAVES), np.int16)

    def place(tree: int, node: dict, at: int) -> None:
        if at < NODES:
            means[tree, at] = _leaf(node.get("internal_value", node.get("leaf_value")))
        if "split_feature" in node:
            tested[tree, at] = node["split_feature"]
            bounds[tree, at] = min(max(int(np.floor(node["threshold"])), 0), _MOST)
            place(tree, node["left_child"], 2 * at + 1)
            place(tree, node["right_child"], 2 * at + 2)
        elif at < NODES:
            bounds[tree, at] = _MOST
            place(tree, node, 2 * at + 1)
            place(tree, node, 2 * at + 2)
        else:
            values[tree, at - NODES] = _leaf(node["leaf_value"])

    for number, tree in enumerate(trees):
        place(number, tree["tree_structure"], 0)
    return MainContent(packed(tested, bounds), values, means.astype(np.int16))


def _leaf(value: float) -> int:
    return min(max(round(value * UNIT), -_MOST), _MOST)


def fold_of(page: MarkedPage) -> int:
    """The fold of a page's site."""
    return crc32(page.site.encode()) % FOLDS


def in_folds(pages: list[Learned], boosting: Boosting, seed: int) -> dict[str, str]:
    """The text of each page, {name: text}, by a model that has seen no page of its site."""
    texts = {}
    for fold in range(FOLDS):
        held = [page for page in pages if fold_of(page.page) == fold]
        if not held:
            continue
        model = fit((page for page in pages if fold_of(page.page) != fold), boosting, seed)
        for page in held:
            likely = model.likely(page.read.features)
            kept = kept_of(likely, page.read.features)
            texts[page.page.name] = replace(page.read, likely=likely, kept=kept).text()
    return texts


def metrics_of(pages: Iterable[Learned], texts: dict[str, str]) -> dict:
    """{"pages", "precision", "recall", "f1", "by_kind": {kind: f1}} of pages whose text is marked whole, means of
    pages; {"found", "left_out", "parts_f1"} of marked parts."""
    scores, kinds, counted = [], defaultdict(list), 0
    inside, out = [], []
    for page in (one.page for one in pages):
        counted += 1
        text = texts[page.name]
        if page.text is not None:
            scores.append(word_f1(words_of(text), words_of(page.text)))
            kinds[page.kind].append(scores[-1][2])
        else:
            inside += [part in text for part in page.inside]
            out += [part not in text for part in page.out]
    found: dict = {"pages": counted}
    if scores:
        names = ("precision", "recall", "f1")
        found |= {name: round(float(value), 4) for name, value in zip(names, np.mean(scores, 0), strict=True)}
        found["by_kind"] = {kind: round(float(np.mean(values)), 4) for kind, values in sorted(kinds.items())}
    if inside:
        precision, recall = sum(inside) / max(1, sum(inside) + len(out) - sum(out)), float(np.mean(inside))
        f1 = 2 * precision * recall / max(precision + recall, 1e-9)
        found |= {"found": round(recall, 4), "left_out": round(float(np.mean(out)), 4), "parts_f1": round(f1, 4)}
    return found


def read_sets(recipe: ContentRecipe, folder: Path) -> dict[str, list[Learned]]:
    """The pages of each set of a recipe, read."""
    return {
        name: [learned(page) for page in marked_pages((folder / marked.path).absolute(), marked.form)]
        for name, marked in recipe.pages.items()
    }


def identity_of(recipe: ContentRecipe, folder: Path) -> dict:
    """All that affects the model."""
    inputs = {
        name: {file.name: f"sha256:{sha256(file)}" for file in files_of((folder / marked.path).absolute(), marked.form)}
        for name, marked in recipe.pages.items()
    }
    options = recipe.model_dump(mode="json", include={"seed", "boosting"})
    versions = {name: version(name) for name in ("lightgbm", "numpy")} if find_spec("lightgbm") else {}
    features = blake2b(json.dumps(FEATURES).encode(), digest_size=16).hexdigest()
    identity = {"name": recipe.name, "inputs": inputs, "options": options, "features": features, "versions": versions}
    key = json.dumps(identity, sort_keys=True)
    return identity | {"fingerprint": blake2b(key.encode(), digest_size=16).hexdigest()}


def make(recipe: ContentRecipe, folder: Path, identity: dict, home: Path) -> None:
    """Everything in the folder of a model: `model.npz`, `metrics.json`, `README.md`, `lock.json`."""
    sets = read_sets(recipe, folder)
    pages = [page for one in sets.values() for page in one]
    texts = in_folds(pages, recipe.boosting, recipe.seed)
    metrics = {name: metrics_of(one, texts) for name, one in sets.items()}
    fit(pages, recipe.boosting, recipe.seed).save(home / "model.npz")
    sizes = {name: {"pages": len(one), "blocks": sum(len(page.content) for page in one)} for name, one in sets.items()}
    lock = identity | {"sets": sizes}
    (home / "metrics.json").write_text(json.dumps(metrics, indent=1) + "\n", encoding="utf-8")
    card = environment().get_template("main_content.md.jinja").render(recipe=recipe, lock=lock, metrics=metrics)
    (home / "README.md").write_text(shown(redact.published(card)), encoding="utf-8")
    lock |= {"files": {name: sha256(home / name) for name in ("model.npz", "metrics.json", "README.md")}}
    (home / "lock.json").write_text(json.dumps(redact.everywhere(lock), indent=1) + "\n", encoding="utf-8")
