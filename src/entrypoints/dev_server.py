"""Everything in one process: API, worker, page, and the demo services behind their own port."""

import asyncio
import tempfile
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from socket import socket

from encola.entrypoints.api_server import serve_api, server_log_level
from encola.entrypoints.demo.llm import LlmSettings
from encola.entrypoints.demo.services import build_demo
from encola.entrypoints.facade import Encola
from encola.entrypoints.log_lines import log_to_stderr
from encola.entrypoints.quick_threads import be_quick
from encola.entrypoints.server import serving, take_port, url_of
from encola.entrypoints.settings import Settings, check_front_door

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
    be_quick()
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
        await serve_api(app, listener, settings, lambda: announce(ready))


def _with_services(settings: Settings, missing: list[str], listener: socket | None) -> Settings:
    if listener is None:
        return settings
    base = url_of(listener)
    services = {**settings.services, **{name: f"{base}/{name}" for name in missing}}
    return settings.model_copy(update={"services": services})


@asynccontextmanager
async def _demo(app: Encola, settings: Settings, listener: socket) -> AsyncGenerator[None, None]:
    with tempfile.TemporaryDirectory(prefix="encola-demo-") as scratch:
        folder = settings.data_dir if settings.profile == "embedded" else Path(scratch)
        services = await asyncio.to_thread(build_demo, folder, app.use_cases.call_service, _llm(settings))
        try:
            async with serving(services, listener, log_level=server_log_level(settings)):
                yield
        finally:
            services.state.database.close()


def _llm(settings: Settings) -> LlmSettings | None:
    if settings.llm_url is None:
        return None
    return LlmSettings(url=settings.llm_url, model=settings.llm_model, api_key=settings.llm_api_key)
