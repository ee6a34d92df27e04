"""The model that separates the main content of web pages from the rest, block by block.

    read = MainContent.load().read(page)  # UTF-8
    read.text()  # of the blocks that are kept

`curate train main-content` makes the model from pages whose main content people have marked. That blocks can be told by
their text, their links and their neighbors is due to Kohlschütter et al. ("Boilerplate Detection using Shallow Text
Features", WSDM 2010).
"""

import html
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np

from curate.errors import CurateError
from curate.kernels.block_features import features
from curate.kernels.block_names import FEATURES, N_FEATURES
from curate.kernels.block_text import in_comments, kept_of, sizes_by_kind, text_of
from curate.kernels.boosted_trees import HIGH, LEAVES, LOW, NODES, sums_of_trees
from curate.kernels.page_reader import END, FORMULAS, SOLID_BYTES, START, TITLE, TITLE_END, read_page
from curate.models.npz import read_npz, write_npz

FORMAT = 1
UNIT = 1024
"""Of a leaf: this many make one in log-odds."""
SHIPPED_PATH = Path(__file__).with_name("main-content.npz")
"""The model that comes with curate."""
MAX_BLOCKS = 100_000
"""Of a page; what is counted of so many takes 70 MB."""
_MOST_TREES = 10_000
_SURE = np.array([math.ceil(UNIT * math.log(k / (1000 - k))) for k in range(1, 1000)])
"""From which sum on something is at least as likely as so many thousandths."""


class TooManyBlocksError(ValueError):
    """A page has more than MAX_BLOCKS."""


@dataclass(frozen=True)
class Block:
    """A block of a page: its text, how likely it is main content, and whether it is kept."""

    text: str
    likely: float
    kept: bool


@dataclass(frozen=True)
class Read:
    """A page that was read, and the verdict on each of its blocks.

    features  int16 of shape (blocks, features), in the order of `FEATURES`
    likely    int64 of shape (blocks,), thousandths
    kept      bool of shape (blocks,)
    """

    page: np.ndarray
    parts: tuple
    features: np.ndarray
    likely: np.ndarray
    kept: np.ndarray

    def text(self, markdown: bool = False, bullets: bool = True) -> str:
        """The text of what is kept."""
        text, blocks, elements = self.parts[:3]
        return bytes(text_of(text, blocks, elements, self.kept, markdown, bullets)).decode("utf-8", "replace")

    @cached_property
    def title(self) -> str | None:
        """What the page calls itself."""
        counts = self.parts[4]
        raw = bytes(self.page[counts[TITLE] : counts[TITLE_END]]).decode("utf-8", "replace")
        return " ".join(html.unescape(raw).split()) or None

    @property
    def has_formulas(self) -> bool:
        """Whether the page has formulas, which a parser can write as TeX before the page is read again."""
        return bool(self.parts[4][FORMULAS])

    @property
    def kept_share(self) -> float:
        """The share of the page's visible bytes that is kept, 0 to 1."""
        sizes = self.parts[1][:, SOLID_BYTES].astype(np.int64)
        return float(sizes[self.kept].sum() / max(1, sizes.sum()))

    @property
    def score(self) -> float:
        """How likely what is kept is main content: the mean by bytes, 0 to 1."""
        sizes = self.parts[1][self.kept, SOLID_BYTES].astype(np.int64)
        return float((sizes * self.likely[self.kept]).sum() / max(1, 1000 * sizes.sum()))

    def sizes_by_kind(self) -> np.ndarray:
        """Visible bytes of all blocks, and of those that are kept, by what they are: int64 of shape (2, KINDS)."""
        return sizes_by_kind(*self.parts[1:3], self.kept)

    def blocks(self) -> Iterator[Block]:
        text, blocks = self.parts[:2]
        for row, likely, kept in zip(blocks, self.likely.tolist(), self.kept.tolist(), strict=True):
            yield Block(bytes(text[row[START] : row[END]]).decode("utf-8", "replace"), likely / 1000, kept)


