"""One process that runs jobs of the distributed profile."""

import asyncio
import signal
from collections.abc import Callable

from encola.domain.errors import InvalidSettings
from encola.entrypoints.facade import Encola
from encola.entrypoints.log_lines import log_to_stderr
from encola.entrypoints.quick_threads import be_quick
from encola.entrypoints.settings import Settings


async def run_worker(app: Encola, settings: Settings, announce: Callable[[], None]) -> None:
    """Run jobs until SIGINT or SIGTERM, then let those that run end for ``drain_seconds``.

    :raises InvalidSettings: it cannot start like this
    """
    log_to_stderr(settings.log_level)
    be_quick()
    app.configure(settings)
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    try:
        await app.runtime.start()
        announce()
        told = asyncio.create_task(stopping.wait())
        ended = asyncio.create_task(app.runtime.work_to_the_end())
        await asyncio.wait({told, ended}, return_when=asyncio.FIRST_COMPLETED)
        for task in (told, ended):
            task.cancel()
        if not stopping.is_set():
            raise InvalidSettings("The worker ended by itself; the log says why.")
    finally:
        await app.runtime.stop()
