"""`curate-check`: check manifests without touching inputs, for pre-commit and editors."""

import sys

from curate.base.terminal import say
from curate.errors import CurateError
from curate.manifest.manifest import load


def main() -> None:
    """Print the mistakes of the manifests named on the command line. Exit code 2 if there are any."""
    failed = False
    for path in sys.argv[1:]:
        try:
            load(path)
        except CurateError as error:
            say(str(error))
            failed = True
    sys.exit(CurateError.exit_code if failed else 0)
