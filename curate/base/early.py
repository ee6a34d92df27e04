"""Handle Ctrl-C while the command line is being imported: exit as cleanly as later.

Imported before everything else, so it imports next to nothing, and takes effect at once.
"""

import os
import signal
import sys
from itertools import pairwise
from types import FrameType

EXIT_CODE = 3
"""That of `curate.errors.Stopped`."""


def leave_ctrl_c() -> None:
    """Ctrl-C raises KeyboardInterrupt from here on, and says so at once: putting things in order may take seconds.

    A second one ends the process where it stands. Its workers end with it, and a later run takes no half of a result.
    """
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, _wind_up)


def end_ctrl_c() -> None:
    """It has no effect any more: the process is on its way out, with the exit code that it has."""
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _is_command_line() -> bool:
    """Whether this process runs the script `curate`, or `python -m curate`."""
    if sys.argv[0] == "-m":  # what it always is while the package of a module to be run is imported
        return ("-m", "curate") in pairwise(sys.orig_argv)
    return os.path.basename(sys.argv[0]).removesuffix(".exe") == "curate"


def _end(signum: int, frame: FrameType | None) -> None:
    os.write(2, b"stopped by Ctrl-C\n")
    os._exit(EXIT_CODE)  # whatever was being imported could turn an exception into another


def _wind_up(signum: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGINT, _end)
    os.write(2, b"\nstopping; what is done is kept. Press Ctrl-C again to stop at once.\n")
    raise KeyboardInterrupt


if _is_command_line() and signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else it is not to be heard
    signal.signal(signal.SIGINT, _end)
