"""With `--workers 0`, run jobs that read untrusted data in one child process."""

import sys
from collections.abc import Callable
from pathlib import Path

from curate.base.child import Child, Gone, main
from curate.engine.jobs import run_job
from curate.engine.plan import Job


class JobSandbox:
    """Runs jobs, watched, in a process that ends itself when one hangs. The same process for all, until it is lost.

    The first is a copy of this one, made at once: so it costs milliseconds, and nothing has begun to work here that a
    copy would lack. Other systems than Linux know no safe copies, and a lost process is followed by a new one.
    """

    def __init__(self):
        self.child = Child(__name__, fork=_answers) if sys.platform == "linux" else None

    def run(self, store: Path, job: Job) -> dict | None:
        """The job's marker, or None where it took the process down. Raises what the job raises."""
        if self.child is None:
            self.child = Child(__name__)
        try:
            return self.child.ask((store, job))
        except Gone:
            self.child = None
            return None

    def end(self) -> None:
        if self.child:
            self.child.end()


def _answers(argument: str = "") -> Callable[[tuple[Path, Job]], dict]:
    return lambda question: run_job(*question, "watched")


if __name__ == "__main__":
    main(_answers)
