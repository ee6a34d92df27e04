"""Where the package under test is: what a process started by a test must import, and no other copy of it."""

import os
from pathlib import Path

import curate

FOLDER = str(Path(curate.__file__).parents[1])


def python_path(*before: str | Path) -> str:
    """`PYTHONPATH` with these folders and the package."""
    return os.pathsep.join([*map(str, before), FOLDER])
