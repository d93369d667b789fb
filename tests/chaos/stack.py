"""What is under test: the processes, and the service that they tell."""

import asyncio
import os
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from encola.testing.loopback import HOST, free_ports
from encola.testing.process_group import ProcessGroup
from tests.chaos.crash_marks import CRASHES
from tests.chaos.history import HistoryService
from tests.chaos.jobs import EFFECTS
from tests.chaos.processes import ROOT, EncolaProcess
from tests.chaos.waiting import becomes

READY_SECONDS = 60.0
APP = "tests.chaos.jobs:app"
PORTS_NEEDED = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """How soon things happen, in seconds: small, so that a run sees many of them."""

    lease: float = 3.0
    drain: float = 2.0
    republish: float = 3.0


class Stack(ABC):
    """The processes under test, started when it is entered.

    :ivar apis: processes that answer HTTP
    :ivar workers: processes that run jobs
    :ivar history: the service that is told what happens, away at first
    :ivar effects: folder with the lines that handlers write
    :ivar crashes: folder with the points at which a process is to die, or died
    :ivar crash_lock: held by whoever waits for one of them
    :ivar complaints: what processes did that they should not, as sentences
    :ivar sent: how many messages were sent by others than the processes, by kind
    """

    history: HistoryService
    _group: ProcessGroup

    def __init__(
        self,
        folder: Path,
        *,
        app: str = APP,
        timings: Timings | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder.resolve()
        self.timings = timings or Timings()
        self.effects = self.folder / "effects"
        self.crashes = self.folder / "crashes"
        self.crash_lock = asyncio.Lock()
        self.complaints: list[str] = []
        self.sent: Counter[str] = Counter()
        self.apis: list[EncolaProcess] = []
        self.workers: list[EncolaProcess] = []
        self._app = app
        self._more = dict(environment or {})
        self._exits = AsyncExitStack()
        self._ports: Iterator[int] = iter(())

    @property
    def processes(self) -> list[EncolaProcess]:
        """Return every process once."""
        return list(dict.fromkeys([*self.apis, *self.workers]))

    @property
    def urls(self) -> list[str]:
        """Return the base URLs of the APIs."""
        return [api.url for api in self.apis if api.url is not None]

    async def __aenter__(self) -> Self:
        try:
            for folder in (self.effects, self.crashes):
                folder.mkdir(parents=True)
            self._group = ProcessGroup(self.folder)
            self._exits.callback(self._group.kill)
            await self._start_servers()
            self._ports = iter(free_ports(PORTS_NEEDED))
            self.history = HistoryService(next(self._ports))
            self._exits.push_async_callback(self.history.stop)
            self._place_processes()
            await self._start_processes()
        except BaseException:
            await self._exits.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._exits.aclose()

    async def until_able(self) -> bool:
        """Return ``True`` when at least one API answers and one worker works, ``False`` if never."""
        async with httpx.AsyncClient(timeout=2) as client:
            for places in (self.apis, self.workers):

                async def is_one_ready(places: Sequence[EncolaProcess] = places) -> bool:
                    return any([await _is_ready(client, process) for process in places])

                if not await becomes(is_one_ready, READY_SECONDS):
                    return False
        return True

    async def heal(self) -> None:
        """Bring back whatever a fault may have left away."""
        await self.history.start()
        for process in self.processes:
            async with process.lock:
                if process.is_running:
                    process.resume()
                else:
                    process.start()

    async def remains(self) -> dict[str, int]:
        """Return, by name, how much is left in the servers of what should be gone when all is quiet."""
        return {}

    @abstractmethod
    async def _start_servers(self) -> None:
        """Start what the processes need, and see to it that it is stopped."""

    @abstractmethod
    def _place_processes(self) -> None:
        """Fill ``apis`` and ``workers``."""

    def _process(
        self, name: str, command: Sequence[str], environment: Mapping[str, str], *, answers: bool
    ) -> EncolaProcess:
        """Return a process that is not started yet; ``answers`` tells whether it answers HTTP."""
        port = next(self._ports) if answers else 0
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("ENCOLA_")}
        return EncolaProcess(
            name,
            [*command, "--app", self._app, "--json"],
            log=self.folder / f"{name}.log",
            environment={
                **inherited,
                "PYTHONPATH": str(ROOT),
                EFFECTS: str(self.effects),
                CRASHES: str(self.crashes),
                "ENCOLA_PORT": str(port),
                "ENCOLA_LEASE_SECONDS": str(self.timings.lease),
                "ENCOLA_DRAIN_SECONDS": str(self.timings.drain),
                "ENCOLA_REPUBLISH_SECONDS": str(self.timings.republish),
                "ENCOLA_SERVICES__HISTORY": self.history.url,
                **environment,
                **self._more,
            },
            group=self._group,
            url=f"http://{HOST}:{port}" if answers else None,
        )

    async def _start_processes(self) -> None:
        for process in self.processes:
            process.start()
        await asyncio.gather(*map(_until_ready, self.processes))
        watching = [asyncio.create_task(process.watch()) for process in self.processes]
        self._exits.push_async_callback(_cancelled, watching)


class EmbeddedStack(Stack):
    """One ``encola dev``, which is everything."""

    async def _start_servers(self) -> None:
        return

    def _place_processes(self) -> None:
        folder = {"ENCOLA_DATA_DIR": str(self.folder / "data")}
        self.apis = self.workers = [self._process("dev", ["dev"], folder, answers=True)]


async def _until_ready(process: EncolaProcess) -> None:
    async def is_settled() -> bool:
        return not process.is_running or await _is_ready(client, process)

    async with httpx.AsyncClient(timeout=2) as client:
        is_ready = await becomes(is_settled, READY_SECONDS) and process.is_running
    assert is_ready, f"{process.name} did not become ready:\n{process.log_tail()}"


async def _is_ready(client: httpx.AsyncClient, process: EncolaProcess) -> bool:
    if process.url is None:
        return f'"pid": {process.pid}' in process.log_tail()
    try:
        return (await client.get(f"{process.url}/readyz")).status_code == 200
    except httpx.TransportError:
        return False


async def _cancelled(tasks: Sequence["asyncio.Task[Any]"]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
