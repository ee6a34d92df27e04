"""Lay out a release: shards, evidence, manifest, card and lock in one folder that appears whole or not at all."""

import os
import shutil
from pathlib import Path
from uuid import uuid4

from curate import lock as locks
from curate.assemble import digest
from curate.plan import Plan
from curate.release.card import render
from curate.store import Damaged, Store


def build(plan: Plan, lock: dict, store: Store, parts: dict[str, str], releases: Path) -> tuple[Path, bool]:
    """Write `releases/NAME/VERSION`. Returns it, and whether it holds other data than before.

    Raises Damaged for a shard that is not what was made. What goes beside the data (card, manifest) is added to
    `lock["files"]`.
    """
    target = releases / lock["name"] / lock["version"]
    draft = target.with_name(f".{lock['version']}.{uuid4().hex}")
    old = locks.read_lock(target)["digest"] if (target / "lock.json").is_file() else None
    try:
        for fp, file in zip(parts.values(), lock["files"], strict=True):
            path = draft / file["path"]
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(store.part(fp), path)
            if digest(path) != {"bytes": file["bytes"], "sha256": file["sha256"]}:
                raise Damaged(fp, store.part(fp), "its sha256 is not the one it was made with")
        (draft / "manifest.yaml").write_text(plan.manifest.text, encoding="utf-8")
        (draft / "README.md").write_text(render(plan.manifest, lock), encoding="utf-8")
        lock["files"] += [{"path": name} | digest(draft / name) for name in ("README.md", "manifest.yaml")]
        (draft / "lock.json").write_text(locks.dumps(lock), encoding="utf-8")
        if target.exists():
            aside = target.with_name(f".{lock['version']}.{uuid4().hex}.old")
            os.replace(target, aside)
            os.replace(draft, target)
            shutil.rmtree(aside)
        else:
            os.replace(draft, target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return target, old != lock["digest"]
