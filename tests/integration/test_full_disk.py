"""A disk on which nothing more fits, as the kernel says it: a limit on the size of files."""

import resource
from collections.abc import Callable
from pathlib import Path

import httpx
from processes import DevServer
from rest import assert_problem, submitted

PARAMS = {"text": "x" * 50_000}
ROOM = 256 * 1024


def fill_disk(server: DevServer) -> None:
    """Let the server's files grow only a little beyond the largest one."""
    largest = max(path.stat().st_size for path in Path(server.folder).rglob("*") if path.is_file())
    _, hard = resource.prlimit(server.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (largest + ROOM, hard))


def free_disk(server: DevServer) -> None:
    """Take the limit away."""
    _, hard = resource.prlimit(server.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (hard, hard))


async def fill(api: httpx.AsyncClient) -> tuple[list[str], httpx.Response]:
    """Submit until the server refuses; return what it accepted, and the refusal."""
    accepted: list[str] = []
    for _ in range(2000):
        response = await api.post("/jobs", json={"type": "echo", "params": PARAMS})
        if response.status_code != 202:
            return accepted, response
        accepted.append(response.json()["job_id"])
    raise AssertionError("the disk never filled")


async def all_complete(api: httpx.AsyncClient, job_ids: list[str]) -> None:
    for job_id in job_ids:
        job = (await api.get(f"/jobs/{job_id}", params={"wait": 30})).json()
        assert (job["status"], job["result"]) == ("completed", PARAMS), job["error"]


async def test_a_full_disk_refuses_new_jobs_and_loses_none_that_were_accepted(
    start_server: Callable[..., DevServer],
) -> None:
    server = start_server(ENCOLA_FSYNC="false")
    async with httpx.AsyncClient(base_url=f"{server.url}/api", timeout=60) as api:
        early = [(await submitted(api, "echo", PARAMS))["job_id"] for _ in range(5)]
        fill_disk(server)
        accepted, refusal = await fill(api)

        assert_problem(refusal, 503, "store_unavailable")
        assert refusal.headers["retry-after"] == "1"
        for job_id in early + accepted:
            assert (await api.get(f"/jobs/{job_id}")).json()["params"] == PARAMS

    server.restart()
    async with httpx.AsyncClient(base_url=f"{server.url}/api", timeout=60) as api:
        await all_complete(api, early + accepted)


async def test_once_there_is_room_again_the_same_process_goes_on(
    start_server: Callable[..., DevServer],
) -> None:
    server = start_server(ENCOLA_FSYNC="false")
    async with httpx.AsyncClient(base_url=f"{server.url}/api", timeout=60) as api:
        fill_disk(server)
        accepted, refusal = await fill(api)
        assert refusal.status_code == 503

        free_disk(server)

        accepted.append((await submitted(api, "echo", PARAMS))["job_id"])
        await all_complete(api, accepted)
