"""Turn raw sources into versioned, documented, checkable pretraining data.

    import curate

    if __name__ == "__main__":  # since workers, which are processes of their own, import a script anew
        for event in curate.run("manifest.yaml"):
            print(event)

What the command line does, these functions do: each verb is one of them. Some bear the name of the module they are
in; `from curate.run import Ended` reaches into those as usual.
"""

from importlib import import_module

from curate import early  # noqa: F401 (it takes effect when imported, before what takes long)

# isort: split

from curate.demo import init_manifest, make_demo
from curate.doctor import examine
from curate.errors import CurateError, ManifestError, Stopped
from curate.explain import explain
from curate.lock import read_lock, verify
from curate.manifest import load, loads
from curate.run import prepare, run
from curate.stage import Step, group, reject, stage
from curate.status import collect_garbage, explain_plan, status

_LATER = {"calibrate": "curate.calibration.calibrate", "compare_sets": "curate.calibration.compare"}
"""Imported when they are asked for, as they bring the compiler of the kernels with them."""

__version__ = "0.1.0"
__all__ = [
    "CurateError",
    "ManifestError",
    "Step",
    "Stopped",
    "calibrate",
    "collect_garbage",
    "compare_sets",
    "examine",
    "explain",
    "explain_plan",
    "group",
    "init_manifest",
    "load",
    "loads",
    "make_demo",
    "prepare",
    "read_lock",
    "reject",
    "run",
    "stage",
    "status",
    "verify",
]


def __getattr__(name: str):
    if name not in _LATER:
        raise AttributeError(f"module `curate` has no attribute `{name}`")
    return getattr(import_module(_LATER[name]), name)
