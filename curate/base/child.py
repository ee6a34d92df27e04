"""A child process that answers requests and may crash while doing so."""

import os
import pickle
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any


class Gone(Exception):
    """The process died over what it was asked, or took too long."""


class Child:
    """A process that serves a module's `answers(argument)`, a function of what is asked.

    module    run as `python -m module`, which must call `main(answers)`
    fork      a copy of this process in place of a new one: at once, and only where no thread holds anything it needs
    env       variables that a new process has beside those of this one

    (A worker of Dask, a daemon, may not use multiprocessing.)
    """

    def __init__(
        self,
        module: str,
        argument: str = "",
        fork: Callable[[str], Callable] | None = None,
        env: dict[str, str] | None = None,
    ):
        ours, theirs = socket.socketpair()
        self.pipe = Connection(ours.detach())
        self.process: subprocess.Popen | None = None
        if fork is None:
            command = [sys.executable, "-m", module, str(theirs.fileno()), argument]
            self.process = subprocess.Popen(
                command, pass_fds=[theirs.fileno()], stderr=subprocess.DEVNULL, env=os.environ | (env or {})
            )
            self.pid = self.process.pid
        else:
            self.pid = os.fork()
            if not self.pid:
                _copy(self.pipe, theirs, fork, argument)
        theirs.close()

    def ask(self, question: Any, seconds: float | None = None) -> Any:
        """The answer, or the exception that it raised there. Raises Gone where the process died, or took longer."""
        try:
            self.pipe.send(question)
            if self.pipe.poll(seconds):
                answer, error = self.pipe.recv()
                if error is not None:
                    raise error
                return answer
        except (EOFError, ConnectionError):
            pass
        self.end()
        raise Gone

    def end(self) -> None:
        """End the process, whatever it does."""
        if self.pid:
            self.pipe.close()
            os.kill(self.pid, signal.SIGKILL)
            if self.process:
                self.process.wait()
            else:
                os.waitpid(self.pid, 0)
            self.pid = 0


def _copy(ours: Connection, theirs: socket.socket, fork: Callable[[str], Callable], argument: str) -> None:
    try:
        ours.close()
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that asks
        _serve(Connection(theirs.detach()), fork(argument))
    finally:
        os._exit(0)


def main(answers: Callable[[str], Callable]) -> None:
    """Serve, as the module that a Child runs."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _serve(Connection(int(sys.argv[1])), answers(sys.argv[2]))


def _serve(pipe: Connection, answer: Callable[[Any], Any]) -> None:
    try:
        while True:
            question = pipe.recv()
            try:
                reply = (answer(question), None)
            except BaseException as error:  # a panic of Rust is no Exception
                reply = (None, _portable(error))
            pipe.send(reply)
    except (EOFError, ConnectionError):
        pass


def _portable(error: BaseException) -> BaseException:
    """The error, or its like where it cannot be sent."""
    try:
        again = pickle.loads(pickle.dumps(error))
    except Exception:
        again = RuntimeError("".join(traceback.format_exception_only(error)).strip())
    if not hasattr(again, "exit_code"):  # what a person is told needs no trace; what is a bug does
        again.add_note("".join(traceback.format_exception(error)))
    return again
