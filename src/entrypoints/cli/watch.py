"""``encola watch``: a job to its end, and its result."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from encola.entrypoints.cli.failures import CommandFailed
from encola.entrypoints.cli.options import AsJson, JobIdArgument, Tenant, Url
from encola.entrypoints.cli.terminal import say_value

if TYPE_CHECKING:
    from encola.entrypoints.cli.following import Follower


def watch(
    job_id: JobIdArgument,
    since: Annotated[int, typer.Option(min=0, help="The last event (seq) that you have seen.")] = 0,
    tenant: Tenant = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Watch a job until it ends; exit 0 when it completed."""
    from encola.entrypoints.cli.following import Follower
    from encola.entrypoints.cli.remote import connect, path_part

    remote = connect(url, tenant)
    follow_to_end(Follower(remote=remote, job_id=path_part(job_id), seq=since), as_json=as_json)


def follow_to_end(follower: "Follower", *, as_json: bool) -> None:
    """Show a job up to its end, and then its result.

    :raises CommandFailed: it ended otherwise than completed
    """
    from encola.entrypoints.cli.views import make_view

    last: dict[str, Any] = {}
    try:
        with make_view(as_json=as_json) as view:
            for message in follower:
                view.show(message)
                last = message.fields
    except KeyboardInterrupt:
        again = f"encola watch {follower.job_id}"
        raise CommandFailed(
            f"stopped watching; the job goes on (`{again}`)", code="interrupted", exit_code=130
        ) from None
    if last["status"] != "completed":
        code = (last.get("error_info") or {}).get("code", last["status"])
        raise CommandFailed(f"job {last['status']}: {last.get('error')}", code=code)
    if not as_json:
        say_value(last["result"])
