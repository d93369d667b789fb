"""Where the first design of this system broke, seen from outside; the numbers are of its list of defects.

What belongs to parts that are not there yet (a broker, breakers, several API processes, a JavaScript
client) has no test here yet.
"""

import asyncio
import socket
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from processes import DevServer, free_port
from rest import UNKNOWN, assert_problem, ended, events_of, finals, submitted
from seed_like_client import SeedLikeClient
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from encola.entrypoints.settings import load_settings


async def cached(api: httpx.AsyncClient, params: object, **headers: str) -> dict[str, Any]:
    body = {"type": "counted", "params": params, "use_cache": True}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    response = await api.post("/jobs", json=body, headers={"Prefer": "wait=30", **named})
    job: dict[str, Any] = response.json()
    assert job["status"] == "completed"
    return job


async def running_now(api: httpx.AsyncClient, job_id: str) -> None:
    """Return when a worker has the job."""
    job = await api.get(f"/jobs/{job_id}")
    while job.json()["status"] == "queued":
        job = await api.get(
            f"/jobs/{job_id}", params={"wait": 10}, headers={"If-None-Match": job.headers["etag"]}
        )
    assert job.json()["status"] == "processing"


async def test_seed_01_every_update_bears_the_id_that_the_submit_answered_with(
    api: httpx.AsyncClient, watcher: SeedLikeClient
) -> None:
    """Two ids for one job: no update ever found it."""
    job = await submitted(api, "steps", {"steps": 3})

    messages = await watcher.messages(job["job_id"])

    assert job["task_id"] == job["job_id"]
    assert {message["job_id"] for message in messages} == {job["job_id"]}


async def test_seed_02_a_browser_hears_what_the_worker_does(
    api: httpx.AsyncClient, watcher: SeedLikeClient
) -> None:
    """The sockets were looked for in the worker's process, where none was."""
    job = await submitted(api, "steps", {"steps": 5, "pause": 0.05})

    messages = await watcher.messages(job["job_id"])

    assert [message["progress"]["current"] for message in messages if "progress" in message][-1] == 5
    assert messages[-1]["type"] == "job_completed"


async def test_seed_03_params_and_context_reach_the_handler(api: httpx.AsyncClient) -> None:
    """The arguments landed among the keywords: the job never ran."""
    job = await ended(api, "greet", {"name": "Eva", "times": 2}, x_tenant_id="acme")

    assert job["result"] == {"text": "hola Eva hola Eva", "tenant": "acme"}


async def test_seed_04_handlers_share_a_running_loop(api: httpx.AsyncClient) -> None:
    """Each waited for a loop that nobody ran."""
    began = time.monotonic()

    jobs = await asyncio.gather(*(ended(api, "slow", {"seconds": 1}) for _ in range(20)))

    assert {job["status"] for job in jobs} == {"completed"}
    assert time.monotonic() - began < 10


async def test_seed_05_what_one_tenant_stored_is_not_another_s(api: httpx.AsyncClient) -> None:
    """The cache was written with the tenant and read without."""
    first = await cached(api, "five", x_tenant_id="five-a")
    other = await cached(api, "five", x_tenant_id="five-b")

    assert (first["cached"], other["cached"]) == (False, False)
    assert first["result"] != other["result"]


async def test_seed_06_and_28_an_accepted_job_survives_its_process(
    start_server: Callable[..., DevServer],
) -> None:
    """State and message were two steps, and a killed worker's message was taken for done."""
    server = start_server()
    async with httpx.AsyncClient(base_url=f"{server.url}/api", timeout=30) as api:
        waiting = [(await submitted(api, "noop"))["job_id"] for _ in range(20)]
        running = (await submitted(api, "slow", {"seconds": 3}))["job_id"]
        once = await api.post("/jobs", json={"type": "slow", "params": {"seconds": 60}, "retries": 0})
        for job_id in (running, once.json()["job_id"]):
            await running_now(api, job_id)

    await asyncio.to_thread(server.restart)

    async with httpx.AsyncClient(base_url=f"{server.url}/api", timeout=30) as api:
        jobs = [(await api.get(f"/jobs/{id_}", params={"wait": 20})).json() for id_ in [*waiting, running]]
        lost = (await api.get(f"/jobs/{once.json()['job_id']}", params={"wait": 20})).json()
    assert {job["status"] for job in jobs} == {"completed"}
    assert jobs[-1]["attempt"] == 2
    assert (lost["status"], lost["error_info"]["code"], lost["attempt"]) == ("failed", "worker_lost", 1)


