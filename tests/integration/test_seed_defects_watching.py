"""Where watching broke in the first design of this system; the numbers are of its list of defects."""

import asyncio
import json
import socket
from typing import Any

import httpx
import pytest
from processes import DevServer
from rest import UNKNOWN, ended, finals, submitted
from seed_like_client import SeedLikeClient
from websockets.asyncio.client import connect


async def test_seed_15_whoever_subscribes_after_the_end_sees_it(
    api: httpx.AsyncClient, watcher: SeedLikeClient
) -> None:
    """A late subscriber waited for ever."""
    job = await ended(api, "echo", "late")

    async with asyncio.timeout(5):
        messages = await watcher.messages(job["job_id"])

    assert [(message["type"], message["result"]) for message in messages] == [("job_completed", "late")]


@pytest.mark.parametrize("value", [0, "", [], {}, None, False])
async def test_seed_16_falsy_results_are_stored_and_announced(
    api: httpx.AsyncClient, watcher: SeedLikeClient, value: object
) -> None:
    """What counts as false was taken for no result."""
    job = await ended(api, "echo", value)

    messages = await watcher.messages(job["job_id"])

    assert json.dumps(job["result"]) == json.dumps(value)
    assert json.dumps(messages[-1]["result"]) == json.dumps(value)


async def test_seed_17_a_cancelled_job_ends_its_subscription(
    api: httpx.AsyncClient, watcher: SeedLikeClient
) -> None:
    """No message ended a cancelled job; clients came back every two seconds for ever."""
    response = await api.post("/jobs", json={"type": "noop", "delay": 3600})
    job_id = response.json()["job_id"]
    await api.post(f"/jobs/{job_id}/cancel")

    messages = await watcher.messages(job_id)

    assert (messages[-1]["type"], messages[-1]["status"]) == ("job_error", "cancelled")
    assert isinstance(messages[-1]["error"], str)
    assert watcher.connections == 1


async def test_seed_21_a_browser_that_reads_nothing_stops_nobody(
    api: httpx.AsyncClient, shared_server: DevServer, watcher: SeedLikeClient
) -> None:
    """One stalled browser held up every other, and the job."""
    job = await submitted(api, "steps", {"steps": 300, "pause": 0.005})
    stalled = []
    for _ in range(5):
        browser = socket.socket()
        browser.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        browser.connect(("127.0.0.1", shared_server.port))
        browser.sendall(_handshake(job["job_id"], shared_server.port))
        stalled.append(browser)

    async with asyncio.timeout(20):
        messages = await watcher.messages(job["job_id"])

    assert messages[-1]["result"] == 300
    for browser in stalled:
        browser.close()


def _handshake(job_id: str, port: int) -> bytes:
    lines = [
        f"GET /api/ws/jobs/{job_id}?since=0 HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def test_seed_22_whoever_subscribes_while_it_ends_sees_the_end(
    api: httpx.AsyncClient, shared_server: DevServer
) -> None:
    """Subscriptions were deleted at the end, those just made among them."""
    job = await submitted(api, "slow", {"seconds": 0.1})

    async def subscribe(pause: float) -> list[dict[str, Any]]:
        await asyncio.sleep(pause)
        return await SeedLikeClient(f"{shared_server.url}/api", pace=0.01).messages(job["job_id"])

    async with asyncio.timeout(20):
        received = await asyncio.gather(*(subscribe(number / 200) for number in range(40)))

    assert all(len(finals(messages)) == 1 for messages in received)


async def test_seed_29_a_socket_that_cannot_be_had_is_refused_and_not_opened_and_closed(
    api: httpx.AsyncClient, watcher: SeedLikeClient
) -> None:
    """Opening reset the client's count of failures: it came back for ever."""
    with pytest.raises(ConnectionError):
        await watcher.messages(UNKNOWN)

    assert watcher.connections == 0


async def test_seed_30_two_subscriptions_to_one_job_are_two_and_one_may_leave(
    api: httpx.AsyncClient, watcher: SeedLikeClient
) -> None:
    """A second subscription doubled the updates of the first, and outlived it."""
    job = await submitted(api, "steps", {"steps": 10, "pause": 0.05})
    base = str(api.base_url).replace("http", "ws", 1)

    async with connect(f"{base}ws/jobs/{job['job_id']}") as leaving:
        staying = asyncio.create_task(watcher.messages(job["job_id"]))
        await leaving.recv()
    messages = await staying

    seqs = [message["seq"] for message in messages]
    assert seqs == sorted(set(seqs))
    assert len(finals(messages)) == 1


async def test_seed_31_a_client_that_comes_back_goes_on_where_it_was(api: httpx.AsyncClient) -> None:
    """Whatever happened while a client was away was lost to it."""
    job = await ended(api, "steps", {"steps": 4})
    base = str(api.base_url).replace("http", "ws", 1)

    async with connect(f"{base}ws/jobs/{job['job_id']}?since=2&epoch={job['epoch']}") as socket_:
        seqs = [json.loads(await socket_.recv())["seq"] for _ in range(job["seq"] - 2)]

    assert seqs == list(range(3, job["seq"] + 1))
