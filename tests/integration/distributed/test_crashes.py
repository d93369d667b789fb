"""What falls over, one thing at a time, and what happens then."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from deployment import Deployment, Process
from redis import Redis
from rest import ended, events_of, finals, submitted
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from encola.testing.servers import RabbitServer, RedisServer

LEASE = 2.0
SOON = 60.0

DELETE_QUEUES = '[rabbit_amqqueue:delete(Q, false, false, <<"test">>) || Q <- rabbit_amqqueue:list()].'

QUICK = {
    "ENCOLA_LEASE_SECONDS": str(LEASE),
    "ENCOLA_REPUBLISH_SECONDS": "2",
    "ENCOLA_DRAIN_SECONDS": "1",
}


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """Return a Redis of this module's own, to be restarted."""
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="module")
def rabbit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitServer]:
    """Return a RabbitMQ of this module's own, to be restarted."""
    with RabbitServer(tmp_path_factory.mktemp("rabbit")) as server:
        yield server


@pytest.fixture
def deployment(deploy: Callable[..., Deployment], redis: RedisServer, rabbit: RabbitServer) -> Deployment:
    """Return a deployment without processes, on servers that run and hold nothing."""
    for server in (redis, rabbit):
        if not server.is_running:
            server.start()
    rabbit.ctl("eval", DELETE_QUEUES)
    with Redis.from_url(redis.url) as client:
        client.flushall()
    return deploy(redis.url, rabbit.url, **QUICK)


@asynccontextmanager
async def client(api: Process) -> AsyncIterator[httpx.AsyncClient]:
    """Return a client of one API."""
    async with httpx.AsyncClient(base_url=f"{api.url}/api", timeout=40) as client:
        yield client


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = SOON) -> None:
    """Return when it holds; fail when it does not in time."""
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110 - what is waited for is outside of this process
            await asyncio.sleep(0.05)


async def is_status(api: httpx.AsyncClient, job_id: str, *statuses: str) -> bool:
    """Tell whether the job is in one of them."""
    return (await api.get(f"/jobs/{job_id}")).json()["status"] in statuses


async def the_end(api: httpx.AsyncClient, job_id: str) -> dict[str, Any]:
    """Return the job when it has ended, and hold its events to what every job's must be."""
    await until(lambda: is_status(api, job_id, "completed", "failed", "cancelled", "expired"))
    events = await events_of(api, job_id)
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert len(finals(events)) == 1
    assert events[-1]["final"]
    job: dict[str, Any] = (await api.get(f"/jobs/{job_id}")).json()
    return job


def starts(trace: Path) -> list[list[str]]:
    """Return id, attempt and process of every start."""
    lines = trace.read_text().splitlines() if trace.exists() else []
    return [line.split()[1:] for line in lines if line.startswith("start")]


async def begun(trace: Path, times: int = 1) -> None:
    """Return when a handler has started so many times."""

    async def has_begun() -> bool:
        return len(starts(trace)) >= times

    await until(has_begun)


def traced(trace: Path, seconds: float) -> dict[str, object]:
    """Return the params of a job that leaves traces."""
    return {"file": str(trace), "seconds": seconds}


async def test_a_job_of_a_killed_worker_is_finished_by_another(
    deployment: Deployment, tmp_path: Path
) -> None:
    trace = tmp_path / "trace"
    victim = deployment.worker()
    async with client(deployment.api()) as api:
        job = await submitted(api, "traced", traced(trace, 0.5))
        await begun(trace)
        victim.kill9()
        deployment.worker()

        end = await the_end(api, job["job_id"])

    assert (end["status"], end["result"], end["attempt"]) == ("completed", 2, 2)
    assert [attempt for _, attempt, _ in starts(trace)] == ["1", "2"]


async def test_a_worker_that_is_asked_to_end_hands_back_what_it_cannot_finish(
    deployment: Deployment, tmp_path: Path
) -> None:
    short, long = tmp_path / "short", tmp_path / "long"
    leaving = deployment.worker()
    async with client(deployment.api()) as api:
        quick = await submitted(api, "traced", traced(short, 0.7))
        slow = await submitted(api, "traced", traced(long, 6))
        await begun(short)
        await begun(long)
        deployment.worker()
        began = time.monotonic()

        code = await asyncio.to_thread(leaving.stop)

        took = time.monotonic() - began
        await begun(long, 2)
        ends = [await the_end(api, job["job_id"]) for job in (quick, slow)]
        events = await events_of(api, slow["job_id"])

    assert code == 0, leaving.log
    assert took < 8
    assert [end["status"] for end in ends] == ["completed", "completed"]
    assert len(starts(short)) == 1
    assert [event["status"] for event in events][:3] == ["queued", "processing", "queued"]


async def test_an_idle_worker_ends_at_once(deployment: Deployment) -> None:
    worker = deployment.worker()
    began = time.monotonic()

    assert await asyncio.to_thread(worker.stop) == 0, worker.log
    assert time.monotonic() - began < 3


