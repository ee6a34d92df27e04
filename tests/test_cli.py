"""Every verb as people and scripts meet it: stdout is data, stderr is talk, the exit code says how it went."""

import json
import os
import re
import subprocess
import sys

import pytest
import yaml
from conftest import forget_stages, know_odd_stages
from releases import curate, one_source, release, released_rows, rows, write_corpus

from curate import __version__
from curate.cli.commands import app, main

VERBS = {
    "demo",
    "init",
    "plan",
    "run",
    "status",
    "explain",
    "report",
    "verify",
    "diff",
    "publish",
    "remove",
    "train",
    "gc",
}
VERBS |= {"doctor", "fetch"}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(manifest, work folder, release) of a run."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        know_odd_stages(patch)
        manifest = write_corpus(folder)
        yield manifest, folder / "work", release(manifest, folder / "work").path
    forget_stages()


@pytest.fixture
def said(capsys, monkeypatch):
    """Run a command in this process; what it says on stdout and stderr."""

    def run(*arguments, code: int = 0):
        monkeypatch.setattr(sys, "argv", ["curate", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        done = capsys.readouterr()
        assert ended.value.code == code, done.err
        assert "Traceback" not in done.err
        return done

    return run


@pytest.fixture
def found(said):
    """The one JSON value that a command prints on stdout."""
    return lambda *arguments, code=0: json.loads(said(*arguments, "--json", code=code).out)


def test_the_verbs(said):
    assert {command.callback.__name__ for command in app.registered_commands} >= VERBS
    assert set(re.findall(r"^  (\w+) ", said("--help").out, re.M)) >= VERBS


def test_help_says_all_of_each_verb_in_a_line_and_has_a_short_form(said):
    assert said("-h").out == said("--help").out
    assert "..." not in said("-h").out.partition("Commands:")[2]
    assert said("plan", "-h").out == said("plan", "--help").out


def test_version(said):
    assert said("--version").out == f"curate {__version__}\n"


def completed(shell: str, line: str, **environment: str) -> str:
    """What the command answers a shell that asks how a line may go on."""
    words = {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split(" ")) - 1), "_TYPER_COMPLETE_ARGS": line}
    environment = os.environ | words | {"_CURATE_COMPLETE": shell} | environment
    command = [sys.executable, "-c", "from curate.cli.commands import app; app(prog_name='curate')"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60).stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell):
    assert "_CURATE_COMPLETE=complete_" in completed(f"source_{shell}", "")
    for line, expected in {"curate pu": "publish", "curate run --wor": "--workers"}.items():
        answer = completed(f"complete_{shell}", line, _TYPER_COMPLETE_FISH_ACTION="get-args")
        assert expected in answer
        assert "verify" not in answer


def test_bash_completes_with_what_is_installed(tmp_path):
    """Its own function, as `--install-completion` writes it, over a command of that name."""
    (tmp_path / "curate").write_text(f"#!{sys.executable}\nfrom curate.cli.commands import main\nmain()\n")
    (tmp_path / "curate").chmod(0o755)
    (tmp_path / "completion.sh").write_text(completed("source_bash", ""))
    script = f". {tmp_path}/completion.sh; COMP_WORDS=(curate ca); COMP_CWORD=1; _curate_completion curate; "
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", script + 'echo "${COMPREPLY[@]}"'], env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "calibrate\n"


def test_plan_status_explain(made, said, found):
    manifest, work, path = made
    plan = found("plan", manifest, "--work", work)
    assert (plan["name"], plan["run"]) == ("small", 0)
    assert "0 jobs to run" in said("plan", manifest, "--work", work).out
    status = found("status", manifest, "--work", work)
    assert status["made"] == status["jobs"]
    assert status["release"] == str(path)
    row = released_rows(path)[0]
    for wanted in (row["id"], row["id"][:12], row["url"]):
        assert row["id"] in json.dumps(found("explain", manifest, wanted, "--work", work))
    lines = said("explain", manifest, row["id"], "--work", work)
    assert row["url"] in lines.out
    assert lines.err == ""


def test_run_prints_one_object_and_talks_on_stderr(made, said, found):
    manifest, work, path = made
    result = found("run", manifest, "--work", work, "--workers", 0)
    assert result["release"] == str(path)
    assert result["changed"] is False
    assert result["lock"] == json.loads((path / "lock.json").read_text())
    done = said("run", manifest, "--work", work, "--workers", 0)
    assert result["lock"]["digest"] in done.out
    assert "(unchanged)" in done.out


def test_report_says_again_what_a_run_said(made, said, found):
    manifest, work, path = made
    of_run = said("run", manifest, "--work", work, "--workers", 0).out.splitlines()
    again = said("report", path).out
    assert all(line.replace(" (unchanged)", "") in again for line in of_run)
    assert str(path / "report.html") in again
    assert found("report", path) == json.loads((path / "lock.json").read_text())
    assert "no lock.json" in said("report", work, code=2).err


def test_a_first_run_says_how_it_goes_on_without_colour(tmp_path):
    manifest = one_source(tmp_path, rows(1, 5), [])
    environment = os.environ | {"NO_COLOR": "1", "FORCE_COLOR": "1"}
    done = curate("run", manifest, "--work", tmp_path / "work", "--workers", 0, env=environment)
    assert done.returncode == 0, done.stderr
    assert "\x1b[3" not in done.stdout + done.stderr
    assert "jobs" in done.stderr


