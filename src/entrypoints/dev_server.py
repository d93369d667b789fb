"""Everything in one process: API, worker, page, and the demo services behind their own port."""

import tempfile
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from socket import socket

from encola.entrypoints.api_server import serve_api
from encola.entrypoints.demo_server import DEMO_HOST, DEMO_SERVICES, serving_demo, with_demo_services
from encola.entrypoints.facade import Encola
from encola.entrypoints.log_lines import log_to_stderr
from encola.entrypoints.quick_threads import be_quick
from encola.entrypoints.server import take_port, url_of
from encola.entrypoints.settings import Settings, check_front_door


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
        is_missing = any(name not in settings.services for name in DEMO_SERVICES)
        demo_listener = stack.enter_context(take_port(DEMO_HOST, 0)) if is_missing else None
        app.configure(with_demo_services(settings, demo_listener) if demo_listener else settings)
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


@asynccontextmanager
async def _demo(app: Encola, settings: Settings, listener: socket) -> AsyncGenerator[None, None]:
    with tempfile.TemporaryDirectory(prefix="encola-demo-") as scratch:
        folder = settings.data_dir if settings.profile == "embedded" else Path(scratch)
        async with serving_demo(settings, listener, folder, app.use_cases.call_service):
            yield
