"""Cut the drawn documents into sequences of tokens.

A document gives one piece, at a place that its hash chooses:

    fill   a sequence holds exactly `length` tokens. A document of as many or more gives a window of them; shorter ones
           are joined, each with the end-of-text token behind it, and the last of a sequence is cut
    chunk  a sequence is a document, or one of the chunks of `length` tokens that training cuts a longer one into
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa

from curate.calibration import draw, shards
from curate.calibration.exclude import Exclusion
from curate.calibration.row_tokens import Row


@dataclass(frozen=True)
class Piece:
    """What a sequence has of a document: its tokens start to stop, of `tokens`. text: all of it, if it is whole and
    stands there as it is. stratum: from 0, the shortest documents of its source. language, roles: see `Row`."""

    id: str
    stratum: int
    tokens: int
    start: int
    stop: int
    ids: np.ndarray
    text: str | None
    language: str = "unknown"
    roles: dict[str, int] = field(default_factory=dict)

    def first(self, count: int) -> "Piece":
        """The piece without what goes beyond `count` tokens."""
        if len(self.ids) <= count:
            return self
        return replace(self, stop=self.start + count, ids=self.ids[:count], text=None)


@dataclass(frozen=True)
class Sequence:
    """ids: uint32[tokens]. source: its place among the names. order: where it stands in the set, uniform in [0, 1)."""

    source: int
    order: float
    ids: np.ndarray
    pieces: list[Piece]


@dataclass(frozen=True)
class Asked:
    """What sequences are to be made. end: id of the token between documents. join: whether short ones are joined."""

    total: int
    length: int
    fill: bool
    join: bool
    end: int | None


@dataclass(frozen=True)
class Drawn:
    """The sequences in the order of the set.

    quotas    int64[sources], sequences asked of each
    left_out  {reason: documents}
    """

    sequences: list[Sequence]
    quotas: np.ndarray
    left_out: dict[str, int]


class Short(Exception):
    """There are too few tokens: so many sequences can be had. longest: tokens of the longest document looked at."""

    def __init__(self, there: int, longest: int):
        super().__init__(there, longest)
        self.there, self.longest = there, longest


@dataclass(frozen=True)
class _Candidate:
    """A document that was looked at. reason: why it is out; else it gives a piece."""

    reason: str | None
    piece: Piece | None
    keys: np.ndarray | None


class Drawing:
    """Draws sequences from releases. Few texts are in memory at a time, and of each candidate no more than a piece."""

    def __init__(
        self,
        pool: shards.Pool,
        docs: shards.DocumentColumns,
        encode: Callable[[pa.Table], list[Row]],
        exclusion: Exclusion,
        asked: Asked,
    ):
        self.pool, self.docs, self.encode, self.exclusion, self.asked = pool, docs, encode, exclusion, asked
        self.gives = np.minimum(docs.size, asked.length) if asked.fill else np.ones_like(docs.size)
        self.order = draw.order(docs.line, docs.source, docs.weight, self.gives, docs.size, len(docs.sources))
        self.at = draw.uniform(docs.line, 1)
        self.longest = 0

    def draw(self) -> Drawn:
        """All that was asked for. What a source lacks comes from the others. Raises Short."""
        asked, weight, ends = self.asked, self.docs.total, self.order.start[1:]
        next_row, packs = self.order.start[:-1].copy(), [_Pack(asked, source) for source in range(len(weight))]
        quotas = draw.quotas(weight, asked.total) if weight.any() else np.zeros_like(weight)
        first_quotas, turn = quotas, 1
        left_out: dict[str, int] = {}
        while missing := asked.total - sum(len(pack.made) for pack in packs):
            wanted = [
                self._next(next_row[source], ends[source], turn * (quotas[source] - len(pack.made)))
                for source, pack in enumerate(packs)
            ]
            turn *= 2  # where most are passed over, few turns must do
            if not sum(map(len, wanted)):
                there = np.array([len(pack.made) for pack in packs])
                more = np.where(next_row < ends, weight, 0)
                if not more.any():
                    raise Short(int(there.sum()), self.longest)
                quotas, turn = there + draw.quotas(more, missing), 1
                continue
            found = self._look(np.concatenate(wanted))
            for source, pack in enumerate(packs):
                for row in wanted[source]:
                    if len(pack.made) == quotas[source]:
                        break
                    next_row[source] += 1
                    candidate = found.pop(row)
                    reason = candidate.reason or ("repeat" if self.exclusion.repeats(candidate.keys) else None)
                    if reason:
                        left_out[reason] = left_out.get(reason, 0) + 1
                        continue
                    pack.add(candidate.piece, draw.uniform(self.docs.line[row : row + 1], 2)[0])
        made = sorted((one for pack in packs for one in pack.made), key=lambda one: one.order)
        return Drawn(made, first_quotas, dict(sorted(left_out.items())))

    def _next(self, start: int, end: int, sequences: int) -> np.ndarray:
        """The next rows of a source, in order: about as many as some sequences need, and a few more."""
        if sequences <= 0:
            return self.order.row[:0]
        sequences = min(sequences, end - start)  # a document gives no more than one
        need = sequences * (self.asked.length if self.asked.fill else 1)
        rows = self.order.row[start : min(end, start + need)]
        count = int(np.searchsorted(np.cumsum(self.gives[rows]), need)) + 1
        return rows[: count + count // 8 + 4]

    def _look(self, rows: np.ndarray) -> dict[int, _Candidate]:
        """Read, check and tokenize documents: {row: candidate}."""
        found = {}
        rows = rows[np.argsort(self.docs.place[rows])]
        for table in shards.rows(self.pool, self.docs.place[rows]):
            here = rows[np.searchsorted(self.docs.place[rows], table["place"].to_numpy())]
            keys, reasons = self.exclusion.look(table)
            fit = np.array([reason is None for reason in reasons])
            encoded = iter(self.encode(table.filter(pa.array(fit))))
            for row, key, reason, id in zip(here, keys, reasons, table["id"].to_pylist(), strict=True):
                piece = None
                if reason is None:
                    reason, piece = self._piece(row, id, next(encoded))
                found[row] = _Candidate(reason, piece, None if reason else key.copy())
        return found

    def _piece(self, row: int, id: str, found: Row) -> tuple[str | None, Piece | None]:
        """(why not, what a document gives)."""
        if found.reason:
            return found.reason, None
        count, length, stratum = len(found.ids), self.asked.length, int(self.order.stratum[row])
        self.longest = max(self.longest, count)
        known = {"language": found.language, "roles": found.roles}
        if count == 0:
            return "empty", None
        if count < length and not self.asked.join:
            return "too_short", None
        if count <= length:
            return None, Piece(id, stratum, count, 0, count, found.ids, found.text, **known)
        at, chunks = float(self.at[row]), -(-count // length)
        start = int(at * (count - length + 1)) if self.asked.fill else int(at * chunks) * length
        stop = min(start + length, count)
        return None, Piece(id, stratum, count, start, stop, found.ids[start:stop].copy(), None, **known)


class _Pack:
    """The sequences of a source, and the one that is being filled."""

    def __init__(self, asked: Asked, source: int):
        self.asked, self.source = asked, source
        self.made: list[Sequence] = []
        self.pieces: list[Piece] = []
        self.ids: list[np.ndarray] = []
        self.order = 0.0

    def add(self, piece: Piece, order: float) -> None:
        length = self.asked.length
        if not self.asked.fill or len(piece.ids) == length:
            self.made.append(Sequence(self.source, order, piece.ids, [piece]))
            return
        if not self.pieces:
            self.order = order
        room = length - sum(map(len, self.ids))
        piece = piece.first(room)
        self.pieces.append(piece)
        self.ids.append(piece.ids)
        if self.asked.end is not None and len(piece.ids) < room:
            self.ids.append(np.array([self.asked.end], np.uint32))
        if sum(map(len, self.ids)) == length:
            self.made.append(Sequence(self.source, self.order, np.concatenate(self.ids), self.pieces))
            self.pieces, self.ids = [], []
