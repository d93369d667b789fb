"""The health of services in a real Redis."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from redis import Redis

from encola.adapters.memory import InMemoryMetrics, ManualClock, ScriptedServiceProbe
from encola.adapters.redis import RedisHealthBoard, RedisLinks
from encola.adapters.redis.health_board import KEPT
from encola.application.health_monitor import HealthMonitor
from encola.domain.errors import StoreUnavailable
from encola.domain.health import ServiceStatus
from encola.testing.contracts import HealthBoardContract
from encola.testing.contracts.health_board import DOWN, QUERY, UP
from encola.testing.servers import RedisServer

MINUTE = timedelta(minutes=1)
PATIENCE = 30.0
"""Seconds after which what was to happen has not."""


@asynccontextmanager
async def board_at(url: str, shards: int = 1) -> AsyncIterator[RedisHealthBoard]:
    """Open a board with a connection of its own, as another process would have."""
    links = RedisLinks(url, shards)
    await links.open()
    try:
        yield RedisHealthBoard(links)
    finally:
        await links.close()


@pytest.fixture
async def board(redis_url: str) -> AsyncIterator[RedisHealthBoard]:
    """Return the board of this process."""
    async with board_at(redis_url) as board:
        yield board


@pytest.fixture
def client(redis_url: str) -> Redis:
    """Return a client that sees the keys themselves."""
    return Redis.from_url(redis_url)


class TestRedisHealthBoard(HealthBoardContract):
    ttl = timedelta(seconds=1)

    @pytest.fixture
    def board(self, board: RedisHealthBoard) -> RedisHealthBoard:
        return board

    @pytest.fixture
    def pass_time(self) -> Callable[[timedelta], Awaitable[None]]:
        async def pass_time(duration: timedelta) -> None:
            await asyncio.sleep(duration.total_seconds())

        return pass_time


async def test_what_is_kept_ends_by_itself_and_names_no_address(
    board: RedisHealthBoard, client: Redis
) -> None:
    await board.note(QUERY, DOWN, pause=MINUTE)

    keys = sorted(client.keys("*"))  # type: ignore[arg-type, type-var]
    assert len(keys) == 2
    assert all(key.startswith(b"encola:{0}::") and b"query.test" not in key for key in keys)
    assert all(0 < client.pttl(key) <= KEPT / timedelta(milliseconds=1) for key in keys)  # type: ignore[operator]


@pytest.mark.parametrize("text", [b"", b"\xff", b"[]", b"{}", b'{"v":2}', b'{"v":1,"status":"ill"}'])
async def test_what_another_version_wrote_counts_as_nothing(
    board: RedisHealthBoard, client: Redis, text: bytes
) -> None:
    await board.note(QUERY, UP, pause=MINUTE)
    for key in client.keys("encola:{0}::health:*"):  # type: ignore[union-attr]
        client.set(key, text)

    assert await board.read(QUERY) is None


async def test_processes_with_as_many_shards_share_one_board(redis_url: str) -> None:
    async with board_at(redis_url, shards=3) as here, board_at(redis_url, shards=3) as elsewhere:
        await here.note(QUERY, UP, pause=MINUTE)

        assert await elsewhere.read(QUERY) == UP
        assert not await elsewhere.take_turn(QUERY, ttl=MINUTE)


def monitor_on(board: RedisHealthBoard, probe: ScriptedServiceProbe) -> HealthMonitor:
    return HealthMonitor(
        {QUERY.service: QUERY.base_url},
        probe=probe,
        board=board,
        clock=ManualClock(),
        chance=lambda: 0.5,
        metrics=InMemoryMetrics(),
    )


async def test_seed_24_many_processes_probe_once_and_all_know(redis_url: str) -> None:
    probe = ScriptedServiceProbe()
    async with AsyncExitStack() as stack:
        boards = [await stack.enter_async_context(board_at(redis_url)) for _ in range(6)]
        monitors = [monitor_on(board, probe) for board in boards]

        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*(monitor() for monitor in monitors))
            await asyncio.gather(*(monitor() for monitor in monitors))

    assert len(probe.probes) == 1
    assert {monitor.known()["query"].status for monitor in monitors} == {ServiceStatus.UP}


async def test_without_redis_a_process_goes_by_its_own_probes(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "redis") as server:
        async with asyncio.timeout(PATIENCE), board_at(server.url) as board:
            probe = ScriptedServiceProbe()
            monitor = monitor_on(board, probe)
            server.pause()
            assert (await monitor.of("query")).status is ServiceStatus.UP
            server.resume()
            server.kill()
            with pytest.raises(StoreUnavailable):
                await board.read(QUERY)
            assert (await monitor.of("query")).status is ServiceStatus.UP

    assert len(probe.probes) == 1