async def test_a_worker_that_slept_past_its_lease_can_write_nothing(
    deployment: Deployment, tmp_path: Path
) -> None:
    trace = tmp_path / "trace"
    sleeper = deployment.worker()
    async with client(deployment.api()) as api:
        job = await submitted(api, "traced", traced(trace, 1))
        await begun(trace)
        sleeper.send(signal.SIGSTOP)
        deployment.worker()
        end = await the_end(api, job["job_id"])
        events = await events_of(api, job["job_id"])
        sleeper.send(signal.SIGCONT)
        # The one that woke shows by another job that it is at work again.
        await ended(api, "echo", "awake")
        await asyncio.to_thread(sleeper.stop)

        assert (end["status"], end["result"]) == ("completed", 2)
        assert await events_of(api, job["job_id"]) == events


async def test_a_running_job_is_cancelled_from_another_process(
    deployment: Deployment, tmp_path: Path
) -> None:
    trace = tmp_path / "trace"
    deployment.worker()
    async with client(deployment.api()) as api, client(deployment.api()) as other:
        job = await submitted(api, "traced", traced(trace, 30))
        await begun(trace)

        cancelled = await other.post(f"/jobs/{job['job_id']}/cancel")
        end = await the_end(api, job["job_id"])
        metrics_free = await ended(api, "echo", 1)

    assert cancelled.json()["status"] == end["status"] == "cancelled"
    assert metrics_free["status"] == "completed"
    assert "end" not in trace.read_text()


async def test_what_is_submitted_to_one_process_is_known_to_the_others_at_once(
    deployment: Deployment,
) -> None:
    async with client(deployment.api()) as one, client(deployment.api()) as other:
        for _ in range(50):
            job = await submitted(one, "echo", 1)
            assert (await other.get(f"/jobs/{job['job_id']}")).status_code == 200
            await one.post(f"/jobs/{job['job_id']}/cancel")
            assert await is_status(other, job["job_id"], "cancelled")


async def test_jobs_are_accepted_without_rabbitmq_and_run_when_a_new_one_comes(
    deployment: Deployment, rabbit: RabbitServer
) -> None:
    deployment.worker()
    async with client(deployment.api()) as api:
        await ended(api, "echo", 0)
        await asyncio.to_thread(rabbit.wipe)
        jobs = [await submitted(api, "echo", number) for number in range(20)]
        await asyncio.to_thread(rabbit.start)

        ends = [await the_end(api, job["job_id"]) for job in jobs]

    assert [end["result"] for end in ends] == list(range(20))
    assert {end["attempt"] for end in ends} == {1}


async def test_messages_that_rabbitmq_lost_are_sent_again(
    deployment: Deployment, rabbit: RabbitServer
) -> None:
    async with client(deployment.api()) as api:
        jobs = [await submitted(api, "echo", number) for number in range(20)]
        await until(lambda: _holds(rabbit, 20))
        await asyncio.to_thread(rabbit.wipe)
        await asyncio.to_thread(rabbit.start)
        deployment.worker()

        ends = [await the_end(api, job["job_id"]) for job in jobs]

    assert [end["result"] for end in ends] == list(range(20))


async def _holds(rabbit: RabbitServer, count: int) -> bool:
    said = await asyncio.to_thread(rabbit.ctl, "list_queues", "name", "messages_ready")
    lines = [line.split() for line in said.splitlines()]
    return any(len(line) == 2 and line[0] == "agent_tasks" and line[1] == str(count) for line in lines)


async def test_a_result_is_kept_in_hand_while_redis_is_away(
    deployment: Deployment, redis: RedisServer, tmp_path: Path
) -> None:
    trace = tmp_path / "trace"
    deployment.worker(ENCOLA_LEASE_SECONDS="20")
    async with client(deployment.api(ENCOLA_LEASE_SECONDS="20")) as api:
        job = await submitted(api, "traced", traced(trace, 1))
        await begun(trace)
        await asyncio.to_thread(redis.kill)
        refused = await api.post("/jobs", json={"type": "echo", "params": 1})
        with pytest.raises(InvalidStatus) as socket:
            await connect(f"{api.base_url}ws/jobs/{job['job_id']}".replace("http", "ws", 1))

        async def is_done() -> bool:
            return "end" in trace.read_text()

        await until(is_done)
        await asyncio.to_thread(redis.start)

        end = await the_end(api, job["job_id"])
        after = await ended(api, "echo", 1)

    assert (end["status"], end["attempt"]) == ("completed", 1)
    assert (refused.status_code, refused.json()["code"]) == (503, "store_unavailable")
    assert int(refused.headers["retry-after"]) > 0
    assert socket.value.response.status_code == 503
    assert int(socket.value.response.headers["retry-after"]) > 0
    assert after["status"] == "completed"


