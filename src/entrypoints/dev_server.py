"""Everything in one process: API, worker, page, and the demo services behind their own port."""

import asyncio
import sys
import tempfile
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from socket import socket

from encola.domain.errors import InvalidSettings
from encola.entrypoints.api.app import build_api
from encola.entrypoints.api.local_hosts import LocalHosts
from encola.entrypoints.demo.llm import LlmSettings
from encola.entrypoints.demo.services import build_demo
from encola.entrypoints.facade import Encola
from encola.entrypoints.log_lines import log_to_stderr
from encola.entrypoints.pages.mount import page_routes
from encola.entrypoints.server import serve_until_told, serving, take_port, url_of
from encola.entrypoints.settings import Settings, check_front_door

SWITCH_SECONDS = 0.0005
"""Python lets a thread run for 5 ms before another gets a turn; here the store's threads answer in less."""

DEMO_HOST = "127.0.0.1"
DEMO_SERVICES = ("agent", "query", "embedding", "history", "metrics")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """Where it answers; ``demo_url`` and ``data_dir`` only where there are any."""

    url: str
    demo_url: str | None
    data_dir: Path | None


async def serve_dev(app: Encola, settings: Settings, announce: Callable[[Ready], None]) -> None:
    """Serve until SIGINT or SIGTERM; ``announce`` is called once, when it answers.

    :raises InvalidSettings: it cannot start like this
    :raises StoreUnavailable: the store cannot be opened
    """
    check_front_door(settings)
    log_to_stderr(settings.log_level)
    sys.setswitchinterval(SWITCH_SECONDS)
    async with AsyncExitStack() as stack:
        listener = stack.enter_context(take_port(settings.host, settings.port))
        missing = [name for name in DEMO_SERVICES if name not in settings.services]
        demo_listener = stack.enter_context(take_port(DEMO_HOST, 0)) if missing else None
        app.configure(_with_services(settings, missing, demo_listener))
        stack.push_async_callback(app.runtime.stop)
        await app.runtime.open()
        if demo_listener is not None:
            await stack.enter_async_context(_demo(app, settings, demo_listener))
        # The lifespan would do this too, but could not say in one line why it fails.
        await app.runtime.start()
        stack.push_async_callback(app.runtime.stop)  # before the demo services, which running jobs call
        ready = Ready(
            url=url_of(listener),
            demo_url=url_of(demo_listener) if demo_listener else None,
            data_dir=settings.data_dir if settings.profile == "embedded" else None,
        )
        await _serve(app, listener, settings, lambda: announce(ready))


def _with_services(settings: Settings, missing: list[str], listener: socket | None) -> Settings:
    if listener is None:
        return settings
    base = url_of(listener)
    services = {**settings.services, **{name: f"{base}/{name}" for name in missing}}
    return settings.model_copy(update={"services": services})


async def _serve(app: Encola, listener: socket, settings: Settings, on_ready: Callable[[], None]) -> None:
    api = build_api(app.use_cases, app.runtime, page_routes())
    guarded = LocalHosts(api, settings.allowed_hosts)
    level = _server_log_level(settings)
    stopping = app.runtime.stopping
    if not await serve_until_told(guarded, listener, stopping, log_level=level, on_ready=on_ready):
        raise InvalidSettings("The server did not start; the log says why.")


@asynccontextmanager
async def _demo(app: Encola, settings: Settings, listener: socket) -> AsyncGenerator[None, None]:
    with tempfile.TemporaryDirectory(prefix="encola-demo-") as scratch:
        folder = settings.data_dir if settings.profile == "embedded" else Path(scratch)
        services = await asyncio.to_thread(build_demo, folder, app.use_cases.call_service, _llm(settings))
        try:
            async with serving(services, listener, log_level=_server_log_level(settings)):
                yield
        finally:
            services.state.database.close()


def _llm(settings: Settings) -> LlmSettings | None:
    if settings.llm_url is None:
        return None
    return LlmSettings(url=settings.llm_url, model=settings.llm_model, api_key=settings.llm_api_key)


def _server_log_level(settings: Settings) -> str:
    """Keep the server's own start and stop out of the log: we announce ours."""
    return "debug" if settings.log_level == "debug" else "warning"
