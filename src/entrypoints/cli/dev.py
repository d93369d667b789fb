"""``encola dev``, ``encola api`` and ``encola worker``: the commands that stay."""

import os
from typing import TYPE_CHECKING, Annotated

import typer

from encola.domain.errors import InvalidSettings
from encola.entrypoints.cli.options import App, AsJson
from encola.entrypoints.cli.terminal import say, say_json

if TYPE_CHECKING:
    from encola.entrypoints.api_server import ApiReady
    from encola.entrypoints.dev_server import Ready
    from encola.entrypoints.facade import Encola


def dev(app: App = None, as_json: AsJson = False) -> None:
    """Run everything in this process: API, worker, page and demo services."""
    import asyncio

    from encola.entrypoints.dev_server import serve_dev

    chosen = chosen_app(app)
    announce = _say_ready_as_json if as_json else _say_ready
    asyncio.run(serve_dev(chosen, chosen.settings, announce))


def api(app: App = None, as_json: AsJson = False) -> None:
    """Run one API process of the distributed profile."""
    import asyncio

    from encola.entrypoints.api_server import run_api

    chosen = _distributed_app("api", app)

    def announce(ready: "ApiReady") -> None:
        if as_json:
            say_json({"url": ready.url, "pid": os.getpid()})
        else:
            say(f"Encola answers at {ready.url}")

    asyncio.run(run_api(chosen, chosen.settings, announce))


def worker(
    app: App = None,
    queues: Annotated[
        str | None, typer.Option(help="Queues to take jobs from, with commas; all of the app's if left out.")
    ] = None,
    concurrency: Annotated[int | None, typer.Option(min=1, help="Jobs at once.")] = None,
    as_json: AsJson = False,
) -> None:
    """Run one worker process of the distributed profile."""
    import asyncio

    from encola.entrypoints.worker_process import run_worker

    chosen = _distributed_app("worker", app)
    changes: dict[str, object] = {}
    if queues is not None:
        changes["queues"] = tuple(name.strip() for name in queues.split(",") if name.strip())
    if concurrency is not None:
        changes["concurrency"] = concurrency
    settings = chosen.settings.model_copy(update=changes)

    def announce() -> None:
        if as_json:
            say_json({"pid": os.getpid(), "concurrency": settings.concurrency})
        else:
            say(f"Encola runs up to {settings.concurrency} jobs at once here")

    asyncio.run(run_worker(chosen, settings, announce))


def chosen_app(target: str | None) -> "Encola":
    """Return the user's instance, or one with the shipped job types only.

    :raises InvalidSettings: it cannot be had
    """
    from encola.entrypoints.cli.loading import load_app
    from encola.entrypoints.facade import Encola
    from encola.entrypoints.settings import load_settings

    target = target or load_settings().app
    return load_app(target) if target else Encola()


def _distributed_app(kind: str, target: str | None) -> "Encola":
    app = chosen_app(target)
    if app.settings.profile != "distributed":
        raise InvalidSettings(
            f"`encola {kind}` needs ENCOLA_PROFILE=distributed; `encola dev` runs everything in one process."
        )
    return app


def _say_ready(ready: "Ready") -> None:
    say(f"Encola is ready: {ready.url}")
    say('Try:  encola submit query \'{"query": "leases"}\' --watch')
    say("Stop: Ctrl-C")


def _say_ready_as_json(ready: "Ready") -> None:
    data_dir = None if ready.data_dir is None else str(ready.data_dir.absolute())
    say_json({"url": ready.url, "demo": ready.demo_url, "data_dir": data_dir, "pid": os.getpid()})
