"""What all verbs share: their registration, how results are printed, common options."""

import os
import sys
from collections.abc import Callable
from functools import wraps
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from curate import __version__
from curate.base.early import end_ctrl_c, leave_ctrl_c
from curate.base.redact import in_error
from curate.base.terminal import say, show, show_json
from curate.errors import Stopped

if TYPE_CHECKING:
    from curate.manifest.manifest import Manifest

app = typer.Typer(
    name="curate",
    help="Turn raw sources into a versioned, documented, verifiable dataset release.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

ManifestArgument = Annotated[str, typer.Argument(help="path of a manifest, or the name of a built-in one")]
Work = Annotated[Path, typer.Option(envvar="CURATE_WORK", help="folder for cached results and releases")]
Json = Annotated[bool, typer.Option("--json", help="print one JSON object on stdout")]
PlaceArgument = Annotated[
    str | None, typer.Argument(help="a release or a manifest [default: the only release in the work folder]")
]
Workers = Annotated[
    int | None,
    typer.Option(
        min=0, envvar="CURATE_WORKERS", help="worker processes; 0: run in this process [default: one per core]"
    ),
]
Scheduler = Annotated[str | None, typer.Option(help="use the running Dask scheduler at this address")]
ProfileFile = Annotated[
    Path | None,
    typer.Option("--profile", envvar="CURATE_PROFILE", help="YAML file with the Dask cluster to start or use"),
]
AllowCode = Annotated[
    list[str] | None,
    typer.Option("--allow-code", metavar="MODULE", help="allow the manifest to run code from this module; repeatable"),
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="replace a value, such as near_dedup.threshold=0.7; repeatable"),
]
WORK = Path("work")
UsageError: Any = typer.BadParameter.__base__  # Typer has it from Click, or from a copy of Click of its own


def _version(asked: bool) -> None:
    if asked:
        show(f"curate {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Hide progress while jobs run.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Print each job as it finishes.")] = False,
) -> None:
    """Options before the command."""
    if quiet or verbose:
        from curate.inspect.progress import EVERYTHING, NOTHING, set_detail

        set_detail(EVERYTHING if verbose else NOTHING)


def obey(app: typer.Typer) -> int:
    """Run the verb that the arguments name; its exit code. What is wrong with them is said as all talk is."""
    try:
        return app(standalone_mode=False)
    except UsageError as error:
        printed = StringIO()
        error.show(file=printed)
        say(in_error(printed.getvalue().rstrip("\n")))
        return error.exit_code


def command(function: Callable) -> Callable:
    """Register a verb: its function returns (what --json prints, lines for people, exit code)."""

    @app.command(name=function.__name__.rstrip("_"))
    @wraps(function)
    def verb(*args, **kwargs):
        try:
            leave_ctrl_c()
            result, lines, code = function(*args, **kwargs)
            if kwargs["as_json"]:
                show_json(result)
            else:
                for line in lines:
                    show(line)
            sys.stdout.flush()
        except KeyboardInterrupt:
            end_ctrl_c()
            raise Stopped("stopped by Ctrl-C", fix="run the same command again to resume") from None
        except BrokenPipeError:  # whoever reads, such as `head`, has enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(code)

    return function


def loaded(manifest: str, settings: list[str] | None) -> "Manifest":
    """The manifest with what `--set` says."""
    from curate.manifest.manifest import load
    from curate.manifest.settings import parse

    return load(manifest, set=parse(settings or ()))
