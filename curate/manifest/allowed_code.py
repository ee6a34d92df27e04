"""Code that a manifest names: found without running it, and run only if its module is allowed.

A manifest is data. Its author may not be the person who runs it, and a function of any package, such as
`subprocess:run`, would be theirs to call. So a module must be one that an installed package registers as an entry point
of the group `curate.functions`, or be allowed by name, itself or a package around it.
"""

import os
import re
from collections.abc import Iterable
from importlib.metadata import entry_points

from curate.errors import CurateError, ManifestError
from curate.manifest.manifest import Manifest

ALLOW = "CURATE_ALLOW_CODE"
ENTRY_POINTS = "curate.functions"


def check_code(manifest: Manifest, allowed: Iterable[str] = ()) -> None:
    """Raise ManifestError where the manifest runs code that neither a package registers nor the person allows.

    allowed  modules and packages by name, beside those that the variable CURATE_ALLOW_CODE lists
    """
    allowed = [*allowed, *filter(None, re.split(r"[\s,:]+", os.environ.get(ALLOW, "")))]
    problems = {}
    for call in (call for calls in (*manifest.pipelines.values(), manifest.stages) for call in calls):
        for code in call.stage.code(call.params):
            module = code.partition(":")[0]
            if not _is_registered(code) and not any(f"{module}.".startswith(f"{name}.") for name in allowed):
                fix = f"review that code, then allow it with `--allow-code {module}` or {ALLOW}={module}"
                problem = CurateError(f"`{call.label}` runs `{code}`, which is not allowed", call.place, fix)
                problems[str(problem)] = problem
    if problems:
        raise ManifestError(list(problems.values()))


def _is_registered(code: str) -> bool:
    return any(point.value.replace(" ", "") == code for point in entry_points(group=ENTRY_POINTS))