async def test_seed_07_and_25_services_that_are_down_or_hang_touch_no_job_and_no_socket(
    start_server: Callable[..., DevServer],
) -> None:
    """History down failed a completed job; the metrics service was awaited in the handshake."""
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        server = start_server(
            ENCOLA_SERVICES__HISTORY=f"http://127.0.0.1:{free_port()}",
            ENCOLA_SERVICES__METRICS=f"http://127.0.0.1:{hanging.getsockname()[1]}",
        )
        async with httpx.AsyncClient(base_url=f"{server.url}/api", timeout=30) as api:
            began = time.monotonic()
            job = await submitted(api, "steps", {"steps": 3})
            messages = await SeedLikeClient(f"{server.url}/api").messages(job["job_id"])
            seconds = time.monotonic() - began
            events = await events_of(api, job["job_id"])

    assert messages[-1]["type"] == "job_completed"
    assert seconds < 3
    assert [event["status"] for event in finals(events)] == ["completed"]


async def test_seed_08_nothing_is_written_over_an_end(api: httpx.AsyncClient) -> None:
    """A late update overwrote the end of a job."""
    job = await submitted(api, "hang_sync")
    await running_now(api, job["job_id"])

    cancelled = (await api.post(f"/jobs/{job['job_id']}/cancel")).json()
    await ended(api, "hang")  # as long as the other's time limit, which would have failed it

    assert (await api.get(f"/jobs/{job['job_id']}")).json() == cancelled
    assert [event["status"] for event in finals(await events_of(api, job["job_id"]))] == ["cancelled"]


def test_seed_09_an_ended_job_is_kept_for_days_and_its_history_for_longer() -> None:
    """After an hour a job was forgotten, running or not."""
    settings = load_settings()

    assert settings.job_retention_days >= 7
    assert settings.history_retention_days > settings.job_retention_days


async def test_seed_10_only_the_same_work_has_the_same_cache_key(api: httpx.AsyncClient) -> None:
    """Tenant, type and params ran into each other, types were lost, and the context was left out."""
    first = await cached(api, {"a": 1, "b": [1, 2]}, x_conversation_id="one")

    same = await cached(api, {"b": [1, 2], "a": 1}, x_conversation_id="one")
    others = [
        await cached(api, {"a": "1", "b": [1, 2]}, x_conversation_id="one"),
        await cached(api, {"a": True, "b": [1, 2]}, x_conversation_id="one"),
        await cached(api, {"a": 1, "b": "[1, 2]"}, x_conversation_id="one"),
        await cached(api, {"a": 1, "b": [1, 2]}, x_conversation_id="two"),
        await cached(api, {"a": 1, "b": [1, 2]}),
    ]

    assert (same["cached"], same["result"]) == (True, first["result"])
    assert not any(other["cached"] for other in others)


async def test_seed_11_a_foreign_page_gets_nothing(api: httpx.AsyncClient, shared_server: DevServer) -> None:
    """Sockets asked neither for tenant nor credential nor origin."""
    job = await submitted(api, "noop")
    base = str(api.base_url).replace("http", "ws", 1)
    evil = "https://evil.example"

    with pytest.raises(InvalidStatus) as refused:
        await connect(f"{base}ws/jobs/{job['job_id']}", origin=evil)  # type: ignore[arg-type]
    read = await api.get("/jobs", headers={"Origin": evil})
    simple = await api.post("/jobs", content=b'{"type":"noop"}', headers={"Origin": evil})
    rebound = await api.get("/jobs", headers={"Host": f"evil.example:{shared_server.port}"})

    assert refused.value.response.status_code == 403
    assert "access-control-allow-origin" not in read.headers
    assert_problem(simple, 403, "foreign_origin")
    assert rebound.status_code == 403


@pytest.mark.parametrize("path", ["/jobs", "/jobs/agent/a/execute", "/internal/enqueue_agent"])
async def test_seed_12_and_32_a_repeated_post_with_a_key_is_one_job(
    api: httpx.AsyncClient, path: str
) -> None:
    """Requests were repeated after network errors, and agents ran twice."""
    body = {
        "/jobs": {"type": "noop"},
        "/jobs/agent/a/execute": {"input": "leases?"},
        "/internal/enqueue_agent": {"agent_id": "a", "input_text": "leases?"},
    }[path]
    headers = {"Idempotency-Key": str(uuid4()), "X-Tenant-ID": f"twelve-{uuid4().hex[:8]}"}

    for _ in range(3):
        assert (await api.post(path, json=body, headers=headers)).status_code == 202

    listed = await api.get("/jobs", headers={"X-Tenant-ID": headers["X-Tenant-ID"]})
    assert len(listed.json()["jobs"]) == 1


