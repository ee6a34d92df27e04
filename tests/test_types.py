"""What a program that uses `curate` has of its types: mypy finds them sound, and finds mistakes with them."""

import ast
import importlib.util
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import curate

if importlib.util.find_spec("mypy") is None:
    pytest.skip('mypy is not installed: pip install ".[test]"', allow_module_level=True)

ROOT = Path(__file__).resolve().parents[1]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mypy"]


def said_of(*arguments: str) -> str:
    """What mypy says of some files, or of all that the settings name."""
    ended = subprocess.run([sys.executable, "-m", "mypy", *arguments], cwd=ROOT, capture_output=True, text=True)
    return ended.stdout + ended.stderr


def test_every_module_that_exports_something_is_checked():
    homes = {f"{home.replace('.', '/')}.py" for home in curate._HOME.values()}
    assert homes | {"curate/__init__.py"} == set(SETTINGS["files"])


def test_type_checkers_see_the_names_that_a_program_finds():
    tree = ast.parse((ROOT / "curate" / "__init__.py").read_text(encoding="utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    seen = {alias.asname: (node.module, alias.name) for node in block.body for alias in node.names}
    assert seen == {name: (home, name) for name, home in curate._HOME.items()}


def test_they_are_sound():
    assert said_of().startswith("Success")


def test_a_program_has_the_types_of_all_that_it_uses_and_its_mistakes_are_found():
    """Strict mypy also names each `type: ignore` that ignores nothing."""
    assert said_of("--strict", "--follow-imports=silent", "tests/typed_use.py").startswith("Success")
    assert (ROOT / "curate" / "py.typed").is_file()
