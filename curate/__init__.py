"""Turn raw sources into versioned, documented, checkable pretraining data.

    import curate

    if __name__ == "__main__":  # in a script, since workers, which are processes of their own, import it anew
        release = curate.run("manifest.yaml")
        print(release.documents().head(3))

What the command line does, these functions do: each verb is one of them. They are imported when they are asked for, so
that `import curate` takes no time.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from curate.base import early  # noqa: F401 (it takes effect when imported, before what takes long)

if TYPE_CHECKING:
    from curate.calibration.calibrate import calibrate
    from curate.calibration.distance import compare
    from curate.demo import init_manifest, make_demo
    from curate.errors import CurateError, ManifestError, Stopped
    from curate.inspect.doctor import examine
    from curate.inspect.explain import explain
    from curate.inspect.opened import Release, open_release, run
    from curate.inspect.status import collect_garbage, explain_plan, status
    from curate.inspect.trying import apply_stages
    from curate.manifest.manifest import load, loads
    from curate.release.lock import read_lock, verify
    from curate.release.make import prepare, run_events
    from curate.stage_api import Step, group, reject, stage

__version__ = "0.1.0"

_HOMES = {
    "calibration.calibrate": ["calibrate"],
    "calibration.distance": ["compare"],
    "demo": ["init_manifest", "make_demo"],
    "errors": ["CurateError", "ManifestError", "Stopped"],
    "inspect.doctor": ["examine"],
    "inspect.explain": ["explain"],
    "inspect.opened": ["Release", "open_release", "run"],
    "inspect.status": ["collect_garbage", "explain_plan", "status"],
    "inspect.trying": ["apply_stages"],
    "manifest.manifest": ["load", "loads"],
    "release.lock": ["read_lock", "verify"],
    "release.make": ["prepare", "run_events"],
    "stage_api": ["Step", "group", "reject", "stage"],
}
_HOME = {name: f"curate.{home}" for home, names in _HOMES.items() for name in names}

__all__ = [
    "CurateError",
    "ManifestError",
    "Release",
    "Step",
    "Stopped",
    "apply_stages",
    "calibrate",
    "collect_garbage",
    "compare",
    "examine",
    "explain",
    "explain_plan",
    "group",
    "init_manifest",
    "load",
    "loads",
    "make_demo",
    "open_release",
    "prepare",
    "read_lock",
    "reject",
    "run",
    "run_events",
    "stage",
    "status",
    "verify",
]


if not TYPE_CHECKING:  # who checks types knows the names above, and that there are no others

    def __getattr__(name: str) -> object:
        if name not in _HOME:
            raise AttributeError(f"module `curate` has no attribute `{name}`")
        found = globals()[name] = getattr(import_module(_HOME[name]), name)
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
