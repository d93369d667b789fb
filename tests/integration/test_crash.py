"""Nothing that was accepted is lost, however often the process is killed."""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Callable

import httpx
from processes import DevServer

JOBS = 500
SUBMITTERS = 16
DEADLINE_SECONDS = 90.0


async def test_every_accepted_job_ends_exactly_once_though_the_process_is_killed_again_and_again(
    start_server: Callable[..., DevServer],
) -> None:
    server = start_server(ENCOLA_LEASE_SECONDS="30")
    chaos = random.Random(20261123)
    accepted: dict[str, str] = {}

    async with asyncio.TaskGroup() as group:
        submitting = group.create_task(_submit_all(server, accepted))
        kills = await _kill_until(server, submitting, chaos)
    for _ in range(3):
        await asyncio.sleep(chaos.uniform(0.05, 0.4))
        server.kill9()
        server.start()
        kills += 1
    streams = await _all_ended(server, accepted.values())

    assert kills >= 5
    assert len(accepted) == JOBS
    assert len(set(accepted.values())) == JOBS
    for events in streams.values():
        assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
        assert [event["final"] for event in events].count(True) == 1
        assert events[-1]["final"]
    # An attempt is claimed at most once, and only a worker's death begins another.
    for events in streams.values():
        claims = Counter(event["attempt"] for event in events if _is_claim(event, events))
        assert set(claims.values()) <= {1}
    statuses = Counter(events[-1]["status"] for events in streams.values())
    assert set(statuses) <= {"completed", "failed"}
    assert all(
        events[-1]["error_info"]["code"] in ("worker_lost", "poisoned")
        for events in streams.values()
        if events[-1]["status"] == "failed"
    )
    assert statuses["completed"] >= JOBS * 0.9


def _is_claim(event: dict[str, object], events: list[dict[str, object]]) -> bool:
    before = events[int(str(event["seq"])) - 2] if int(str(event["seq"])) > 1 else None
    return event["status"] == "processing" and (before is None or before["status"] != "processing")


async def _kill_until(server: DevServer, submitting: asyncio.Task[None], chaos: random.Random) -> int:
    kills = 0
    while not submitting.done():
        await asyncio.sleep(chaos.uniform(0.15, 0.9))
        server.kill9()
        await asyncio.to_thread(server.start)
        kills += 1
    return kills


async def _submit_all(server: DevServer, accepted: dict[str, str]) -> None:
    """Submit every job until it is accepted, as a client does: with one key for all tries."""
    waiting = iter(range(JOBS))

    async def submitter(client: httpx.AsyncClient) -> None:
        for number in waiting:
            key = f"job-{number}"
            accepted[key] = await _submit_one(client, key, number)

    async with (
        httpx.AsyncClient(
            base_url=server.url, timeout=5, limits=httpx.Limits(max_connections=None)
        ) as client,
        asyncio.TaskGroup() as group,
    ):
        for _ in range(SUBMITTERS):
            group.create_task(submitter(client))


async def _submit_one(client: httpx.AsyncClient, key: str, number: int) -> str:
    body = {"type": "slow", "params": {"seconds": (number % 7) / 20}}
    async with asyncio.timeout(DEADLINE_SECONDS):
        while True:
            try:
                response = await client.post("/api/jobs", json=body, headers={"Idempotency-Key": key})
            except httpx.TransportError:
                await asyncio.sleep(0.05)
                continue
            if response.status_code == 202:
                return str(response.json()["job_id"])
            assert response.status_code == 503, response.text


async def _all_ended(server: DevServer, job_ids: object) -> dict[str, list[dict[str, object]]]:
    streams: dict[str, list[dict[str, object]]] = {}
    async with (
        asyncio.timeout(DEADLINE_SECONDS),
        httpx.AsyncClient(base_url=server.url, timeout=30) as client,
    ):
        for job_id in list(job_ids):  # type: ignore[call-overload]
            while True:
                response = await client.get(f"/api/jobs/{job_id}", params={"wait": 20})
                if response.json()["final"]:
                    break
            listing = await client.get(f"/api/jobs/{job_id}/events", headers={"Accept": "application/json"})
            streams[job_id] = json.loads(listing.text)["events"]
    return streams
