"""What is installed: the files of the wheel, and the check of manifests that comes with it."""

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).resolve().parents[1]
CHECK = [sys.executable, "-c", "from curate.manifest.check_files import main; main()"]


def test_the_wheel_has_the_library_and_no_tests(tmp_path):
    [wheel] = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    names = set(zipfile.ZipFile(wheel).namelist())
    for kind in ("pipelines", "classifiers", "manifests"):
        for path in (ROOT / kind).glob("*.yaml"):
            assert f"curate/_library/{kind}/{path.name}" in names
    for path in (ROOT / "curate").rglob("*.jinja"):
        assert path.relative_to(ROOT).as_posix() in names
    assert {name.split("/")[0] for name in names} == {"curate", "curate_corpus-0.1.0.dist-info"}


def test_the_hook_runs_an_installed_command():
    [hook] = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
    assert hook["id"] == "curate-check"
    assert scripts[hook["entry"]] == "curate.manifest.check_files:main"


@pytest.mark.parametrize(("name", "code"), [("good.yaml", 0), ("bad.yaml", 2)])
def test_check_reads_manifests_and_not_their_inputs(tmp_path, name, code):
    text = "name: x\nversion: 0.1.0\nlicense: other\nsources: {web: {inputs: [nowhere.jsonl]}}\n"
    (tmp_path / "good.yaml").write_text(text)
    (tmp_path / "bad.yaml").write_text(text + "stages: [lenght]\n")
    done = subprocess.run([*CHECK, "good.yaml", name], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    assert ("bad.yaml:5" in done.stderr) == (code == 2)
