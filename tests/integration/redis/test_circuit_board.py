"""News of circuits over a real Redis."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis import Redis

from encola.adapters.redis import RedisCircuitBoard, RedisLinks
from encola.application.ports import CircuitNews
from encola.testing.contracts import CircuitBoardContract
from encola.testing.contracts.circuit_board import CLOSED, OPENED, Listener
from encola.testing.servers import RedisServer

SERVICES = ("history", "query")
CHANNEL = "encola:{0}::circuits"
KEPT = "encola:{0}::circuit:history"
FAR_AHEAD = 4_000_000_000_000_000
"""A number that a word gets in the year 2096."""


PATIENCE = 30.0
ROUNDS = 15
HEARTBEAT = 0.001
MOST_STALLED = 0.005


@asynccontextmanager
async def a_board(url: str, shards: int = 1) -> AsyncIterator[RedisCircuitBoard]:
    """Open a board with connections of its own, as another process would have."""
    links = RedisLinks(url, shards)
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


async def test_who_comes_later_finds_what_still_holds(redis_url: str) -> None:
    async with a_board(redis_url) as one, a_board(redis_url) as witness:
        heard = Listener(witness)
        one.tell(CircuitNews("history", 60.0, windows=4))
        await heard.hears(OPENED)
        async with a_board(redis_url) as other:
            late = await Listener(other).hears(OPENED)

    assert 0 < late.open_seconds <= 60.0
    assert late.windows == 4


async def test_what_was_said_to_nobody_is_found_by_looking(redis_url: str) -> None:
    async with a_board(redis_url) as one:
        heard = Listener(one)
        one.tell(CircuitNews("query", 0.0))
        with Redis.from_url(redis_url) as client:
            client.set(KEPT, f"{FAR_AHEAD} z history 60000 2", px=60_000)
        news = await heard.hears(OPENED)

    assert news == CircuitNews("history", 60.0, windows=2)


async def test_what_is_only_said_is_heard(redis_url: str) -> None:
    async with a_board(redis_url) as one:
        heard = Listener(one)
        with Redis.from_url(redis_url) as client:
            async with asyncio.timeout(PATIENCE):
                while not heard.heard:
                    client.publish(CHANNEL, f"{FAR_AHEAD} z history 60000 2")
                    await asyncio.sleep(0.02)

    assert heard.heard == [CircuitNews("history", 60.0, windows=2)]


async def test_a_clock_that_was_set_back_makes_no_word_old(redis_url: str) -> None:
    with Redis.from_url(redis_url) as client:
        client.set(KEPT, f"{FAR_AHEAD} z history 60000 2", px=60_000)
    async with a_board(redis_url) as one, a_board(redis_url) as other:
        heard, others = Listener(one), Listener(other)
        await heard.hears(OPENED)
        await others.hears(OPENED)
        one.tell(CLOSED)

        assert await others.hears(CLOSED) == CLOSED


async def test_all_shards_have_one_board(redis_url: str) -> None:
    async with a_board(redis_url, shards=1) as one, a_board(redis_url, shards=3) as other:
        others = Listener(other)
        one.tell(OPENED)

        assert (await others.hears(OPENED)).windows == OPENED.windows


async def test_what_is_no_word_is_dropped(redis_url: str) -> None:
    async with a_board(redis_url) as one, a_board(redis_url) as other:
        others = Listener(other)
        with Redis.from_url(redis_url) as client:
            for data in (b"", b"history", b"1 z history x 1", b"\xff z history 5 1", b"1 z nobody 5000 1"):
                client.publish(CHANNEL, data)
            client.set(KEPT, "what another version may keep")
            client.set(KEPT.replace("history", "query"), f"{FAR_AHEAD} z query 0 1")
        await others.hears(CircuitNews("query", 0.0))
        one.tell(CLOSED)
        await others.hears(CLOSED)

    assert {news.service for news in others.heard} == {"history", "query"}


async def test_what_is_kept_ends_by_itself(redis_url: str) -> None:
    async with a_board(redis_url) as one, a_board(redis_url) as other:
        others = Listener(other)
        for news in (CircuitNews("history", 30.0), CircuitNews("query", 0.0)):
            one.tell(news)
            await others.hears(news)
        await one.may_probe("history", 5.0)
        with Redis.from_url(redis_url) as client:
            lives = {key.decode().rpartition("::")[2]: client.pttl(key) for key in client.scan_iter()}

    assert set(lives) == {"circuit:history", "circuit:query", "circuit-probe:history"}
    assert 0 < lives["circuit:history"] <= 30_000
    assert 60_000 < lives["circuit:query"] <= 120_000
    assert 0 < lives["circuit-probe:history"] <= 5_000


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


async def test_what_could_not_be_told_is_told_when_redis_is_back_and_wins_over_what_is_older(
    server: RedisServer,
) -> None:
    async with a_board(server.url) as one, a_board(server.url) as other:
        own, others = Listener(one), Listener(other)
        other.tell(CLOSED)
        await own.hears(CLOSED)
        own.heard.clear()
        await asyncio.to_thread(server.kill)
        one.tell(CircuitNews("history", 60.0, windows=2))
        await asyncio.to_thread(server.start)
        news = await others.hears(OPENED)

    assert news.windows == 2
    assert 0 < news.open_seconds <= 60.0
    assert own.heard == []


async def test_what_another_redis_numbers_lower_is_heard(server: RedisServer) -> None:
    async with a_board(server.url) as one, a_board(server.url) as other:
        others = Listener(other)
        with Redis.from_url(server.url) as client:
            client.set(KEPT, f"{FAR_AHEAD} z history 60000 2")
        await others.hears(OPENED)
        await asyncio.to_thread(server.wipe)
        await asyncio.to_thread(server.start)
        one.tell(CLOSED)

        assert await others.hears(CLOSED) == CLOSED


async def test_a_process_may_start_before_redis(server: RedisServer) -> None:
    server.stop()
    async with a_board(server.url) as one, a_board(server.url) as other:
        others = Listener(other)
        one.tell(CLOSED)
        await asyncio.to_thread(server.start)

        assert await others.hears(CLOSED) == CLOSED


async def test_a_redis_that_answers_nothing_does_not_hold_up_the_event_loop(server: RedisServer) -> None:
    """In the best of some rounds, as another process may have had the processor in the others."""
    stalls: list[float] = []
    async with a_board(server.url) as board:
        while len(stalls) < ROUNDS and min(stalls, default=1.0) > MOST_STALLED:
            stalls.append(await _longest_stall(board, server))

    assert min(stalls) <= MOST_STALLED, stalls


async def _longest_stall(board: RedisCircuitBoard, server: RedisServer) -> float:
    loop = asyncio.get_running_loop()
    with Redis.from_url(server.url) as client:
        client.execute_command("CLIENT", "PAUSE", 300)
    board.tell(OPENED)
    probe = asyncio.create_task(board.may_probe("history", 0.001))
    longest, end = 0.0, loop.time() + 0.35
    while (before := loop.time()) < end:
        await asyncio.sleep(HEARTBEAT)
        longest = max(longest, loop.time() - before - HEARTBEAT)
    await probe
    return longest
