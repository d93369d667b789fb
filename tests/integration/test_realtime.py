"""Watching, over real sockets and streams, before, during and after the end."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from processes import DevServer
from seed_like_client import SeedLikeClient
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus


@pytest.fixture
async def api(shared_server: DevServer) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"{shared_server.url}/api", timeout=30) as client:
        yield client


async def submit(api: httpx.AsyncClient, job_type: str, params: object = None, **headers: str) -> str:
    response = await api.post("/jobs", json={"type": job_type, "params": params}, headers=headers)
    assert response.status_code in (200, 202), response.text
    return str(response.json()["job_id"])


async def frames(response: httpx.Response) -> AsyncIterator[dict[str, str]]:
    frame: dict[str, str] = {}
    async for line in response.aiter_lines():
        if line:
            name, _, value = line.partition(": ")
            frame[name] = value
        elif frame:
            yield frame
            frame = {}


async def stream(api: httpx.AsyncClient, job_id: str, **headers: str) -> list[dict[str, str]]:
    request = {"Accept": "text/event-stream", **headers}
    async with api.stream("GET", f"/jobs/{job_id}/events", headers=request) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        return [frame async for frame in frames(response) if "data" in frame]


def seed_client(shared_server: DevServer) -> SeedLikeClient:
    return SeedLikeClient(f"{shared_server.url}/api")


def is_ended_once(messages: list[dict[str, Any]]) -> bool:
    finals = [message["type"] for message in messages if message["type"] in ("job_completed", "job_error")]
    return len(finals) == 1 and messages[-1]["type"] == finals[0]


async def test_a_socket_sees_a_job_live_to_its_end(api: httpx.AsyncClient, shared_server: DevServer) -> None:
    job_id = await submit(api, "steps", {"steps": 5, "pause": 0.02})

    messages = await seed_client(shared_server).messages(job_id)

    assert is_ended_once(messages)
    assert messages[-1]["result"] == 5
    percents = [message["progress"]["percent"] for message in messages if "progress" in message]
    assert percents == sorted(percents)
    assert {message["type"] for message in messages} <= {"status_update", "job_completed"}


async def test_a_socket_that_comes_after_the_end_sees_the_end(
    api: httpx.AsyncClient, shared_server: DevServer
) -> None:
    job_id = await submit(api, "echo", {"a": 1}, Prefer="wait=10")

    messages = await seed_client(shared_server).messages(job_id)

    assert [message["type"] for message in messages] == ["job_completed"]


@pytest.mark.parametrize("value", [0, "", [], {}, None, False])
async def test_a_falsy_result_ends_a_job_like_any_other(
    api: httpx.AsyncClient, shared_server: DevServer, value: object
) -> None:
    job_id = await submit(api, "echo", value)

    messages = await seed_client(shared_server).messages(job_id)

    assert is_ended_once(messages)
    assert messages[-1]["type"] == "job_completed"
    assert messages[-1]["result"] == value


@pytest.mark.parametrize("job_type", ["boom", "decline", "hang"])
async def test_a_failure_ends_as_a_job_error_with_a_sentence(
    api: httpx.AsyncClient, shared_server: DevServer, job_type: str
) -> None:
    job_id = await submit(api, job_type)

    messages = await seed_client(shared_server).messages(job_id)

    assert is_ended_once(messages)
    assert messages[-1]["status"] == "failed"
    assert isinstance(messages[-1]["error"], str)
    assert messages[-1]["error"]
    assert "hunter2" not in json.dumps(messages)


async def test_a_cancelled_job_ends_as_a_job_error(api: httpx.AsyncClient, shared_server: DevServer) -> None:
    job_id = await submit(api, "slow", {"seconds": 60})
    watching = asyncio.create_task(seed_client(shared_server).messages(job_id))

    cancelled = await api.post(f"/jobs/{job_id}/cancel")
    messages = await watching

    assert cancelled.json()["status"] == "cancelled"
    assert is_ended_once(messages)
    assert messages[-1]["status"] == "cancelled"
    assert messages[-1]["error_info"]["code"] == "cancelled"


async def test_of_many_watchers_at_random_instants_around_the_end_each_sees_it_exactly_once(
    api: httpx.AsyncClient, shared_server: DevServer
) -> None:
    chance = random.Random(7)
    ended: list[bool] = []

    async def watch(job_id: str, pause: float) -> None:
        await asyncio.sleep(pause)
        if chance.random() < 0.5:
            messages = await seed_client(shared_server).messages(job_id)
        else:
            messages = [json.loads(frame["data"]) for frame in await stream(api, job_id)]
            assert [message["seq"] for message in messages] == list(range(1, len(messages) + 1))
        ended.append(is_ended_once(messages))

    async with asyncio.TaskGroup() as group:
        for _ in range(150):
            job_id = await submit(api, "steps", {"steps": 2, "pause": chance.uniform(0, 0.01)})
            for _ in range(2):
                group.create_task(watch(job_id, chance.uniform(0, 0.03)))

    assert ended == [True] * 300


async def test_a_stream_has_every_event_in_order_with_its_id(api: httpx.AsyncClient) -> None:
    job_id = await submit(api, "steps", {"steps": 20})

    received = await stream(api, job_id)

    events = [json.loads(frame["data"]) for frame in received]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert [frame["id"] for frame in received] == [f"{event['epoch']}:{event['seq']}" for event in events]
    assert [frame["event"] for frame in received] == [event["type"] for event in events]


async def test_a_stream_goes_on_after_the_last_event_id(api: httpx.AsyncClient) -> None:
    job_id = await submit(api, "steps", {"steps": 4}, Prefer="wait=10")
    whole = await stream(api, job_id)

    rest = await stream(api, job_id, **{"Last-Event-ID": whole[2]["id"]})

    assert rest == whole[3:]


async def test_another_epoch_gets_the_present_state_and_never_a_part(api: httpx.AsyncClient) -> None:
    job_id = await submit(api, "steps", {"steps": 4}, Prefer="wait=10")

    received = await stream(api, job_id, **{"Last-Event-ID": "other:2"})

    assert [json.loads(frame["data"])["final"] for frame in received] == [True]


async def test_whoever_has_seen_the_end_gets_204(api: httpx.AsyncClient) -> None:
    job_id = await submit(api, "noop", Prefer="wait=10")
    last = (await stream(api, job_id))[-1]["id"]

    response = await api.get(
        f"/jobs/{job_id}/events", headers={"Accept": "text/event-stream", "Last-Event-ID": last}
    )

    assert response.status_code == 204


async def test_partial_output_arrives_whole_and_in_order(api: httpx.AsyncClient) -> None:
    words = ["uno ", "dos ", "tres ", "ñandú ", "🙂 "] * 8
    job_id = await submit(api, "talk", {"words": words})

    received = await stream(api, job_id)

    text = b""
    for frame in received:
        if frame.get("event") == "output":
            chunk = json.loads(frame["data"])
            assert "id" not in frame
            assert chunk["offset"] == len(text)
            text += chunk["text"].encode()
    assert text.decode() == "".join(words)


async def test_the_same_bytes_come_over_every_transport(
    api: httpx.AsyncClient, shared_server: DevServer
) -> None:
    job_id = await submit(api, "steps", {"steps": 3}, Prefer="wait=10")

    streamed = [frame["data"] for frame in await stream(api, job_id)]
    listed = (await api.get(f"/jobs/{job_id}/events", headers={"Accept": "application/json"})).text
    async with connect(f"{api.base_url}ws/jobs/{job_id}?since=0".replace("http", "ws", 1)) as socket:
        sent = [await socket.recv() for _ in streamed]

    assert sent == streamed
    assert listed == '{"events":[' + ",".join(streamed) + '],"complete":true}'


async def test_a_socket_for_an_unknown_or_foreign_job_is_refused_before_it_opens(
    api: httpx.AsyncClient, shared_server: DevServer
) -> None:
    job_id = await submit(api, "noop", **{"X-Tenant-ID": "acme"})
    base = str(api.base_url).replace("http", "ws", 1)
    unknown = "01890000-0000-7000-8000-000000000000"

    answers = []
    for path, headers in [(unknown, {}), (job_id, {"X-Tenant-ID": "other"}), ("zzz", {})]:
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"{base}ws/jobs/{path}", additional_headers=headers)
        answers.append((refused.value.response.status_code, bytes(refused.value.response.body)))

    assert {status for status, _ in answers} == {404}
    assert len({body for _, body in answers}) == 1


async def test_a_page_of_a_foreign_site_may_not_watch(
    api: httpx.AsyncClient, shared_server: DevServer
) -> None:
    job_id = await submit(api, "noop")
    base = str(api.base_url).replace("http", "ws", 1)

    with pytest.raises(InvalidStatus) as refused:
        await connect(f"{base}ws/jobs/{job_id}", origin="https://evil.example")  # type: ignore[arg-type]

    assert refused.value.response.status_code == 403


async def test_a_page_of_a_foreign_site_may_not_write(api: httpx.AsyncClient) -> None:
    job_id = await submit(api, "slow", {"seconds": 60})

    refused = await api.post(f"/jobs/{job_id}/cancel", headers={"Origin": "https://evil.example"})
    ours = await api.post(f"/jobs/{job_id}/cancel", headers={"Origin": "http://localhost:3000"})

    assert (refused.status_code, refused.json()["code"]) == (403, "foreign_origin")
    assert (ours.status_code, ours.json()["status"]) == (200, "cancelled")


async def test_a_socket_lives_on_after_the_end_until_the_client_leaves(
    api: httpx.AsyncClient, shared_server: DevServer
) -> None:
    job_id = await submit(api, "noop", Prefer="wait=10")
    base = str(api.base_url).replace("http", "ws", 1)

    async with connect(f"{base}ws/jobs/{job_id}") as socket:
        assert json.loads(await socket.recv())["final"]
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.0):
                await socket.recv()


async def test_a_client_reconnects_after_a_restart_and_sees_the_end(
    start_server: Callable[..., DevServer],
) -> None:
    server = start_server()
    client = SeedLikeClient(f"{server.url}/api", pace=0.1)
    async with httpx.AsyncClient(base_url=f"{server.url}/api", timeout=30) as api:
        job_id = await submit(api, "slow", {"seconds": 1.5})
        watching = asyncio.create_task(client.messages(job_id))
        await client.connected.wait()
        await asyncio.to_thread(server.restart)
        async with asyncio.timeout(30):
            messages = await watching

    assert client.connections >= 2
    assert is_ended_once(messages)
    assert messages[-1]["type"] == "job_completed"


async def test_a_shutdown_ends_streams_and_sockets_at_once(
    start_server: Callable[..., DevServer],
) -> None:
    server = start_server(ENCOLA_DRAIN_SECONDS="0.2")
    async with httpx.AsyncClient(base_url=f"{server.url}/api", timeout=30) as api:
        job_id = await submit(api, "slow", {"seconds": 60})
        base = str(api.base_url).replace("http", "ws", 1)
        async with connect(f"{base}ws/jobs/{job_id}") as socket:
            await socket.recv()
            code = await asyncio.to_thread(server.stop)
            await socket.wait_closed()
            close_code = socket.close_code
    server.start()
    async with httpx.AsyncClient(base_url=f"{server.url}/api", timeout=30) as api:
        job = (await api.get(f"/jobs/{job_id}")).json()

    assert code == 0
    assert close_code == 1012
    assert job["status"] in ("queued", "processing")


async def test_a_name_that_is_not_this_machines_is_not_answered(
    api: httpx.AsyncClient, shared_server: DevServer
) -> None:
    job_id = await submit(api, "noop")
    rebound = {"Host": f"evil.example:{shared_server.port}"}

    refused = await api.get(f"/jobs/{job_id}", headers=rebound)
    with pytest.raises(InvalidStatus) as socket_refused:
        await connect(f"ws://evil.example:{shared_server.port}/api/ws/jobs/{job_id}", host="127.0.0.1")

    assert refused.status_code == 403
    assert refused.json()["code"] == "foreign_host"
    assert socket_refused.value.response.status_code == 403
