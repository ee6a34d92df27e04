"""`Release`, as a notebook sees it: documents, rejected ones, numbers, SQL."""

from dataclasses import dataclass
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.dataset as datasets

from curate.base.phrases import counted, size
from curate.errors import CurateError
from curate.inspect.sandboxed_sql import answer
from curate.release import lock as locks
from curate.release.accounts import funnel_rows
from curate.release.charts import funnel_chart
from curate.release.fetched import READ, Held, hold, is_published
from curate.release.typed_lock import Lock, as_json

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

    from curate.inspect.sandboxed_sql import Connection

TABLES = {"documents": "data/"} | {
    name: f"evidence/{name}" for name in ("rejected", "near_duplicates", "decontamination", "repeated_passages")
}
"""How the paths of the files begin that hold them."""

SHOWN_ROWS = 10
"""Values of a column in the composition that a notebook shows."""


@dataclass(frozen=True)
class Release:
    """An opened release. path: its folder. address: its Hub address, if it was opened from there.

    Files are read only when they are needed. Files that are not in the lock are ignored.
    """

    path: Path
    address: str = ""

    @cached_property
    def typed(self) -> Lock:
        """The lock, checked, whose keys are attributes."""
        return locks.load_whole_lock(self.path)

    @cached_property
    def lock(self) -> dict[str, Any]:
        """What went in, what was counted, what came out, as `lock.json` has it, checked."""
        return as_json(self.typed)

    @property
    def name(self) -> str:
        return self.typed.name or ""

    @property
    def version(self) -> str:
        return self.typed.version or ""

    @property
    def digest(self) -> str:
        """`sha256:` and the digest of data and evidence."""
        return self.typed.digest

    @property
    def card(self) -> str:
        """README.md: the card, in Markdown."""
        return self._held.file("README.md").read_text(encoding="utf-8")

    @property
    def funnel(self) -> pa.Table:
        """What each stage kept: source, stage (string), documents_in, documents_kept (int64), reasons (string)."""
        rows = list(funnel_rows(self.typed))
        names = ("source", "stage", "documents_in", "documents_kept", "reasons")
        kinds = (pa.string(), pa.string(), pa.int64(), pa.int64(), pa.string())
        return pa.table({name: pa.array([row[i] for row in rows], kinds[i]) for i, name in enumerate(names)})

    def documents(self, split: str | None = None) -> datasets.Dataset:
        """The documents, read lazily: `.head(5)`, `.to_table(columns=["text"])`, `.to_batches()`.

        split  train or validation; None: all. Raises CurateError if the release has no such split.
        """
        return self._files(TABLES["documents"], f"/{split}-" if split else "")

    def rejected(self) -> datasets.Dataset:
        """The rejected documents: where each was, the stage, the reason, and the columns of the stage."""
        return self._files(TABLES["rejected"])

    def near_duplicates(self) -> datasets.Dataset:
        """The documents in clusters of near-duplicates, including those that were kept."""
        return self._files(TABLES["near_duplicates"])

    @property
    def _held(self) -> Held:
        return Held(self.path, self.typed, is_published(self.address))

    def _files(self, start: str, holding: str = "") -> datasets.Dataset:
        return datasets.dataset(list(map(str, self._paths(start, holding))), format="parquet")

    def _listed(self, start: str, holding: str = "") -> list[str]:
        paths = [file.path for file in self.typed.files if file.path.endswith(".parquet")]
        return [path for path in paths if path.startswith(start) and holding in path]

    def _paths(self, start: str, holding: str = "") -> list[Path]:
        """Its Parquet files. Raises CurateError where there are none, or one is missing, or lies elsewhere."""
        wanted = self._listed(start, holding)
        if not wanted:
            where, fix = f"{self.path}/{start}", "see the files listed in `lock.json`"
            raise CurateError(f"{self.name} {self.version} has no such documents", where, fix)
        found = list(map(self._held.file, wanted))
        if missing := next((path for path in found if not path.is_file()), None):
            raise CurateError("a file of the release is missing", str(missing), "run `curate verify` on it")
        return found

    def query(self, sql: str) -> pa.Table:
        """The result of a query in DuckDB's SQL over the tables `documents`, `rejected`, `near_duplicates`,
        `decontamination` (as far as the release has them), `funnel`, and `release`, which has one row.

        A query can read nothing else, and change nothing. Raises CurateError for an invalid query.

            release.query("select source, count(*) as n from documents group by source")
        """
        return answer(sql, self._views)

    def _views(self, connection: "Connection") -> list[str]:
        made = [name for name, start in TABLES.items() if self._listed(start)]
        for name in made:
            connection.register(name, self._files(TABLES[name]))
        connection.register("funnel", self.funnel)
        names = ("name", "version", "license", "digest", "documents", "rejected")
        connection.register("release", pa.table({name: [getattr(self.typed, name)] for name in names}))
        return [*made, "funnel", "release"]

    def verify(self) -> list[CurateError]:
        """Rehash every file: one error for each missing, changed or unlisted file. Empty: the release is intact."""
        return verified(self.address or self.path)[1]

    def to_datasets(self, split: str | None = None) -> "Dataset | DatasetDict":
        """The release as `datasets` loads it, which must be installed: a DatasetDict, or the Dataset of a split."""
        try:
            from datasets import load_dataset
        except ImportError:
            raise CurateError("the package `datasets` is not installed", fix="pip install datasets") from None
        self._paths(TABLES["documents"])  # so that none of them lies elsewhere
        return load_dataset(str(self.path), split=split)

    def __repr__(self) -> str:
        return f"<Release {self.name} {self.version}: {counted(self.typed.documents, 'document')}, {self.path}>"

    def _repr_html_(self) -> str:
        lock = self.typed
        text = size(sum(shard.text_bytes or 0 for shard in lock.shards))
        head = f"{counted(lock.documents, 'document')}, {text} of text in {counted(len(lock.shards), 'shard')}; "
        head += f"{lock.rejected:,} rejected"
        title = f"<h3>{escape(self.name)} {escape(self.version)}</h3>"
        parts = [title, f"<p>{head}<br><code>{escape(self.digest)}</code></p>", funnel_chart(lock)]
        for column, counts in lock.once.items():
            most = sorted(counts.items(), key=lambda item: (-item[1].bytes, item[0]))
            cells = "".join(
                f"<tr><td>{escape(value)}</td><td>{count.documents:,}</td><td>{size(count.bytes)}</td></tr>"
                for value, count in most[:SHOWN_ROWS]
            )
            if len(most) > SHOWN_ROWS:
                cells += f"<tr><td colspan='3'>and {len(most) - SHOWN_ROWS:,} more</td></tr>"
            parts.append(f"<table><tr><th>{column}</th><th>documents</th><th>text</th></tr>{cells}</table>")
        return "\n".join(parts)


def open_release(place: str | Path) -> Release:
    """Open a release from its folder or its Hub address.

    place  a folder with a lock.json, or hf://datasets/ORG/NAME@vVERSION, which is downloaded once

    Raises CurateError if there is no release, or its lock is invalid.

        release = curate.open_release("work/releases/web/1.0.0")
        release.documents().head(3)
    """
    held = hold(place, READ)
    return Release(held.folder, str(place) if held.published else "")


def verified(place: str | Path) -> tuple[Lock, list[CurateError]]:
    """The lock of a release by its folder or address, and what is wrong with its files, each of which is hashed again.

    Raises CurateError where there is no release, or the Hub does not answer.
    """
    if is_published(place):
        from curate.hub.publish import verify_published

        return verify_published(str(place))
    return locks.verified(place)
