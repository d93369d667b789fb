"""One process at work: stores opened, keepers and worker running, and all of it put away again."""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable

from encola.entrypoints.keepers import Keeper
from encola.entrypoints.use_cases import Machinery, WorkerLoop

logger = logging.getLogger(__name__)


class Runtime:
    """Opens and closes what :class:`Machinery` holds; both may be asked for twice."""

    def __init__(self, machinery: Machinery, *, drain_seconds: float) -> None:
        self._machinery = machinery
        self._drain_seconds = drain_seconds
        self._changing = asyncio.Lock()
        self._opened = False
        self._worker: WorkerLoop | None = None
        self._working: asyncio.Task[None] | None = None
        self._loops: list[asyncio.Task[None]] = []
        self.stopping = asyncio.Event()

    async def open(self) -> None:
        """Open the stores, without running any job."""
        async with self._changing:
            await self._open()

    async def start(self, *, works: bool = True) -> None:
        """Open the stores, and keep jobs moving until :meth:`stop`; unless ``works`` they run elsewhere."""
        async with self._changing:
            await self._open()
            if not self._loops:
                await self._start_keepers()
            if works and self._working is None:
                self._worker = self._machinery.make_worker()
                self._working = asyncio.create_task(self._worker.run())

    async def work_to_the_end(self) -> None:
        """Return when the worker has ended by itself, as it does not unless something is broken."""
        if self._working is not None:
            await asyncio.wait({self._working})

    async def stop(self) -> None:
        """Stop taking jobs, let the running ones end for a while, and close everything."""
        async with self._changing:
            self.stopping.set()
            # Nothing more is handed out while what runs may still end, under leases that are kept.
            await self._stop_loops(self._loops[:1])
            await self._stop_worker()
            await self._stop_loops(self._loops)
            self._loops = []
            await self._machinery.notify.close()
            if self._opened:
                self._opened = False
                for close in self._machinery.closers:
                    await _finish(close)

    async def _open(self) -> None:
        if not self._opened:
            for step in self._machinery.openers:
                await _finish(step)
            self._opened = True

    async def _start_keepers(self) -> None:
        self.stopping.clear()
        if self._machinery.owns_everything:
            await self._machinery.board.reset(self._machinery.clock.now())
        self._loops = [asyncio.create_task(keeper.run()) for keeper in self._keepers()]

    async def _stop_worker(self) -> None:
        worker, self._worker = self._worker, None
        working, self._working = self._working, None
        if worker is not None and working is not None:
            await self._stop_loops([working])
            await worker.drain(self._drain_seconds)

    async def _stop_loops(self, loops: list[asyncio.Task[None]]) -> None:
        for loop in loops:
            loop.cancel()
        await asyncio.gather(*loops, return_exceptions=True)

    def _keepers(self) -> list[Keeper]:
        """Return the loops, the dispatcher first: it stops before the others."""
        machinery = self._machinery
        lease = machinery.lease.total_seconds()
        return [
            Keeper(name="dispatch", work=machinery.dispatch_jobs, pause=0.2, wait=machinery.nudge.wait),
            Keeper(name="recover", work=machinery.recover_jobs, pause=min(1.0, lease / 4)),
            Keeper(name="stops", work=machinery.heed_stops, pause=0.1),
            Keeper(name="renew", work=_once(machinery.renew_leases), pause=lease / 3),
            *(Keeper(name=relay.consumer, work=relay, pause=0.2) for relay in machinery.relays),
            Keeper(name="health", work=machinery.service_health, pause=1.0),
            Keeper(name="forget", work=machinery.forget_jobs, pause=60.0),
        ]


def _once(work: Callable[[], Awaitable[int]]) -> Callable[[], Awaitable[int]]:
    """Take from ``work`` the habit of being called again at once when it had something to do."""

    async def run() -> int:
        await work()
        return 0

    return run


async def _finish(step: Callable[[], object]) -> None:
    outcome = step()
    if inspect.isawaitable(outcome):
        await outcome
