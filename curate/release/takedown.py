"""`curate remove`: a patch version without some documents; only their shards change."""

import os
import re
import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import yaml

from curate.errors import CurateError
from curate.release.build import replacing, write_pages
from curate.release.checked_lock import inside
from curate.release.earlier import RECORD
from curate.release.files import Unverified
from curate.release.lock import load_whole_lock, verify
from curate.release.manifest_text import with_record
from curate.release.token_shards import rewrite_token_shards
from curate.release.typed_lock import Lock
from curate.release.without import Gone, find_gone, leave_out
from curate.stage_api import set_column
from curate.stages import removed as removals


@dataclass(frozen=True)
class TakenDown:
    """A patch version, or what it would be.

    path       its folder
    documents  how many are gone
    sources    {source: of these}
    causes     {how they were found: of these}: "id", "url", "domain", or "same URL", "same text" as one of those
    changed    files that are not those of the release before: all of them, or of a dry run shards alone
    lists      [{"list", "entries", "matched"}] of the lists given
    """

    path: Path
    version: str
    documents: int
    sources: dict[str, int]
    causes: dict[str, int]
    changed: list[str]
    lists: list[dict] = field(default_factory=list)


def remove(
    release: str | Path,
    *,
    ids: str | Path | None = None,
    urls: str | Path | None = None,
    domains: str | Path | None = None,
    dry_run: bool = False,
) -> TakenDown:
    """Write a patch version of a release without the listed documents, next to the release, which is unchanged.

    All documents of the same page as a listed one, and all with the same text, are removed too.

    ids, urls, domains  files with one entry per line, see `curate.stages.removed`; a domain includes its subdomains
    dry_run             report what would be removed, and write nothing

    Raises Unverified if the release does not match its lock, CurateError if the lists match nothing in it or the patch
    version already exists.

    Example: `remove("releases/web/1.0.0", domains="asked.txt").version` is "1.0.1".
    """
    lists = {kind: path for kind, path in (("ids", ids), ("urls", urls), ("domains", domains)) if path}
    if "://" in str(release):
        raise CurateError("pass a folder, not an address", str(release), "download the release, and pass its folder")
    release = Path(os.path.abspath(release))
    lock = load_whole_lock(release)
    for file in lock.files:
        inside(release, file.path)
    if problems := verify(release):
        raise Unverified(f"{problems[0].where}: {problems[0].what}", str(release), "run the manifest again")
    version = patch(lock.version or "")
    target = release.parent / version
    if target.exists() or target.is_symlink():
        raise CurateError(f"version {version} already exists", str(target), f"remove from {version} instead")
    record, names = _asked(lists, version)
    try:
        gone = find_gone(release, lock, record, version)
        if not gone.ids:
            what = f"no document of {lock.title} matches the list"
            raise CurateError(
                what, ", ".join(map(str, lists.values())), "check the list against the ids and URLs of the release"
            )
        if dry_run:
            lost = {path: _lost(release, path, keep) for path, keep in gone.keep.items()}
            changed = sorted(gone.keep)
        else:
            with replacing(target) as draft:
                lost, changed = _write(release, draft, lock, gone, record, version)
    except (pa.ArrowException, FileNotFoundError, KeyError, TypeError, ValueError) as error:
        raise CurateError(
            f"a file of the release cannot be read: {error}", str(release), "run the manifest again"
        ) from None
    counted = removals.counted(pa.concat_tables([record, gone.record]))
    told = [entry for entry in counted if entry["version"] == version and entry["list"] in names]
    return TakenDown(target, version, len(gone.ids), _by_source(lost), gone.causes, changed, told)


def patch(version: str) -> str:
    """The next patch version: 1.2.4 of 1.2.3."""
    major, minor, last = re.split(r"[-+]", version, maxsplit=1)[0].split(".")
    return f"{major}.{minor}.{int(last) + 1}"


def _asked(lists: Mapping[str, str | Path], version: str) -> tuple[pa.Table, set[str]]:
    """What lists of removals say, as of a version, and what they are called."""
    for file in lists.values():
        if not Path(file).is_file():
            raise CurateError("no such list", str(file), "pass a file with one id, URL or domain per line")
    names = {path: name for name, path in removals.list_names(lists.values()).items()}
    tables = [removals.read_list(Path(file), names[file], kind) for kind, file in lists.items()]
    record = pa.concat_tables([removals.RECORD.empty_table(), *tables])
    return set_column(record, "version", pc.fill_null(record["version"], version)), {*names.values()}


def _write(
    release: Path, draft: Path, lock: Lock, gone: Gone, record: pa.Table, version: str
) -> tuple[dict[str, pa.Table], list[str]]:
    """Write the patch version. Returns {path of a changed shard: the rows it lost}, and the files that are others."""
    made = lock.model_copy(deep=True, update={"version": version})
    made.parent = {"version": lock.version, "digest": lock.digest}
    made.files = [file for file in made.files if file.path.startswith(("data/", "index/", "evidence/"))]
    for file in made.files:
        target = draft / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(release / file.path, target)
    record = pa.concat_tables([record, gone.record])
    if (draft / RECORD).is_file():
        record = removals.merged(removals.read_list(draft / RECORD, "removed"), record)
    text = (release / "manifest.yaml").read_text(encoding="utf-8", errors="replace")
    lost = leave_out(draft, made, gone, record, everything=not _budgeted(text))
    rewrite_token_shards(release, draft, made, gone.keep)
    made = write_pages(draft, made, with_record(text, version, RECORD))
    before = {file.path: file.sha256 for file in lock.files}
    return lost, [file.path for file in made.files if before.get(file.path) != file.sha256]


def _budgeted(manifest: str) -> bool:
    """Whether a manifest asks for a mixture of its own, not for all there is."""
    try:
        document = yaml.safe_load(manifest)
    except (yaml.YAMLError, RecursionError, ValueError):
        return True
    mixture = document.get("mixture") if isinstance(document, dict) else None
    return isinstance(mixture, dict) and bool({"budget", "phases"} & mixture.keys())


def _lost(release: Path, path: str, keep: np.ndarray) -> pa.Table:
    return pq.read_table(release / path, columns=["id", "source"]).filter(pa.array(~keep))


def _by_source(lost: dict[str, pa.Table]) -> dict[str, int]:
    """{source: documents that are gone}, each once however often it was drawn."""
    source = {row["id"]: row["source"] for rows in lost.values() for row in rows.select(["id", "source"]).to_pylist()}
    return dict(sorted(Counter(source.values()).items(), key=lambda item: str(item[0])))
