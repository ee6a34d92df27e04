"""Manifests are data: what they name runs where the person who runs allows it, and never while planning."""

import json
import sys

import pytest
from releases import one_source, release, rows
from typer.testing import CliRunner

from curate import run_events
from curate.cli.commands import app, main
from curate.errors import ManifestError
from curate.manifest import allowed_code as code
from curate.manifest.manifest import load

MODULE = """
from pathlib import Path
import pyarrow.compute as pc

Path({marker!r}).write_text("ran")


def lengths(docs):
    return {{"n": pc.utf8_length(docs["text"])}}


def fails(docs):
    return {{"n": [1 // 0]}}
"""


@pytest.fixture
def spy(tmp_path, monkeypatch):
    """A module `spied.inner` that leaves a file when it, or the package around it, is imported: that file."""
    marker = tmp_path / "ran"
    package = tmp_path / "modules" / "spied"
    package.mkdir(parents=True)
    for name in ("__init__", "inner"):
        (package / f"{name}.py").write_text(MODULE.format(marker=str(marker)))
    monkeypatch.syspath_prepend(package.parent)
    monkeypatch.delenv(code.ALLOW, raising=False)
    yield marker
    for name in ("spied", "spied.inner"):
        sys.modules.pop(name, None)


def annotating(folder, function: str):
    return one_source(folder, rows(1, 3), [{"annotate": {"function": function, "adds": {"n": "int64"}}}])


@pytest.mark.parametrize("verb", ["plan", "status", "gc", "explain", "run"])
def test_no_verb_runs_what_is_not_allowed(tmp_path, spy, verb, monkeypatch, capsys):
    manifest = annotating(tmp_path, "spied.inner:lengths")
    arguments = [verb, str(manifest), *(["00000000"] if verb == "explain" else []), "--work", str(tmp_path / "work")]
    monkeypatch.setattr(sys, "argv", ["curate", *arguments, *(["--workers", "0"] if verb == "run" else [])])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == (2 if verb in ("run", "explain") else 0), capsys.readouterr().err
    assert not spy.exists()
    if verb == "run":
        said = capsys.readouterr().err
        assert "`annotate` runs `spied.inner:lengths`, which is not allowed" in said
        assert "--allow-code spied.inner" in said
        assert f"{manifest}:" in said


@pytest.mark.parametrize("allowed", ["spied", "spied.inner"])
def test_a_module_or_a_package_around_it_is_allowed(tmp_path, spy, allowed):
    manifest = annotating(tmp_path, "spied.inner:lengths")
    *_, made = run_events(manifest, tmp_path / "work", workers=0, allow_code=[allowed])
    assert made.lock["documents"] == 3
    assert spy.exists()


@pytest.mark.parametrize("allowed", ["spied.inne", "spied.inner.more", "other", "spied.inner:lengths"])
def test_another_name_allows_nothing(tmp_path, spy, allowed):
    with pytest.raises(ManifestError, match="not allowed"):
        list(
            run_events(annotating(tmp_path, "spied.inner:lengths"), tmp_path / "work", workers=0, allow_code=[allowed])
        )
    assert not spy.exists()


def test_the_command_line_and_the_environment_allow(tmp_path, spy, monkeypatch):
    manifest, work = annotating(tmp_path, "spied.inner:lengths"), str(tmp_path / "work")
    arguments = ["run", str(manifest), "--work", work, "--workers", "0", "--json"]
    done = CliRunner().invoke(app, [*arguments, "--allow-code", "other", "--allow-code", "spied.inner"])
    assert json.loads(done.stdout)["changed"]
    monkeypatch.setenv(code.ALLOW, "other, spied")
    assert release(manifest, tmp_path / "work").changed is False


def test_a_registered_function_needs_no_leave(tmp_path, spy, monkeypatch):
    class Point:
        value = "spied.inner:lengths"

    monkeypatch.setattr(code, "entry_points", lambda group: [Point] if group == "curate.functions" else [])
    release(annotating(tmp_path, "spied.inner:lengths"), tmp_path / "work")
    with pytest.raises(ManifestError, match="not allowed"):
        release(annotating(tmp_path, "spied.inner:fails"), tmp_path / "work")


def test_mistakes_are_found_without_running_anything(tmp_path, spy):
    for function, what in (
        ("spied.inner:length", "did you mean `lengths`?"),
        ("spied.iner:lengths", "cannot import `spied.iner`"),
        ("spied.inner", "is not the name of a function"),
        ("spied.inner:a.b", "is not the name of a function"),
        ("../spied:lengths", "is not the name of a function"),
    ):
        with pytest.raises(ManifestError) as caught:
            run_plan(annotating(tmp_path, function), tmp_path / "work")
        assert what in str(caught.value)
    assert not spy.exists()


def run_plan(manifest, work):
    from curate.release.make import prepare

    return prepare(load(manifest), work)


def test_a_function_that_fails_is_named(tmp_path, spy):
    manifest = annotating(tmp_path, "spied.inner:fails")
    with pytest.raises(Exception, match=r"`spied.inner:fails` raised ZeroDivisionError: .*inner.py:1\d"):
        list(run_events(manifest, tmp_path / "work", workers=0, allow_code=["spied"]))


def test_blocks_of_datatrove_alone_need_no_leave(tmp_path, spy):
    pytest.importorskip("datatrove")
    own = one_source(tmp_path, rows(1, 3), [{"datatrove": "datatrove.pipeline.filters.FineWebQualityFilter"}])
    code.check_code(load(own))
    other = one_source(tmp_path, rows(1, 3), [{"datatrove": "spied.inner.Filter"}])
    run_plan(other, tmp_path / "work")
    with pytest.raises(ManifestError, match=r"runs `spied.inner:Filter`.*"):
        code.check_code(load(other))
    assert not spy.exists()
