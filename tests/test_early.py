"""Ctrl-C before a command has started ends it quietly, with the exit code of Ctrl-C later on."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from package import python_path

from curate.errors import Stopped

INTERRUPT = "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(30)\n"
"""A module that is interrupted while it is imported."""

SCRIPT = "import sys\nfrom curate.cli.commands import main\nsys.exit(main())\n"
"""What an installer writes as the command."""


def interrupted(folder: Path, module: str, command: list[str], **options) -> subprocess.CompletedProcess:
    """Run a command in which Ctrl-C comes while the module is imported."""
    (folder / f"{module}.py").write_text(INTERRUPT)
    env = os.environ | {"PYTHONPATH": python_path(folder)}
    return subprocess.run([sys.executable, *command], env=env, capture_output=True, text=True, timeout=60, **options)


@pytest.mark.parametrize("module", ["pydantic", "typer"])
@pytest.mark.parametrize("how", ["module", "script"])
def test_while_it_is_imported(tmp_path, module, how):
    script = tmp_path / "bin" / "curate"
    script.parent.mkdir()
    script.write_text(SCRIPT)
    command = ["-m", "curate"] if how == "module" else [str(script)]
    done = interrupted(tmp_path, module, [*command, "doctor"])
    assert (done.returncode, done.stderr) == (Stopped.exit_code, "stopped by Ctrl-C\n")


def test_a_program_that_imports_it_hears_ctrl_c_itself(tmp_path):
    code = "try:\n    import curate.cli.commands\nexcept KeyboardInterrupt:\n    print('heard')\n"
    assert interrupted(tmp_path, "typer", ["-c", code]).stdout == "heard\n"


def test_one_that_is_not_to_hear_it_does_not(tmp_path):
    """As what a shell runs in the background."""
    (tmp_path / "deaf.py").write_text(
        "import runpy, signal, sys\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "sys.argv[:] = ['curate', '--help']\nimport curate\n"
        "assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN\nprint('deaf')\n"
    )
    assert interrupted(tmp_path, "unused", [str(tmp_path / "deaf.py")]).stdout == "deaf\n"


def test_once_a_command_has_started_it_is_an_exception(tmp_path):
    """With the message that says how to resume, and as JSON where that is asked for."""
    code = "import sys\nsys.argv[:] = ['curate', 'doctor', '--json']\n"
    code += "import curate.cli.commands, curate.inspect.doctor\n"
    code += "def interrupted(*_):\n    import interrupting\n"
    code += "curate.inspect.doctor.doctor = interrupted\ncurate.cli.commands.main()\n"
    done = interrupted(tmp_path, "interrupting", ["-c", code])
    assert done.returncode == Stopped.exit_code
    heard, *rest = done.stderr.lstrip("\n").splitlines()
    assert heard == "stopping; what is done is kept. Press Ctrl-C again to stop at once."
    assert rest == ["error: stopped by Ctrl-C", "fix: run the same command again to resume"]
    assert '"stopped by Ctrl-C"' in done.stdout