@dataclass(frozen=True)
class MainContent:
    """A model.

    nodes, values  see `boosted_trees.sums_of_trees`
    means          int16 of the shape of `nodes`: what the blocks that reached a node in training reached in the mean,
                   for `because`
    """

    nodes: np.ndarray
    values: np.ndarray
    means: np.ndarray

    @staticmethod
    @lru_cache(4)
    def load(path: str | Path = SHIPPED_PATH) -> "MainContent":
        """Read a model. Raises CurateError for a file that is none, or one of other features."""
        try:
            about, arrays = read_npz(path, ("nodes", "values", "means"))
            _check(**arrays)
            same = about["format"] == FORMAT and about["features"] == FEATURES
        except Exception as error:  # a file of any kind makes NumPy, zipfile and json raise nearly anything
            what = f"cannot read the main-content model: {str(error) or type(error).__name__}"
            raise CurateError(what, str(path), "train it again, or download it again") from error
        if not same:
            what = "the model was trained with a different set of features than this version of curate uses"
            raise CurateError(what, str(path), "train it again")
        return MainContent(**arrays)

    def save(self, path: str | Path) -> None:
        """Write the model, the same bytes each time."""
        write_npz(
            path, {"format": FORMAT, "features": FEATURES}, nodes=self.nodes, values=self.values, means=self.means
        )

    def likely(self, measured: np.ndarray) -> np.ndarray:
        """Of features: how likely each block is main content, int64 in thousandths."""
        return np.searchsorted(_SURE, sums_of_trees(measured, self.nodes, self.values), side="right")

    def because(self, row: np.ndarray) -> dict[str, float]:
        """How much each feature weighs in the verdict on a block, in log-odds: what each test on the way to a leaf
        changes of the mean, summed over the trees (Saabas, 2014).

        row  the features of the block
        """
        weights: dict[str, float] = {}
        for tree, leaves, means in zip(self.nodes.tolist(), self.values.tolist(), self.means.tolist(), strict=True):
            node = 0
            while node < NODES:
                feature = tree[node] >> HIGH
                following = 2 * node + 1 + int(row[feature] > tree[node] & LOW)
                after = means[following] if following < NODES else leaves[following - NODES]
                if after != means[node]:
                    name = FEATURES[feature]
                    weights[name] = weights.get(name, 0.0) + (after - means[node]) / UNIT
                node = following
        return weights

    def read(self, page: bytes, everything: bool = False, comments: bool = True) -> Read:
        """Read a page, its UTF-8. Raises TooManyBlocksError.

        everything  keep all blocks, whatever they are
        comments    keep also what stands among readers' comments
        """
        data = np.frombuffer(page, np.uint8)
        parts = read_page(data)
        if len(parts[1]) > MAX_BLOCKS:
            raise TooManyBlocksError
        measured = features(data, *parts)
        likely = self.likely(measured)
        kept = np.ones(len(likely), np.bool_) if everything else kept_of(likely, measured)
        if not comments:
            kept &= ~in_comments(*parts[1:4])
        return Read(data, parts, measured, likely, kept)


def _check(nodes: np.ndarray, values: np.ndarray, means: np.ndarray) -> None:
    """Raise ValueError unless the arrays are trees: the kernel checks no index."""
    if nodes.dtype != np.uint32 or values.dtype != np.int16 or means.dtype != np.int16:
        raise ValueError("its numbers have the wrong type")
    trees = len(nodes)
    shapes = (nodes.shape, means.shape, values.shape)
    if not 0 < trees <= _MOST_TREES or shapes != ((trees, NODES), (trees, NODES), (trees, LEAVES)):
        raise ValueError("its trees have the wrong shape")
    if int((nodes >> HIGH).max()) >= N_FEATURES or int((nodes & LOW).max()) > np.iinfo(np.int16).max:
        raise ValueError("its trees use missing features")