async def test_a_watcher_misses_nothing_when_redis_comes_back(
    deployment: Deployment, redis: RedisServer
) -> None:
    deployment.worker(ENCOLA_LEASE_SECONDS="20")
    async with client(deployment.api(ENCOLA_LEASE_SECONDS="20")) as api:
        job = await submitted(api, "steps", {"steps": 40, "pause": 0.1})
        watching = asyncio.create_task(_watched(api, job["job_id"]))
        await until(lambda: is_status(api, job["job_id"], "processing"))
        await asyncio.to_thread(redis.kill)
        await asyncio.to_thread(redis.start)

        async with asyncio.timeout(SOON):
            seen = await watching

    assert seen == list(range(1, len(seen) + 1))
    assert len(seen) == 43


async def _watched(api: httpx.AsyncClient, job_id: str) -> list[int]:
    """Return the numbers that an event stream sends up to the end."""
    async with api.stream("GET", f"/jobs/{job_id}/events", headers={"Last-Event-ID": "0"}) as stream:
        lines = [line async for line in stream.aiter_lines()]
    return [int(line.rsplit(":", 1)[1]) for line in lines if line.startswith("id:")]


async def test_a_job_that_kills_its_workers_is_set_aside_and_the_others_end(
    deployment: Deployment, tmp_path: Path
) -> None:
    async with client(deployment.api()) as api:
        bystanders = [await submitted(api, "traced", traced(tmp_path / "trace", 0.3)) for _ in range(10)]
        killer = await submitted(api, "suicidal")
        keeping = asyncio.create_task(_keep_a_worker(deployment))
        end = await the_end(api, killer["job_id"])
        ends = [await the_end(api, job["job_id"]) for job in bystanders]
        keeping.cancel()
        await asyncio.wait({keeping})

        assert (end["status"], end["error_info"]["code"]) == ("failed", "poisoned")
        assert {job["status"] for job in ends} == {"completed"}

        retried = await api.post(f"/jobs/{killer['job_id']}/retry")
        assert retried.json()["status"] == "queued"


async def _keep_a_worker(deployment: Deployment) -> None:
    """Start a worker whenever there is none, as a supervisor does."""
    while True:
        worker = await asyncio.to_thread(deployment.worker)
        while worker.is_running:  # noqa: ASYNC110 - a process tells nobody that it died
            await asyncio.sleep(0.05)


async def test_a_redis_that_is_full_refuses_and_keeps_what_it_has(
    deploy: Callable[..., Deployment], rabbit: RabbitServer, tmp_path: Path
) -> None:
    with RedisServer(tmp_path / "full", options={"maxmemory": "8mb"}) as redis:
        deployment = deploy(redis.url, rabbit.url, **QUICK)
        async with client(deployment.api()) as api:
            accepted: list[str] = []
            while True:
                answer = await api.post("/jobs", json={"type": "echo", "params": "x" * 100_000})
                if answer.status_code != 202:
                    break
                accepted.append(answer.json()["job_id"])
            listed = {job["job_id"] for job in (await api.get("/jobs?limit=100")).json()["jobs"]}

    assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
    assert listed == set(accepted)


async def test_processes_may_start_before_the_servers(
    deploy: Callable[..., Deployment], tmp_path: Path
) -> None:
    redis, rabbit = RedisServer(tmp_path / "redis"), RabbitServer(tmp_path / "rabbit")
    deployment = deploy(redis.url, rabbit.url, **QUICK)
    try:
        deployment.worker()
        api_process = deployment.api()
        async with client(api_process) as api:
            assert (await api.get(f"{api_process.url}/readyz")).status_code == 503
            for server in (rabbit, redis):
                await asyncio.to_thread(server.start)

            async def is_ready() -> bool:
                return (await api.get(f"{api_process.url}/readyz")).status_code == 200

            await until(is_ready)
            assert (await ended(api, "echo", 1))["result"] == 1
    finally:
        redis.stop()
        rabbit.stop()


@pytest.mark.parametrize("early_ack", ["1", "1500"], ids=["acknowledged early", "acknowledged late"])
async def test_a_job_longer_than_rabbitmqs_patience_completes_once(
    deploy: Callable[..., Deployment], tmp_path: Path, early_ack: str
) -> None:
    trace = tmp_path / "trace"
    with (
        RedisServer(tmp_path / "redis") as redis,
        RabbitServer(tmp_path / "impatient", options={"consumer_timeout": "1000"}) as rabbit,
    ):
        # It looks once a minute by itself; a job of more than a minute would make the test no better.
        rabbit.ctl("eval", "application:set_env(rabbit, channel_tick_interval, 1000).")
        deployment = deploy(redis.url, rabbit.url, **QUICK, ENCOLA_EARLY_ACK_SECONDS=early_ack)
        deployment.worker()
        async with client(deployment.api()) as api:
            job = await submitted(api, "traced", traced(trace, 8))
            end = await the_end(api, job["job_id"])
            after = await ended(api, "echo", 1)

    assert (end["status"], end["attempt"]) == ("completed", 1)
    assert len(starts(trace)) == 1
    assert after["status"] == "completed"
