"""``encola submit`` and ``encola jobs``."""

import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from encola.domain.job import JobStatus, Priority
from encola.entrypoints.cli.failures import CommandFailed
from encola.entrypoints.cli.options import AsJson, JobIdArgument, Tenant, Url
from encola.entrypoints.cli.terminal import (
    is_interactive,
    notice,
    say,
    say_json,
    say_table,
    say_value,
)
from encola.entrypoints.cli.watch import follow_to_end

if TYPE_CHECKING:
    from encola.entrypoints.cli.remote import Remote

PAGE = 100
_SHOWN_FIRST = ("job_id", "type", "status", "queue", "priority", "attempt", "created_at", "finished_at")

app = typer.Typer(help="List, show, cancel and retry jobs.", rich_markup_mode=None)


def submit(
    job_type: Annotated[str, typer.Argument(metavar="TYPE", help="The job's type.")],
    params: Annotated[
        str, typer.Argument(metavar="JSON", help="Its params; `-` reads them from stdin.")
    ] = "null",
    watch: Annotated[bool, typer.Option("--watch", help="Watch it until it ends.")] = False,
    queue: Annotated[str | None, typer.Option(help="Run it from this queue.")] = None,
    priority: Annotated[Priority | None, typer.Option(help="Which of the waiting jobs goes first.")] = None,
    delay: Annotated[float | None, typer.Option(help="Wait so many seconds before it may run.")] = None,
    ttl: Annotated[float | None, typer.Option(help="Let it expire after waiting so many seconds.")] = None,
    timeout: Annotated[float | None, typer.Option(help="Stop an attempt after so many seconds.")] = None,
    retries: Annotated[int | None, typer.Option(help="How often to try again.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="A tag; may be repeated.")] = None,
    idempotency_key: Annotated[str | None, typer.Option(help="The same key, the same job, for 24 h.")] = None,
    use_cache: Annotated[
        bool, typer.Option("--use-cache", help="Take the result of an equal job, if its type allows.")
    ] = False,
    tenant: Tenant = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Submit a job; print its id, or with --watch its way to the result."""
    from encola.entrypoints.cli.following import Follower
    from encola.entrypoints.cli.remote import connect

    options: dict[str, Any] = {
        "queue": queue,
        "priority": priority,
        "delay": delay,
        "ttl": ttl,
        "timeout": timeout,
        "retries": retries,
        "tags": tag,
        "use_cache": use_cache,
    }
    given = {name: value for name, value in options.items() if value is not None}
    remote = connect(url, tenant)
    body = {"type": job_type, "params": read_params(params), **given}
    key = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
    job = remote.post("/api/jobs", body, headers=key)
    if watch:
        follow_to_end(Follower(remote=remote, job_id=job["job_id"], is_known=True), as_json=as_json)
    else:
        _show_submitted(job, as_json=as_json)


@app.command("list")
def list_jobs(
    status: Annotated[list[JobStatus] | None, typer.Option(help="Only this; may be repeated.")] = None,
    type: Annotated[list[str] | None, typer.Option(help="Only this type; may be repeated.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="Only with this tag; may be repeated.")] = None,
    q: Annotated[str | None, typer.Option("--q", help="Only with this text in id, params, error.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    everything: Annotated[bool, typer.Option("--all", help="All of them, whatever --limit says.")] = False,
    tenant: Tenant = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """List jobs, newest first."""
    from encola.entrypoints.cli.remote import connect

    filters = {"status": status, "type": type, "tag": tag, "q": q}
    query = {name: value for name, value in filters.items() if value}
    found: list[dict[str, Any]] = []
    for page in _pages(connect(url, tenant), query, None if everything else limit):
        if as_json:
            found += page
        elif page:
            say_table(map(_row, page))
    if as_json:
        say_json({"jobs": found})


@app.command()
def show(job_id: JobIdArgument, tenant: Tenant = None, url: Url = None, as_json: AsJson = False) -> None:
    """Show one job."""
    from encola.entrypoints.cli.remote import connect, path_part

    job = connect(url, tenant).get(f"/api/jobs/{path_part(job_id)}")
    if as_json:
        say_json(job)
        return
    say_table((name, job[name]) for name in _SHOWN_FIRST if job[name] is not None)
    for name in ("params", "progress", "result", "error"):
        if job[name] is not None:
            say(f"{name}:")
            say_value(job[name])


@app.command()
def cancel(job_id: JobIdArgument, tenant: Tenant = None, url: Url = None, as_json: AsJson = False) -> None:
    """Stop a job: what waits never runs, what runs is cancelled."""
    _change(job_id, "cancel", url, tenant, as_json=as_json)


@app.command()
def retry(job_id: JobIdArgument, tenant: Tenant = None, url: Url = None, as_json: AsJson = False) -> None:
    """Queue a job again that ended without completing."""
    _change(job_id, "retry", url, tenant, as_json=as_json)


def read_params(text: str) -> Any:
    """Return the JSON of the command line, or of stdin for ``-``.

    :raises CommandFailed: it is not JSON
    """
    try:
        return json.loads(sys.stdin.read() if text == "-" else text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        message = f'The params are not JSON: {error}. Quote them: \'{{"query": "leases"}}\'.'
        raise CommandFailed(message, code="usage", exit_code=2) from None


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _show_submitted(job: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        say_json(job)
        return
    say(job["job_id"])
    if is_interactive():
        notice(f"{job['status']}; watch it with `encola watch {job['job_id']}`")


def _pages(remote: "Remote", query: dict[str, Any], limit: int | None) -> Iterator[list[dict[str, Any]]]:
    """Yield pages of jobs, ``limit`` jobs in all."""
    left, cursor = limit, None
    while left is None or left > 0:
        asked = {**query, "limit": PAGE if left is None else min(left, PAGE)}
        answer = remote.get("/api/jobs", {**asked, "cursor": cursor} if cursor else asked)
        yield answer["jobs"]
        left = None if left is None else left - len(answer["jobs"])
        cursor = answer["next_cursor"]
        if not cursor:
            return


def _row(job: dict[str, Any]) -> tuple[str, ...]:
    progress = job["progress"] or {}
    shown = "" if job["final"] or not progress else f"{progress['percent']}% {progress['message']}"
    note = job["error"] or shown
    return job["job_id"], job["status"].ljust(10), job["created_at"], job["type"], note


def _change(job_id: str, what: str, url: str | None, tenant: str | None, *, as_json: bool) -> None:
    from encola.entrypoints.cli.remote import connect, path_part

    job = connect(url, tenant).post(f"/api/jobs/{path_part(job_id)}/{what}")
    if as_json:
        say_json(job)
    else:
        say(f"{job['job_id']} {job['status']}")
