"""Who may import whom: arrows run one way, each heavy library has one home, kernels know arrays alone."""

import ast
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((ROOT / "curate").rglob("*.py"))
}


def imports(module: str, inside: bool = True) -> set[str]:
    """What a module imports, `inside` of functions too, as dotted names; `from a import b` is a.b where that is a module."""  # noqa: E501
    found = set()
    tree = ast.parse(FILES[module].read_text(encoding="utf-8"))
    for node in ast.walk(tree) if inside else tree.body:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            found |= {
                f"{node.module}.{alias.name}" if f"{node.module}.{alias.name}" in FILES else node.module
                for alias in node.names
            }
    return found


def ours(module: str, inside: bool = True) -> set[str]:
    return {name for name in imports(module, inside) if name in FILES} - {module}


def importers(library: str) -> set[str]:
    return {
        module for module in FILES if any(name == library or name.startswith(library + ".") for name in imports(module))
    }


LAYERS = [
    {"curate.redact", "curate.terminal", "curate.child", "curate.early"},
    {"curate.errors", "curate.kernels", "curate.library", "curate.vocabulary"},
    {"curate.documents"},
    {"curate.stage"},
    {"curate.dedup", "curate.mix", "curate.sources", "curate.stages", "curate.testing"},
    {"curate.call"},
    {"curate.manifest_models", "curate.yaml_file", "curate.manifest"},
    {"curate.job", "curate.lane", "curate.planner", "curate.plan", "curate.store", "curate.apply"}
    | {"curate.guard", "curate.isolate"},
    {"curate.assemble", "curate.sequences", "curate.jobs", "curate.lock", "curate.damage"},
    {"curate.release"},
    {"curate.failures", "curate.funnel", "curate.max_removed", "curate.sums", "curate.resolve"}
    | {"curate.recall", "curate.sandbox"},
    {"curate.run", "curate.worker"},
    {"curate.calibration"},
    {"curate.status", "curate.explain", "curate.progress", "curate.demo", "curate.doctor", "curate.report"},
    {"curate"},
    {"curate.command", "curate.cli"},
    {"curate.__main__"},
]
"""From the ground up: a module may import from its own layer and those below."""


def layer(module: str) -> int | None:
    """The place of the layer that names the module, or the nearest package above it."""
    name = module
    while name:
        for place, names in enumerate(LAYERS):
            if name in names and (name != "curate" or module == "curate"):
                return place
        name = name.rpartition(".")[0]
    return None


def test_arrows_run_one_way():
    wrong = []
    for module in FILES:
        for target in ours(module):
            here, there = layer(module), layer(target)
            if here is not None and there is not None and there > here:
                wrong.append(f"{module} -> {target}")
    assert wrong == []


def test_no_circles():
    graph = {module: ours(module, inside=False) - {"curate"} for module in FILES}
    assert list(TopologicalSorter(graph).static_order())


@pytest.mark.parametrize(
    ("library", "homes"),
    [
        ("dask", {"curate.run"}),
        ("distributed", {"curate.run"}),
        ("huggingface_hub", {"curate.hub"}),
        ("duckdb", {"curate.stages.filter", "curate.release.diff"}),
        ("typer", {"curate.cli", "curate.command", "curate.reference"}),
        ("rich", {"curate.progress", "curate.cli", "curate.report"}),
        ("jinja2", {"curate.release.pages"}),
        (
            "resiliparse",
            {f"curate.stages.{name}" for name in ("extract", "_charset", "_html_cost", "_formulas")}
            | {"curate.stages._scripts", "curate.stages._visible_text"},
        ),
        ("fastwarc", {"curate.sources.http"}),
        ("isal", {"curate.sources.codecs"}),
        ("zstandard", {"curate.sources.codecs"}),
        ("lz4", {"curate.sources.codecs"}),
        ("torch", set()),
        ("pandas", set()),
        ("tokenizers", {"curate.tokenizer"}),
        ("tokie", {"curate.tokenizer"}),
        ("safetensors", {"curate.calibration.compare", "curate.calibration.forms"}),
    ],
)
def test_heavy_libraries_have_a_home(library, homes):
    assert importers(library) <= homes


def test_kernels_know_arrays_alone():
    for module in FILES:
        if module.startswith("curate.kernels"):
            packages = {name.split(".")[0] for name in imports(module)} - sys.stdlib_module_names
            assert packages <= {"numba", "numpy", "curate"}, module
            assert all(name.startswith("curate.kernels") for name in ours(module)), module


def test_only_the_store_writes_parquet():
    writers = {
        module
        for module, path in FILES.items()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in ("ParquetWriter", "write_table") and _of_parquet(node)
    }
    assert writers == {"curate.store", "curate.demo"}  # the demo writes inputs


def _of_parquet(node: ast.Attribute) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id in ("pq", "parquet")


def test_stages_do_not_know_the_engine():
    engine = {
        "curate.plan",
        "curate.planner",
        "curate.run",
        "curate.store",
        "curate.jobs",
        "curate.manifest",
        "curate.apply",
    }
    for module in FILES:
        if module.startswith(("curate.stages", "curate.dedup", "curate.mix", "curate.sources")):
            assert not ours(module) & engine, module


def test_planning_touches_neither_files_nor_dask():
    for module in ("curate.plan", "curate.planner"):
        assert not {"os", "pathlib", "dask", "pyarrow.parquet"} & imports(module)


def test_files_are_short():
    long = {module: lines for module, path in FILES.items() if (lines := path.read_text().count("\n")) > 400}
    assert long == {}
