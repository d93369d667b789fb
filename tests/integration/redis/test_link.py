"""The one connection that a process shares."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis import Redis
from redis_clusters import owner_of, start_cluster

from encola.adapters.redis.link import ANSWER_SECONDS, RedisLink
from encola.adapters.redis.nodes import Node
from encola.adapters.redis.scripts import Script
from encola.domain.errors import InvalidSettings, StoreUnavailable
from encola.testing.servers import RedisServer, free_ports


@asynccontextmanager
async def linked(url: str) -> AsyncIterator[RedisLink]:
    """Open a link while the context lasts."""
    link = RedisLink(Node.of(url))
    await link.open()
    try:
        yield link
    finally:
        await link.close()


async def until_it_answers(link: RedisLink) -> None:
    """Return when the link is of use again."""
    async with asyncio.timeout(20):
        while True:
            try:
                await link.call("PING")
            except StoreUnavailable:
                continue
            return


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """Return a server of the test's own, to be killed and paused."""
    with RedisServer(tmp_path / "redis") as server:
        yield server


async def test_everybody_gets_the_answer_to_their_own_question(redis_url: str) -> None:
    async with linked(redis_url) as link:
        answers = await asyncio.gather(*(link.call("ECHO", str(number)) for number in range(2_000)))

    assert answers == [str(number).encode() for number in range(2_000)]


async def test_one_that_gives_up_does_not_get_the_others_out_of_step(redis_url: str) -> None:
    async with linked(redis_url) as link:
        asked = [asyncio.create_task(link.call("ECHO", str(number))) for number in range(500)]
        await asyncio.sleep(0)
        for task in asked[::3]:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)

        answers = {number: task.result() for number, task in enumerate(asked) if not task.cancelled()}
        assert answers == {number: str(number).encode() for number in answers}
        assert await link.call("ECHO", "after") == b"after"


async def test_a_refusal_reaches_only_the_one_who_asked(redis_url: str) -> None:
    async with linked(redis_url) as link:
        wrong, right = await asyncio.gather(
            link.call("NO-SUCH-COMMAND"), link.call("ECHO", "1"), return_exceptions=True
        )

    assert isinstance(wrong, StoreUnavailable)
    assert right == b"1"


async def test_a_script_that_redis_has_forgotten_is_sent_again(redis_url: str) -> None:
    script = Script(text=b"return ARGV[1]", sha="0" * 40)
    async with linked(redis_url) as link:
        assert await link.script(script, [], ["x"]) == b"x"


async def test_a_link_to_nobody_says_so_soon_and_without_credentials() -> None:
    [port] = free_ports(1)
    async with linked(f"redis://user:secret@127.0.0.1:{port}/0") as link, asyncio.timeout(5):
        with pytest.raises(StoreUnavailable) as failure:
            await link.call("PING")

    assert str(port) in str(failure.value)
    assert "secret" not in str(failure.value)


async def test_a_server_that_comes_later_is_found(tmp_path: Path) -> None:
    server = RedisServer(tmp_path / "redis")
    async with linked(server.url) as link:
        with pytest.raises(StoreUnavailable):
            await link.call("PING")
        with server:
            await until_it_answers(link)


async def test_a_killed_server_fails_those_who_wait_and_is_found_again(server: RedisServer) -> None:
    async with linked(server.url) as link:
        await link.call("SET", "key", "kept")
        waiting = asyncio.create_task(link.call("BLPOP", "nothing", "0"))
        await asyncio.to_thread(server.kill)
        with pytest.raises(StoreUnavailable):
            await waiting

        await asyncio.to_thread(server.start)
        await until_it_answers(link)
        assert await link.call("GET", "key") == b"kept"


async def test_a_server_that_answers_nothing_is_given_up_in_time(server: RedisServer) -> None:
    async with linked(server.url) as link:
        await link.call("PING")
        server.pause()
        try:
            async with asyncio.timeout(ANSWER_SECONDS * 2):
                with pytest.raises(StoreUnavailable):
                    await link.call("PING")
        finally:
            server.resume()
        await until_it_answers(link)


async def test_an_idle_link_stays_connected(redis_url: str) -> None:
    async with linked(redis_url) as link:
        before = await link.call("CLIENT", "ID")
        await asyncio.sleep(ANSWER_SECONDS * 1.5)

        assert await link.call("CLIENT", "ID") == before


async def test_a_link_closes_at_once_while_it_connects() -> None:
    [port] = free_ports(1)
    async with asyncio.timeout(5):
        for _ in range(20):
            async with linked(f"redis://127.0.0.1:{port}/0"):
                await asyncio.sleep(0)


async def test_a_link_follows_its_slot_to_another_node(tmp_path: Path) -> None:
    servers = start_cluster(tmp_path, 2)
    try:
        key = "encola:{0}:acme:x"
        wrong = servers[1 - owner_of(servers, key)]
        async with linked(wrong.url) as link:
            with pytest.raises(StoreUnavailable, match="moved"):
                await link.call("SET", key, "1")
            await until_it_answers(link)
            await link.call("SET", key, "1")

        with Redis.from_url(servers[owner_of(servers, key)].url) as client:
            assert client.get(key) == b"1"
    finally:
        for server in servers:
            server.stop()


@pytest.mark.parametrize("url", ["", "http://localhost", "localhost:6379"])
def test_a_url_that_is_none_of_redis_is_refused(url: str) -> None:
    with pytest.raises(InvalidSettings, match="ENCOLA_REDIS_URL must be"):
        Node.of(url)
