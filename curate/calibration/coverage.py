"""How much of its releases a calibration set covers: tokens, lengths, languages, roles.

The releases are known by a sample of their documents, evenly spread over their shards, in the proportions of the draw.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from curate.calibration import shards
from curate.calibration.row_tokens import Row
from curate.calibration.windows import Drawn

SAMPLE = 8 << 20
"""Bytes of text in the sample."""

QUANTILES = {"p10": 0.1, "p50": 0.5, "p90": 0.9}


@dataclass
class Seen:
    """Amounts of what documents have.

    tokens     float64[vocabulary], of each id
    lengths    (tokens of a document, how much they count)
    languages  {language: amount}, roles {role: amount}
    """

    tokens: np.ndarray
    lengths: list[tuple[int, float]] = field(default_factory=list)
    languages: dict[str, float] = field(default_factory=dict)
    roles: dict[str, float] = field(default_factory=dict)

    def add(self, ids: np.ndarray, length: int, language: str, roles: dict[str, int], weight: float = 1) -> None:
        """Count tokens of a document. weight: of each; length: tokens of all of it."""
        np.add.at(self.tokens, ids, weight)
        self.lengths.append((length, weight * len(ids)))
        self.languages[language] = self.languages.get(language, 0) + weight * len(ids)
        for role, size in roles.items():
            self.roles[role] = self.roles.get(role, 0) + weight * size * len(ids) / max(length, 1)


def coverage(
    pool: shards.Pool, docs: shards.DocumentColumns, drawn: Drawn, encode: Callable[[pa.Table], list[Row]], ids: int
) -> dict:
    """What a set has of its releases.

    Returns {"sample": {"documents", "tokens"}, "vocabulary": {"ids", "release", "set", "share"}, "mass", "lengths":
    {"release", "set": {"p10", "p50", "p90"}, "distance"}, "languages", "roles": {name: {"release", "set"}}}.
    `vocabulary.share`: of the ids that the sample has, those that the set has; `mass`: of its tokens. Lengths are of
    the documents that tokens stand in, in tokens; languages are shares of tokens, roles shares of what is said.
    """
    there, mine, documents, tokens = Seen(np.zeros(ids)), Seen(np.zeros(ids)), 0, 0
    for number, release in enumerate(pool.releases):
        rows = [
            row
            for table in shards.sample(release, SAMPLE // len(pool.releases))
            for row in encode(table)
            if len(row.ids)
        ]
        size = sum(len(row.ids) for row in rows)
        weight = float(docs.total[docs.release == number].sum()) / max(size, 1)
        for row in rows:
            there.add(row.ids, len(row.ids), row.language, row.roles, weight)
        documents, tokens = documents + len(rows), tokens + size
    for piece in (piece for sequence in drawn.sequences for piece in sequence.pieces):
        mine.add(piece.ids, piece.tokens, piece.language, piece.roles)
    has, seen = mine.tokens > 0, there.tokens > 0
    return {
        "sample": {"documents": documents, "tokens": tokens},
        "vocabulary": {
            "ids": ids,
            "release": int(seen.sum()),
            "set": int(has.sum()),
            "share": round(float((has & seen).sum() / max(seen.sum(), 1)), 6),
        },
        "mass": round(float(there.tokens[has].sum() / max(there.tokens.sum(), 1e-12)), 6),
        "lengths": {
            "release": _quantiles(there.lengths),
            "set": _quantiles(mine.lengths),
            "distance": round(length_distance(_arrays(there.lengths), _arrays(mine.lengths)), 6),
        },
        "languages": _shares(there.languages, mine.languages),
        "roles": _shares(there.roles, mine.roles),
    }


def length_distance(first: tuple[np.ndarray, np.ndarray], second: tuple[np.ndarray, np.ndarray]) -> float:
    """Kolmogorov-Smirnov distance of two weighted distributions of lengths: (lengths, weights) each."""
    at = np.union1d(first[0], second[0])
    below = [np.bincount(np.searchsorted(at, length), weight, len(at)).cumsum() for length, weight in (first, second)]
    return float(np.abs(below[0] / max(below[0][-1], 1) - below[1] / max(below[1][-1], 1)).max()) if len(at) else 0.0


def _arrays(lengths: Iterable[tuple[int, float]]) -> tuple[np.ndarray, np.ndarray]:
    length, weight = np.array([*lengths], np.float64).reshape(-1, 2).T
    return length.astype(np.int64), weight


def _quantiles(lengths: list[tuple[int, float]]) -> dict[str, int]:
    length, weight = _arrays(lengths)
    order = np.argsort(length, kind="stable")
    below = np.cumsum(weight[order])
    if not len(below):
        return {}
    places = {name: int(np.searchsorted(below, share * below[-1])) for name, share in QUANTILES.items()}
    return {name: int(length[order][min(place, len(order) - 1)]) for name, place in places.items()}


def _shares(release: dict[str, float], mine: dict[str, float]) -> dict[str, dict[str, float]]:
    """{name: {"release", "set"}}, the largest of the release first."""
    whole, drawn = max(sum(release.values()), 1e-12), max(sum(mine.values()), 1e-12)
    names = sorted({*release, *mine}, key=lambda name: (-release.get(name, 0), name))
    return {
        name: {"release": round(release.get(name, 0) / whole, 6), "set": round(mine.get(name, 0) / drawn, 6)}
        for name in names
    }
