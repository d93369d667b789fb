"""The demo services behind a port of their own."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from socket import socket

from encola.application.call_service import CallService
from encola.entrypoints.api_server import server_log_level
from encola.entrypoints.demo.llm import LlmSettings
from encola.entrypoints.demo.services import build_demo
from encola.entrypoints.server import serving, url_of
from encola.entrypoints.settings import Settings

DEMO_HOST = "127.0.0.1"
DEMO_SERVICES = ("agent", "query", "embedding", "history", "metrics")


def with_demo_services(settings: Settings, listener: socket) -> Settings:
    """Return the settings with the demo for every service that they do not name."""
    base = url_of(listener)
    services = {name: f"{base}/{name}" for name in DEMO_SERVICES} | settings.services
    return settings.model_copy(update={"services": services})


@asynccontextmanager
async def serving_demo(
    settings: Settings, listener: socket, folder: Path, call_service: CallService
) -> AsyncGenerator[None, None]:
    """Serve the demo services beside what the context does; their data is in ``folder``.

    :raises InvalidSettings: their file cannot be opened or written
    """
    services = await asyncio.to_thread(build_demo, folder, call_service, _llm(settings))
    try:
        async with serving(services, listener, log_level=server_log_level(settings)):
            yield
    finally:
        services.state.database.close()


def _llm(settings: Settings) -> LlmSettings | None:
    if settings.llm_url is None:
        return None
    return LlmSettings(url=settings.llm_url, model=settings.llm_model, api_key=settings.llm_api_key)
