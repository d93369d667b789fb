"""Options that several commands share, given before the command or after it."""

from typing import Annotated, Any

import typer


def _inherited(ctx: typer.Context, param: typer.CallbackParam, value: Any) -> Any:
    """Fall back to what was given before the command."""
    return value or (ctx.obj or {}).get(param.name)


AsJson = Annotated[
    bool, typer.Option("--json", callback=_inherited, help="Print JSON, for programs; errors too.")
]
App = Annotated[
    str | None,
    typer.Option("--app", metavar="MODULE:ATTRIBUTE", help="Your Encola instance.  [env: ENCOLA_APP]"),
]
Url = Annotated[
    str | None,
    typer.Option(
        "--url",
        callback=_inherited,
        help="The server to talk to.  [env: ENCOLA_URL; default: this machine's ENCOLA_PORT]",
    ),
]
Tenant = Annotated[
    str | None, typer.Option("--tenant", callback=_inherited, help="Whose jobs.  [default: default]")
]
JobIdArgument = Annotated[str, typer.Argument(metavar="ID", help="The job's id.")]
