"""Turn raw sources into versioned, documented, verifiable pretraining data.

    import curate

    if __name__ == "__main__":  # in a script, since worker processes import it again
        release = curate.run("manifest.yaml")
        print(release.documents().head(3))

Each command of the command line is one of these functions. They are imported on first use, so `import curate` is fast.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from curate.base import early  # noqa: F401 (it takes effect when imported, before what takes long)

if TYPE_CHECKING:  # what `_HOMES` has, for type checkers and editors; `as` marks a name as exported
    from curate.calibration.calibrate import calibrate as calibrate
    from curate.calibration.distance import compare as compare
    from curate.dedup._by_key import Groups as Groups
    from curate.dedup._by_key import by_key as by_key
    from curate.demo_corpus import demo as demo
    from curate.errors import CurateError as CurateError
    from curate.errors import ManifestError as ManifestError
    from curate.errors import Stopped as Stopped
    from curate.hub.publish import publish as publish
    from curate.inspect.doctor import doctor as doctor
    from curate.inspect.explain import explain as explain
    from curate.inspect.fetch import fetch as fetch
    from curate.inspect.making import run as run
    from curate.inspect.making import train as train
    from curate.inspect.opened import Release as Release
    from curate.inspect.opened import open_release as open_release
    from curate.inspect.query import query as query
    from curate.inspect.run_report import report as report
    from curate.inspect.sample import sample as sample
    from curate.inspect.starter import init as init
    from curate.inspect.status import gc as gc
    from curate.inspect.status import plan as plan
    from curate.inspect.status import status as status
    from curate.inspect.trying import apply_stages as apply_stages
    from curate.manifest.manifest import load as load
    from curate.manifest.manifest import loads as loads
    from curate.release.diff import diff as diff
    from curate.release.lock import read_lock as read_lock
    from curate.release.lock import verify as verify
    from curate.release.make import prepare as prepare
    from curate.release.make import run_events as run_events
    from curate.release.takedown import remove as remove
    from curate.stage_api import Step as Step
    from curate.stage_api import group as group
    from curate.stage_api import reject as reject
    from curate.stage_api import stage as stage

__version__ = "0.1.0"

_HOMES = {
    "calibration.calibrate": ["calibrate"],
    "calibration.distance": ["compare"],
    "dedup._by_key": ["Groups", "by_key"],
    "demo_corpus": ["demo"],
    "errors": ["CurateError", "ManifestError", "Stopped"],
    "hub.publish": ["publish"],
    "inspect.doctor": ["doctor"],
    "inspect.explain": ["explain"],
    "inspect.fetch": ["fetch"],
    "inspect.making": ["run", "train"],
    "inspect.opened": ["Release", "open_release"],
    "inspect.query": ["query"],
    "inspect.run_report": ["report"],
    "inspect.sample": ["sample"],
    "inspect.starter": ["init"],
    "inspect.status": ["gc", "plan", "status"],
    "inspect.trying": ["apply_stages"],
    "manifest.manifest": ["load", "loads"],
    "release.diff": ["diff"],
    "release.lock": ["read_lock", "verify"],
    "release.make": ["prepare", "run_events"],
    "release.takedown": ["remove"],
    "stage_api": ["Step", "group", "reject", "stage"],
}
_HOME = {name: f"curate.{home}" for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME)

if not TYPE_CHECKING:  # who checks types knows the names above, and that there are no others

    def __getattr__(name: str) -> object:
        if name not in _HOME:
            raise AttributeError(f"module `curate` has no attribute `{name}`")
        found = globals()[name] = getattr(import_module(_HOME[name]), name)
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