def test_verify_says_1_where_a_file_changed(made, tmp_path, said, found):
    *_, path = made
    assert found("verify", path)["problems"] == []
    assert said("verify", path).out.startswith("ok: ")
    (path / "note.txt").write_text("not in the lock")
    try:
        assert [problem["where"] for problem in found("verify", path, code=1)["problems"]] == ["note.txt"]
        assert "fix: " in said("verify", path, code=1).out
    finally:
        (path / "note.txt").unlink()


def test_gc(made, tmp_path, said, found):
    manifest, work, _ = made
    assert found("gc", manifest, "--work", work, "--dry-run")["removed"] == 0
    assert "kept" in said("gc", manifest, "--work", work, "--dry-run").out


def test_init_then_plan(tmp_path, said, found):
    path, data = tmp_path / "new" / "mine.yaml", tmp_path / "pages.warc.gz"
    assert found("init", path, "--input", str(data), "--input", "more/*.warc.gz")["manifest"] == str(path)
    assert str(data) in path.read_text()
    assert "already exists" in said("init", path, code=2).err
    error = found("plan", path, "--work", tmp_path / "work", code=2)["error"]
    assert "pages.warc.gz" in json.dumps(error)


@pytest.mark.parametrize("name", ["rows.jsonl.gz", "rows.parquet", "folder"])
def test_init_writes_a_manifest_for_rows(tmp_path, found, name):
    (tmp_path / "folder" / "inner").mkdir(parents=True)
    for file in ("inner/a.jsonl", "README.md"):
        (tmp_path / "folder" / file).write_text("")
    path = tmp_path / "mine.yaml"
    found("init", path, "--input", str(tmp_path / name))
    assert yaml.safe_load(path.read_text())["sources"]["rows"]["pipeline"] == ["normalize"]


def test_doctor():
    done = curate("doctor", "--json")
    checks = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert {"python", "cores", "work folder"} <= set(checks)
    assert checks["python"]["ok"]
    assert done.returncode == (0 if all(check["ok"] for check in checks.values()) else 1)


MISTAKES = {
    "manifest": (["plan", "no-such"], "no such manifest: no-such"),
    "release": (["verify", "."], "not a release: no lock.json"),
    "document": (["explain", "MANIFEST", "0123456789", "--work", "WORK"], "no document has the id 0123456789"),
    "work folder": (["run", "MANIFEST", "--work", "MANIFEST/work", "--workers", "0"], ""),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_ends_with_2_and_says_what_where_and_how_to_fix_it(made, name, said):
    manifest, work, _ = made
    arguments, says = MISTAKES[name]
    arguments = [word.replace("MANIFEST", str(manifest)).replace("WORK", str(work)) for word in arguments]
    done = said(*arguments, code=2)
    assert done.out == ""
    assert done.err.startswith(f"error: {says}")
    assert set(json.loads(said(*arguments, "--json", code=2).out)) == {"error"}


def test_all_mistakes_of_a_manifest_as_json(tmp_path, found):
    manifest = one_source(tmp_path, [], [{"lenght": 3}], license=5)
    problems = found("run", manifest, "--work", tmp_path, code=2)["error"]["problems"]
    assert {problem["fix"] for problem in problems} >= {"did you mean `length`?"}
    assert all(problem["where"].startswith(f"{manifest}:") for problem in problems)
    assert len(problems) == 2


@pytest.mark.parametrize(
    "arguments", [["rnu"], ["run"], ["run", "x", "--wrkers", "2"], ["run", "x", "--workers", "-1"]]
)
def test_usage_errors_end_with_2(arguments, said):
    done = said(*arguments, code=2)
    assert done.out == ""
    assert "Usage" in done.err or "Error" in done.err


@pytest.mark.parametrize("old", [["--recipe", "compare"], ["--recipe", "compare", "--with", "y"], ["--with", "y"]])
def test_the_old_spelling_of_compare_names_the_new_one(old, said):
    assert "curate compare SET OTHER" in said("calibrate", "x", *old, code=2).err


def test_usage_errors_show_no_credential_and_obey_no_escape_sequence(said):
    done = said("https://user:hunter2@example.org/x", code=2)
    assert "hunter2" not in done.err
    assert "https://example.org/x" in done.err
    done = said("run", "x", "--\x1b[31mred", code=2)
    assert "\x1b" not in done.err
    assert r"\x1b[31mred" in done.err


def test_a_bug_ends_with_70(tmp_path):
    script = "import curate.inspect.status as s, curate.cli.commands as c; s.status = lambda *a: 1 / 0; c.main()"
    command = [sys.executable, "-c", script, "status", "template"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 70
    assert "ZeroDivisionError" in done.stderr
    assert "please report it" in done.stderr


def test_a_reader_that_has_enough_is_no_failure(made):
    manifest, work, _ = made
    script = f"{sys.executable} -m curate plan {manifest} --work {work} | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_settings_from_the_environment(tmp_path):
    manifest = one_source(tmp_path, rows(1, 5), [])
    environment = os.environ | {"CURATE_WORK": str(tmp_path / "here"), "CURATE_WORKERS": "0"}
    done = curate("run", manifest, "--json", env=environment)
    assert json.loads(done.stdout)["release"] == str(tmp_path / "here" / "releases" / "one" / "1.0.0")