async def test_seed_14_two_equal_submits_are_two_jobs(api: httpx.AsyncClient) -> None:
    """The answer to one client's create was kept, and given to the next client."""
    first, second = await submitted(api, "echo", 14), await submitted(api, "echo", 14)

    assert first["job_id"] != second["job_id"]


async def test_seed_18_a_failure_is_told_once_with_its_cause(api: httpx.AsyncClient) -> None:
    """The failure path ran twice, and its own error hid the cause."""
    job = await ended(api, "decline")

    events = finals(await events_of(api, job["job_id"]))

    assert [event["error"] for event in events] == ["The card was declined."]


async def test_seed_19_a_cached_result_is_read(api: httpx.AsyncClient) -> None:
    """Results were written under a key that nobody read."""
    first = await cached(api, "nineteen")
    second = await cached(api, "nineteen")

    assert second["job_id"] != first["job_id"]
    assert (second["cached"], second["result"]) == (True, first["result"])


async def test_seed_20_status_and_lists_are_of_now(api: httpx.AsyncClient) -> None:
    """They were cached for one and five minutes."""
    tenant = {"X-Tenant-ID": "twenty"}
    for count in range(1, 6):
        job = (await api.post("/jobs", json={"type": "noop", "delay": 3600}, headers=tenant)).json()
        assert len((await api.get("/jobs", headers=tenant)).json()["jobs"]) == count
        await api.post(f"/jobs/{job['job_id']}/cancel", headers=tenant)
        read = await api.get(f"/jobs/{job['job_id']}/status", headers=tenant)
        assert read.json()["status"] == "cancelled"
        assert read.headers["cache-control"] == "no-store"


async def test_seed_24_a_healthy_server_says_so_at_once(
    api: httpx.AsyncClient, shared_server: DevServer
) -> None:
    """The check raised even when all was well."""
    response = await api.get(f"{shared_server.url}/health")

    assert response.status_code == 200
    assert response.json().items() >= {"status": "ok", "checks": {"store": "ok"}}.items()
    assert response.elapsed < timedelta(seconds=2)


async def test_seed_26_retries_count_what_follows_the_first_attempt(api: httpx.AsyncClient) -> None:
    """One number was taken for attempts here and for retries there."""
    body = {"type": "boom", "retries": 1}

    job = (await api.post("/jobs", json=body, headers={"Prefer": "wait=30"})).json()

    assert (job["status"], job["attempt"]) == ("failed", 2)


async def test_seed_27_instants_have_a_zone_and_contexts_stay_apart(api: httpx.AsyncClient) -> None:
    """Local times without a zone were sent, and a nested call lost the context of its caller."""
    tenants = [f"twenty-seven-{number}" for number in range(20)]

    jobs = await asyncio.gather(
        *(ended(api, "greet", {"name": "Ana"}, x_tenant_id=tenant) for tenant in tenants)
    )

    assert [job["result"]["tenant"] for job in jobs] == tenants
    for name in ("created_at", "updated_at", "started_at", "finished_at"):
        assert jobs[0][name].endswith("Z")
        assert datetime.fromisoformat(jobs[0][name]).tzinfo is not None


async def test_seed_32_errors_are_json_and_say_their_message(api: httpx.AsyncClient) -> None:
    """Errors had a `detail` where the client read `message`, or were no JSON at all."""
    for response in (
        await api.get("/nowhere"),
        await api.get(f"/jobs/{UNKNOWN}"),
        await api.delete("/jobs"),
        await api.post("/jobs", content=b"{", headers={"Content-Type": "application/json"}),
    ):
        assert_problem(response, response.status_code, response.json()["code"])


async def test_seed_12_a_keyed_job_is_started_once(api: httpx.AsyncClient, tmp_path: Path) -> None:
    """Duplicates of a request were duplicates of the work."""
    trace = tmp_path / "starts"
    body = {"type": "record_start", "params": {"file": str(trace)}}
    headers = {"Idempotency-Key": str(uuid4()), "Prefer": "wait=20"}

    await asyncio.gather(*(api.post("/jobs", json=body, headers=headers) for _ in range(20)))

    assert len(trace.read_text().splitlines()) == 1
