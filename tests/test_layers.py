"""Who may import whom: arrows run one way, each heavy library has one home, kernels know arrays alone."""

import ast
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))

from house import FILES, arrows_up, imports, layer, longest, ours  # noqa: E402


def importers(library: str) -> set[str]:
    return {
        module for module in FILES if any(name == library or name.startswith(library + ".") for name in imports(module))
    }


def test_every_module_has_a_layer():
    assert [module for module in FILES if layer(module) is None] == []


def test_arrows_run_one_way():
    assert arrows_up() == []


def test_no_circles():
    graph = {module: ours(module, inside=False) - {"curate"} for module in FILES}
    assert list(TopologicalSorter(graph).static_order())


@pytest.mark.parametrize(
    ("library", "homes"),
    [
        ("dask", {"curate.engine.on_dask"}),
        ("distributed", {"curate.engine.on_dask"}),
        ("huggingface_hub", {"curate.hub.client"}),
        ("duckdb", {"curate.stages.filter", "curate.release.diff", "curate.inspect.sandboxed_sql"}),
        ("typer", {"curate.cli.commands", "curate.cli.release_commands", "curate.cli.verbs"}),
        ("rich", {"curate.inspect.progress"}),
        ("jinja2", {"curate.release.pages", "curate.tokens.chat_rendering"}),
        (
            "resiliparse",
            {f"curate.stages.{name}" for name in ("extract", "_charset", "_html_cost", "_formulas")}
            | {"curate.stages._main_content", "curate.stages._scripts", "curate.stages._visible_text"},
        ),
        ("fastwarc", {"curate.models.marked_pages", "curate.sources.http"}),
        ("lightgbm", {"curate.models.train_main_content"}),
        ("isal", {"curate.sources.codecs"}),
        ("zstandard", {"curate.sources.codecs"}),
        ("lz4", {"curate.sources.codecs"}),
        ("torch", set()),
        ("pandas", set()),
        ("tokenizers", {"curate.models.tokenizer"}),
        ("tokie", {"curate.models.tokenizer"}),
        ("math_verify", {"curate.stages._math_process"}),
        ("sympy", set()),
        ("safetensors", {"curate.calibration.distance", "curate.calibration.forms"}),
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
    assert writers == {"curate.engine.store", "curate.demo_corpus", "curate.cli.answers"}  # inputs; what a query found


def _of_parquet(node: ast.Attribute) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id in ("pq", "parquet")


def test_stages_do_not_know_the_engine():
    engine = {
        "curate.engine.plan",
        "curate.engine.planner",
        "curate.engine.execute",
        "curate.engine.store",
        "curate.engine.jobs",
        "curate.manifest.manifest",
        "curate.engine.apply",
    }
    for module in FILES:
        if module.startswith(("curate.stages", "curate.dedup", "curate.mix", "curate.sources")):
            assert not ours(module) & engine, module


def test_planning_touches_neither_files_nor_dask():
    for module in ("curate.engine.plan", "curate.engine.planner"):
        assert not {"os", "pathlib", "dask", "pyarrow.parquet"} & imports(module)


def test_files_are_short():
    assert longest(FILES.values())[0] <= 400


def test_names_of_files_are_unique():
    names = [path.name for path in FILES.values() if path.name != "__init__.py"]
    assert sorted({name for name in names if names.count(name) > 1}) == []


def test_files_of_tests_are_short_and_no_test_hides_another():
    for path in sorted((ROOT / "tests").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        names = [node.name for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)]
        assert len(text.splitlines()) <= 400, path
        assert len(names) == len(set(names)), path
