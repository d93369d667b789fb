"""``encola dev``, ``encola api`` and ``encola worker``: the commands that stay."""

import os
from typing import TYPE_CHECKING

from encola.domain.errors import InvalidSettings
from encola.entrypoints.cli.options import App, AsJson
from encola.entrypoints.cli.terminal import say, say_json

if TYPE_CHECKING:
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
    _start_distributed("api", app)


def worker(app: App = None, as_json: AsJson = False) -> None:
    """Run one worker process of the distributed profile."""
    _start_distributed("worker", app)


def chosen_app(target: str | None) -> "Encola":
    """Return the user's instance, or one with the shipped job types only.

    :raises InvalidSettings: it cannot be had
    """
    from encola.entrypoints.cli.loading import load_app
    from encola.entrypoints.facade import Encola
    from encola.entrypoints.settings import load_settings

    target = target or load_settings().app
    return load_app(target) if target else Encola()


def _start_distributed(kind: str, target: str | None) -> None:
    app = chosen_app(target)
    if app.settings.profile != "distributed":
        raise InvalidSettings(
            f"`encola {kind}` needs ENCOLA_PROFILE=distributed; `encola dev` runs everything in one process."
        )
    assert app.container  # builds it, or says why it cannot


def _say_ready(ready: "Ready") -> None:
    say(f"Encola is ready: {ready.url}")
    say('Try:  encola submit query \'{"query": "leases"}\' --watch')
    say("Stop: Ctrl-C")


def _say_ready_as_json(ready: "Ready") -> None:
    data_dir = None if ready.data_dir is None else str(ready.data_dir.absolute())
    say_json({"url": ready.url, "demo": ready.demo_url, "data_dir": data_dir, "pid": os.getpid()})
