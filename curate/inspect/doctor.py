"""`curate doctor`: check that the machine has what curate needs."""

import os
import platform
import shutil
import sys
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from packaging.requirements import Requirement

from curate.base import machine
from curate.models.resources import KNOWN, folders
from curate.release.make import WORK

DISTRIBUTION = "curate-corpus"
"""Our name on PyPI, where `curate` is another package."""

LEAST_FREE = 5 << 30
LEAST_MEMORY = 1 << 30
"""Of a worker."""


def doctor(work: str | Path = WORK) -> list[dict]:
    """Check this machine, and return the checks, each {"name", "ok", "found", "fix"}.

    work  folder for the results

        [check["name"] for check in curate.doctor() if not check["ok"]]
    """
    checks = [
        {
            "name": "python",
            "ok": sys.version_info >= (3, 11),
            "found": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
            "fix": "install CPython 3.11 or newer",
        },
        {
            "name": "cores",
            "ok": True,
            "found": f"{machine.cores()} of {os.cpu_count()}; `curate run` starts one worker per core",
            "fix": "",
        },
        {
            "name": "memory",
            "ok": machine.memory() >= LEAST_MEMORY * machine.cores(),
            "found": f"{machine.memory() / 1e9:.1f} GB, {machine.memory() / machine.cores() / 1e9:.1f} GB per worker",
            "fix": f"run with --workers {max(1, machine.memory() // LEAST_MEMORY)}",
        },
        _disk(Path(work)),
        _models(),
    ]
    try:
        wanted = [text for text in requires(DISTRIBUTION) or [] if "extra ==" not in text]
    except PackageNotFoundError:  # run from a checkout
        return [*checks, _package(Requirement(DISTRIBUTION))]
    return checks + [_package(Requirement(text)) for text in wanted]


def _disk(work: Path) -> dict:
    there = next(folder for folder in (work.absolute(), *work.absolute().parents) if folder.exists())
    free = shutil.disk_usage(there).free
    writable = there.is_dir() and os.access(there, os.W_OK)
    return {
        "name": "work folder",
        "ok": writable and free > LEAST_FREE,
        "found": f"{work}: {free / 1e9:.0f} GB free" + ("" if writable else ", not writable"),
        "fix": "choose another folder with --work or CURATE_WORK",
    }


def _models() -> dict:
    """What models are on this machine, and how others come to it, with and without a network."""
    there = {path.name: path for home in reversed(folders()) if home.is_dir() for path in sorted(home.iterdir())}
    found = [f"{name} ({path.parent})" for name, path in sorted(there.items()) if path.is_file()]
    wanted = [f"{name} ({known.url})" for name, known in KNOWN.items() if name not in there]
    lines = [", ".join(found) or f"none in {' or '.join(map(str, folders()))}"]
    if wanted:
        lines.append(f"missing: {', '.join(wanted)}")
        lines.append(
            f"`curate fetch MANIFEST` downloads what a manifest needs; without a network, copy files to {folders()[0]}"
        )
    return {"name": "models", "ok": True, "found": "; ".join(lines), "fix": ""}


def _package(wanted: Requirement) -> dict:
    fix = f'pip install "{wanted}"'
    try:
        found = version(wanted.name)
    except PackageNotFoundError:
        return {"name": wanted.name, "ok": False, "found": "not installed", "fix": fix}
    return {"name": wanted.name, "ok": wanted.specifier.contains(found, prereleases=True), "found": found, "fix": fix}
