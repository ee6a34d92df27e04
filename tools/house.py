"""How easy the package is to enter, in numbers.

    python tools/house.py [--json]

rooms              entries of the package's root, without what begins with `__`
longest_file       lines of the longest module
longest_function   lines of the longest function, kernels and their tables apart
arrows_up          imports of a layer above one's own
modules_unchecked  modules that no layer names
duplicate_basenames  names of files that occur twice
import_ms, help_ms   `import curate` and `curate --help`, each the least of five new processes
"""

import argparse
import ast
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FILES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((ROOT / "curate").rglob("*.py"))
}
"""{module: its file}"""

LAYERS = [
    {"curate.base.redact", "curate.base.terminal", "curate.base.child"},
    {"curate.errors", "curate.kernels", "curate.base"},
    {"curate.documents"},
    {"curate.models", "curate.sources", "curate.stage_api"},
    {"curate.dedup", "curate.mix", "curate.stages", "curate.testing", "curate.tokens"},
    {"curate.hub.client", "curate.manifest"},
    {"curate.engine"},
    {"curate.release"},
    {"curate.hub"},
    {"curate.calibration", "curate.models.marked_pages", "curate.models.metrics"},
    {"curate.models.train", "curate.models.train_main_content"},
    {"curate.inspect"},
    {"curate.demo_corpus"},
    {"curate"},
    {"curate.cli"},
    {"curate.__main__"},
]
"""From the ground up: a module may import from its own layer and those below."""


@cache
def imports(module: str, inside: bool = True) -> set[str]:
    """What a module imports, `inside` of functions too. Of `from a import b` a.b, where that is a module, else a."""
    found, tree = set(), ast.parse(FILES[module].read_text(encoding="utf-8"))
    for node in ast.walk(tree) if inside else tree.body:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in FILES else node.module for name in names}
    return found


def ours(module: str, inside: bool = True) -> set[str]:
    """Of its imports the modules of this package."""
    return {name for name in imports(module, inside) if name in FILES} - {module}


def layer(module: str) -> int | None:
    """The place of the layer that names the module, or the nearest package above it."""
    name = module
    while name:
        for place, names in enumerate(LAYERS):
            if name in names and (name != "curate" or module == "curate"):
                return place
        name = name.rpartition(".")[0]
    return None


def arrows_up() -> list[str]:
    """`a -> b` for each import of a layer above one's own."""
    return [f"{name} -> {target}" for name in FILES for target in sorted(ours(name)) if layer(target) > layer(name)]


def longest(paths: Iterable[Path]) -> tuple[int, str]:
    """Lines of the longest of these files, and its name."""
    return max((path.read_text(encoding="utf-8").count("\n"), path.relative_to(ROOT).as_posix()) for path in paths)


def longest_function() -> tuple[int, str]:
    """Lines of the longest function outside of the kernels, its docstring apart, and its name."""
    found = []
    for module, path in FILES.items():
        if module.startswith("curate.kernels"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                doc = node.body[0].end_lineno - node.body[0].lineno + 1 if ast.get_docstring(node) else 0
                found.append((node.end_lineno - node.lineno + 1 - doc, f"{module}.{node.name}"))
    return max(found)


def milliseconds(*command: str) -> int:
    """The least time of five new processes."""
    least = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        subprocess.run([sys.executable, *command], check=True, cwd=ROOT, capture_output=True)
        least = min(least, time.perf_counter() - start)
    return round(1000 * least)


def measured() -> dict:
    root = [path.name for path in (ROOT / "curate").iterdir() if not path.name.startswith(("_", "."))]
    names = Counter(path.name for path in FILES.values() if path.name != "__init__.py")
    (file_lines, file), (function_lines, function) = longest(FILES.values()), longest_function()
    return {
        "rooms": len([name for name in root if name != "py.typed"]),
        "longest_file": file_lines,
        "longest_file_is": file,
        "longest_function": function_lines,
        "longest_function_is": function,
        "arrows_up": len(arrows_up()),
        "modules_unchecked": sum(layer(module) is None for module in FILES),
        "duplicate_basenames": sum(count > 1 for count in names.values()),
        "import_ms": milliseconds("-c", "import curate") - milliseconds("-c", "pass"),
        "help_ms": milliseconds("-m", "curate", "--help"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    found = measured()
    if parser.parse_args().json:
        print(json.dumps(found))
        return
    for name, value in found.items():
        print(f"{name}: {value}")


if __name__ == "__main__":
    main()
