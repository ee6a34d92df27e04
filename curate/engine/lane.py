"""A lane: the path of a partition through a plan."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from curate.documents import REJECT
from curate.manifest.call import Call
from curate.sources.format_api import find_format
from curate.sources.partitions import Partition


@dataclass
class Lane:
    """A partition on its way through the plan. parts: fingerprints, oldest first; columns: the part that holds each;
    keyed: the parts, by column, that the keys for the release's index were made of."""

    source: str
    number: int
    of: int
    partition: Partition | None
    priority: int
    parts: list[str] = field(default_factory=list)
    columns: dict[str, str] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)
    waiting: list[Call] = field(default_factory=list)
    keyed: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.source} {self.number + 1}/{self.of}"

    def reading(self, names: Iterable[str]) -> dict[str, list[str]]:
        """{part: columns} to read these columns and who is out, with the part whose blocks lead first."""
        wanted: dict[str, list[str]] = {}
        for name in dict.fromkeys([REJECT.name, *names]):
            if name in self.columns:  # an earlier release has not all that its successor has
                wanted.setdefault(self.columns[name], []).append(name)
        return wanted

    @property
    def indexed(self) -> bool:
        """Whether it has keys for the release's index, made of the documents as they are now."""
        return bool(self.keyed) and all(self.columns[name] == part for name, part in self.keyed.items())


def types_of(lanes: Iterable[Lane]) -> dict[str, str]:
    """{column: type} of all columns that any of these lanes has."""
    return {name: kind for lane in lanes for name, kind in lane.types.items()}


def text_bytes(lanes: Iterable[Lane]) -> int:
    """About how much text their files hold, each counted once however many ranges it is read in."""
    found = 0.0
    for lane in lanes:
        format = find_format(lane.partition.format)
        for piece in lane.partition.pieces:
            if piece.rows is None or piece.rows[0] == 0:
                found += format.text_bytes(piece.file.path, max(piece.file.size, 0))
    return int(found)
