"""Two hundred callers in four processes, whose breakers tell each other over a real Redis."""

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import pytest

from encola.testing.servers import RedisServer

PATIENCE = 40.0
PROCESS = Path(__file__).parent / "breaker_process.py"
NAMES = ("a", "b", "c", "d")
SHORTEST = 0.8
"""Seconds of the first window at its shortest; each one after it is twice as long."""


@dataclass
class Upstream:
    """A service that is ill for some of the processes that call it, and counts what they ask."""

    ill_for: set[str] = field(default_factory=set)
    calls: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    probes: list[tuple[float, str]] = field(default_factory=list)
    _answering: set[asyncio.Task[None]] = field(default_factory=set)

    @asynccontextmanager
    async def served(self) -> AsyncIterator[int]:
        """Answer while the context lasts; gives the port."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            await asyncio.gather(*self._answering, return_exceptions=True)
            await server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._answering.add(task)
        try:
            with suppress(ConnectionError):
                await self._answer(reader, writer)
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
            self._answering.discard(task)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = (await reader.readline()).decode().split()
        if not asked:
            return
        name, kind = asked
        if kind == "probe":
            self.probes.append((asyncio.get_running_loop().time(), name))
        else:
            self.calls[name] += 1
        is_ill = name in self.ill_for
        await asyncio.sleep(0.02)
        self.failed[name] += is_ill
        writer.write(b"ill\n" if is_ill else b"fine\n")
        await writer.drain()


@dataclass
class Fleet:
    """The processes, and what each said of its circuit."""

    upstream: Upstream
    said: dict[str, list[str]]

    def all_are(self, state: str) -> bool:
        """Tell whether every circuit is in this state, as far as it said."""
        return all(said[-1:] == [state] for said in self.said.values())

    async def is_warm(self) -> None:
        """Return when every process calls."""
        await until(lambda: all(self.upstream.calls[name] > 100 for name in NAMES))


@asynccontextmanager
async def running(redis_url: str) -> AsyncIterator[Fleet]:
    """Run four processes and the service that they call; they have ended afterwards."""
    upstream = Upstream()
    async with upstream.served() as port, AsyncExitStack() as stack:
        said = {
            name: await stack.enter_async_context(a_process(name, redis_url, str(port))) for name in NAMES
        }
        fleet = Fleet(upstream, said)
        await fleet.is_warm()
        yield fleet


@asynccontextmanager
async def a_process(name: str, *arguments: str) -> AsyncIterator[list[str]]:
    """Run one process; gives what it says, line by line."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(PROCESS), name, *arguments, stdout=asyncio.subprocess.PIPE
    )
    said: list[str] = []
    listening = asyncio.create_task(_listen(process, said))
    try:
        yield said
    finally:
        process.kill()
        await process.wait()
        await listening


async def _listen(process: asyncio.subprocess.Process, said: list[str]) -> None:
    assert process.stdout is not None
    async for line in process.stdout:
        said.append(line.decode().strip())  # noqa: PERF401 - it is read while it grows


async def until(condition: Callable[[], bool]) -> None:
    """Return when it holds; fail when it does not in time."""
    deadline = asyncio.get_running_loop().time() + PATIENCE
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, "it did not come to pass in time"
        await asyncio.sleep(0.01)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """Return a server of the test's own, to be killed."""
    with RedisServer(tmp_path / "redis") as server:
        yield server


async def test_of_two_hundred_callers_one_probes_in_each_window(redis_url: str) -> None:
    async with running(redis_url) as fleet:
        upstream = fleet.upstream
        upstream.ill_for.update(NAMES)
        await until(lambda: len(upstream.probes) >= 1)
        calls = upstream.calls.total()
        await until(lambda: len(upstream.probes) >= 2)
        called_while_open = upstream.calls.total() - calls
        upstream.ill_for.clear()
        await until(lambda: fleet.all_are("closed"))
        probes = [at for at, _ in upstream.probes]
        before = Counter(upstream.calls)
        await until(lambda: all(upstream.calls[name] > before[name] + 100 for name in NAMES))

    gaps = [later - sooner for sooner, later in pairwise(probes)]
    assert called_while_open == 0
    assert len(gaps) == 2
    assert gaps[0] >= 2 * SHORTEST
    assert gaps[1] >= 4 * SHORTEST


async def test_what_one_process_finds_out_holds_for_all(redis_url: str) -> None:
    async with running(redis_url) as fleet:
        fleet.upstream.ill_for.add("a")
        await until(lambda: all("open" in said for said in fleet.said.values()))
        failed = set(+fleet.upstream.failed)
        fleet.upstream.ill_for.clear()
        await until(lambda: fleet.all_are("closed"))
        probers = {name for _, name in fleet.upstream.probes}

    assert failed == {"a"}
    half_open = {name for name, said in fleet.said.items() if "half-open" in said}
    assert half_open == probers


async def test_without_redis_calls_go_on_and_each_process_finds_out_by_itself(server: RedisServer) -> None:
    async with running(server.url) as fleet:
        upstream = fleet.upstream
        await asyncio.to_thread(server.kill)
        before = Counter(upstream.calls)
        await until(lambda: all(upstream.calls[name] > before[name] + 100 for name in NAMES))
        upstream.ill_for.add("a")
        await until(lambda: any(name == "a" for _, name in upstream.probes))
        opened = {name for name, said in fleet.said.items() if "open" in said}
        upstream.ill_for.clear()
        await until(lambda: fleet.said["a"][-1] == "closed")

        await asyncio.to_thread(server.start)
        upstream.ill_for.add("b")
        await until(lambda: all("open" in said for said in fleet.said.values()))
        upstream.ill_for.clear()
        await until(lambda: fleet.all_are("closed"))

    assert opened == {"a"}
