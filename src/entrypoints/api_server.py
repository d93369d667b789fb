"""One process that answers HTTP."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from socket import socket

from encola.domain.errors import InvalidSettings
from encola.entrypoints.api.app import build_api
from encola.entrypoints.api.local_hosts import LocalHosts
from encola.entrypoints.facade import Encola
from encola.entrypoints.log_lines import log_to_stderr
from encola.entrypoints.pages.mount import page_routes
from encola.entrypoints.quick_threads import be_quick
from encola.entrypoints.server import serve_until_told, take_port, url_of
from encola.entrypoints.settings import Settings, check_front_door


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiReady:
    """Where it answers."""

    url: str


async def run_api(app: Encola, settings: Settings, announce: Callable[[ApiReady], None]) -> None:
    """Answer HTTP until SIGINT or SIGTERM; ``announce`` is called once, when it does.

    :raises InvalidSettings: it cannot start like this
    """
    check_front_door(settings)
    log_to_stderr(settings.log_level)
    be_quick()
    async with AsyncExitStack() as stack:
        listener = stack.enter_context(take_port(settings.host, settings.port))
        app.configure(settings)
        stack.push_async_callback(app.runtime.stop)
        await app.runtime.start(works=False)
        ready = ApiReady(url=url_of(listener))
        await serve_api(app, listener, settings, lambda: announce(ready))


async def serve_api(app: Encola, listener: socket, settings: Settings, on_ready: Callable[[], None]) -> None:
    """Serve the API and the page until told to stop.

    :raises InvalidSettings: the server did not start
    """
    api = build_api(app.use_cases, app.runtime, page_routes())
    guarded = LocalHosts(api, settings.allowed_hosts)
    level = server_log_level(settings)
    stopping = app.runtime.stopping
    if not await serve_until_told(guarded, listener, stopping, log_level=level, on_ready=on_ready):
        raise InvalidSettings("The server did not start; the log says why.")


def server_log_level(settings: Settings) -> str:
    """Return a level that keeps the server's own start and stop out of the log: we announce ours."""
    return "debug" if settings.log_level == "debug" else "warning"
