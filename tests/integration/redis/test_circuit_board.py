"""Breakers of several processes over a real Redis."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from redis import Redis

from encola.adapters.redis import RedisCircuitBoard, RedisLinks
from encola.application.ports import CircuitNews
from encola.testing.contracts import CircuitBoardContract
from encola.testing.contracts.circuit_board import CLOSED, OPENED, Listener
from encola.testing.servers import RedisServer

PATIENCE = 30.0
SERVICES = ("history", "query")
PROCESS = Path(__file__).parent / "breaker_process.py"
SHORTEST_WINDOW = 0.8
STALL = 0.005


@asynccontextmanager
async def a_board(url: str) -> AsyncIterator[RedisCircuitBoard]:
    """Open a board with connections of its own, as another process would have."""
    links = RedisLinks(url)
    board = RedisCircuitBoard(links, SERVICES)
    await links.open()
    board.open()
    try:
        yield board
    finally:
        await board.close()
        await links.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """Return a server of the test's own, to be killed and paused."""
    with RedisServer(tmp_path / "redis") as server:
        yield server


class TestRedisCircuitBoard(CircuitBoardContract):
    @pytest.fixture
    async def boards(self, redis_url: str) -> AsyncIterator[tuple[RedisCircuitBoard, RedisCircuitBoard]]:
        async with a_board(redis_url) as one, a_board(redis_url) as other:
            yield one, other


async def test_who_comes_later_finds_the_latest_word(redis_url: str) -> None:
    async with a_board(redis_url) as one:
        one.tell(CircuitNews("history", 60.0))
        async with a_board(redis_url) as other:
            late = await Listener(other).hears(OPENED)

    assert 0 < late.open_seconds <= 60.0


async def test_what_nobody_can_read_is_dropped(redis_url: str) -> None:
    async with a_board(redis_url) as one, a_board(redis_url) as other:
        others = Listener(other)
        with Redis.from_url(redis_url) as client:
            for data in (b"", b"history", b"history x y", b"\xff 1 2", b"nobody 5000 z-1"):
                client.publish("encola:{0}::circuits", data)
        one.tell(CLOSED)
        await others.hears(CLOSED)

    assert {news.service for news in others.heard} == {"history"}


async def test_without_redis_every_process_decides_for_itself_and_nobody_waits(server: RedisServer) -> None:
    async with a_board(server.url) as one, a_board(server.url) as other:
        for away in (server.pause, server.kill):
            away()
            async with asyncio.timeout(2):
                one.tell(OPENED)
                assert await one.may_probe("history", 5.0)
                assert await other.may_probe("history", 5.0)
            if away == server.pause:
                server.resume()


async def test_news_come_again_when_redis_is_back(server: RedisServer) -> None:
    async with a_board(server.url) as one, a_board(server.url) as other:
        others = Listener(other)
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)
        async with asyncio.timeout(PATIENCE):
            while not others.heard:
                one.tell(OPENED)
                await asyncio.sleep(0.1)

    assert others.heard[0].service == "history"


async def test_a_redis_that_answers_nothing_does_not_hold_up_the_event_loop(server: RedisServer) -> None:
    async with a_board(server.url) as board:
        stalls = [await _longest_stall(board, server)]
        while min(stalls) > STALL and len(stalls) < 10:  # the machine has other things to do, too
            stalls.append(await _longest_stall(board, server))

    assert min(stalls) <= STALL


async def _longest_stall(board: RedisCircuitBoard, server: RedisServer) -> float:
    loop = asyncio.get_running_loop()
    with Redis.from_url(server.url) as client:
        client.execute_command("CLIENT", "PAUSE", 300)
    board.tell(OPENED)
    probe = asyncio.create_task(board.may_probe("history", 0.001))
    longest, end = 0.0, loop.time() + 0.35
    while (before := loop.time()) < end:
        await asyncio.sleep(0)
        longest = max(longest, loop.time() - before)
    await probe
    return longest


@dataclass
class Upstream:
    """A service that four processes call, which may be well or not."""

    is_well: bool = True
    callers: set[int] = field(default_factory=set)
    calls: int = 0
    probes: list[float] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await reader.readline()
        if asked == b"probe\n":
            self.probes.append(asyncio.get_running_loop().time())
        else:
            self.calls += 1
        await asyncio.sleep(0.02)
        writer.write(b"fine\n" if self.is_well else b"ill\n")
        writer.close()


@asynccontextmanager
async def a_process(url: str, port: int) -> AsyncIterator[None]:
    process = await asyncio.create_subprocess_exec(sys.executable, str(PROCESS), url, str(port))
    try:
        yield
    finally:
        process.kill()
        await process.wait()


async def until(condition: Callable[[], bool]) -> None:
    deadline = asyncio.get_running_loop().time() + PATIENCE
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, "it did not come to pass in time"
        await asyncio.sleep(0.01)


async def still(upstream: Upstream) -> None:
    """Wait until nobody has called for half a second, as when all circuits are open."""
    before = -1
    while before != upstream.calls:
        before = upstream.calls
        await asyncio.sleep(0.5)


async def test_two_hundred_callers_in_four_processes_probe_once_in_each_window(redis_url: str) -> None:
    upstream = Upstream()
    server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, AsyncExitStack() as stack:
        for _ in range(4):
            await stack.enter_async_context(a_process(redis_url, port))
        await until(lambda: upstream.calls > 1_000)
        upstream.is_well = False
        async with asyncio.timeout(PATIENCE):
            await still(upstream)
        calls = upstream.calls
        await until(lambda: len(upstream.probes) >= 3)
        called_while_open = upstream.calls - calls
        upstream.is_well = True
        await until(lambda: upstream.calls > calls + 1_000)

    gaps = [later - sooner for sooner, later in zip(upstream.probes, upstream.probes[1:], strict=False)]
    assert called_while_open == 0
    assert min(gaps) >= SHORTEST_WINDOW, gaps
