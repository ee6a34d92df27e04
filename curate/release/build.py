"""Lay out a release: shards, evidence, pages and lock in one folder that appears whole or not at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from curate import lock as locks
from curate.assemble import digest
from curate.errors import CurateError
from curate.plan import Plan, TokenParts
from curate.release import card, charts, croissant, report
from curate.release.earlier import records
from curate.release.extend import extend
from curate.release.token_shards import write_token_shards
from curate.release.without import keep_out
from curate.store import Damaged, Store


def build(
    plan: Plan, lock: dict, store: Store, parts: dict[str, str], tokens: list[TokenParts], releases: Path
) -> tuple[Path, dict, bool]:
    """Write `releases/NAME/VERSION`. Returns it, its lock, and whether it holds other data than before.

    What goes beside the data (token shards, pages, charts, manifest) is added to `lock["files"]`. Raises Damaged for a
    part that is not what was made, CurateError for an earlier release that is not what its lock says.
    """
    target = releases / lock["name"] / lock["version"]
    old = locks.read_lock(target) if (target / "lock.json").is_file() else {}
    with replacing(target) as draft:
        copies: dict[str, Path] = {}
        if plan.manifest.document.extends:
            lock, parts, copies = extend(lock, parts, plan.manifest)
        for file in list(lock["files"]):
            path, fp = draft / file["path"], parts.get(file["path"])
            source = store.part(fp) if fp else copies[file["path"]]
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, path)
            if digest(path) != {"bytes": file["bytes"], "sha256": file["sha256"]}:
                if fp:
                    raise Damaged(fp, source, "its sha256 is not the one it was made with")
                raise CurateError("a file of the earlier release changed", str(source), "run `curate verify` on it")
        everything = plan.manifest.document.mixture.takes_everything
        kept = keep_out(draft, lock, records(plan.manifest), parts.keys(), everything)
        write_token_shards(draft, lock, store, tokens, kept)
        write_pages(draft, lock, plan.manifest.text)
    return target, lock, any(old.get(name) != lock[name] for name in ("digest", "tokens"))


def write_pages(folder: Path, lock: dict, manifest: str) -> None:
    """Write all that is made from the lock and the manifest's text into a folder that holds the data, the lock last."""
    pages = charts.charts(lock) | {"manifest.yaml": manifest, "README.md": card.render(lock, manifest)}
    pages["report.html"] = report.render(lock, manifest)
    for name in (*pages, "croissant.json"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(pages.get(name) or croissant.render(lock), encoding="utf-8")
        lock["files"].append({"path": name} | digest(path))
    (folder / "lock.json").write_text(locks.dumps(lock), encoding="utf-8")


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A folder to write in, that takes the place of `target` if the block ends well."""
    draft = target.with_name(f".{target.name}.{uuid4().hex}")
    try:
        draft.mkdir(parents=True)
        yield draft
        if target.exists():
            aside = target.with_name(f"{draft.name}.old")
            os.replace(target, aside)
            os.replace(draft, target)
            shutil.rmtree(aside)
        else:
            os.replace(draft, target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
