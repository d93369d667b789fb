"""The ``encola`` command."""

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from encola import __version__
from encola.domain.errors import EncolaError
from encola.entrypoints.cli import config, dev, doctor, jobs, watch
from encola.entrypoints.cli.failures import CommandFailed
from encola.entrypoints.cli.terminal import report, say

INTERRUPTED = 130

# Help without boxes: it starts twice as fast, and reads the same in a pipe.
app = typer.Typer(
    help="Background jobs that people watch.",
    rich_markup_mode=None,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        say(f"encola {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _before_any_command(
    ctx: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs; errors too.")] = False,
    url: Annotated[
        str | None, typer.Option("--url", envvar="ENCOLA_URL", help="The server to talk to.")
    ] = None,
) -> None:
    ctx.obj = {"as_json": as_json, "url": url}
    if ctx.invoked_subcommand is None:
        say(ctx.get_help())


for command in (dev.dev, dev.api, dev.worker, jobs.submit, watch.watch, doctor.doctor):
    app.command()(command)
app.add_typer(jobs.app, name="jobs")
app.add_typer(config.app, name="config")


def main(arguments: Sequence[str]) -> int:
    """Run one command line; return the exit code."""
    as_json = "--json" in arguments
    try:
        code = app(list(arguments), prog_name="encola", standalone_mode=False)
        sys.stdout.flush()
    except typer.TyperException as error:
        report(error.format_message(), "usage", as_json=as_json)
        return error.exit_code
    except CommandFailed as error:
        report(str(error), error.code, as_json=as_json)
        return error.exit_code
    except EncolaError as error:
        report(str(error), error.code, as_json=as_json)
        return 1
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except BrokenPipeError:
        _forget_stdout()
        return 1
    if code == INTERRUPTED:
        report("interrupted", "interrupted", as_json=as_json)
    return code if isinstance(code, int) else 0


def run() -> None:
    """Be the console script."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a character gets its escape, not a crash.
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    sys.exit(main(sys.argv[1:]))


def _forget_stdout() -> None:
    """Keep the interpreter from complaining, while it exits, that nobody reads us any more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    run()
