"""Callers in several processes that ask the same, with a real Redis between them."""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fault_server import FaultServer, delayed, reply

from encola.testing.servers import RedisServer

PROCESS = Path(__file__).parent / "caching_process.py"
PROCESSES = 4
CALLERS = 250
PATIENCE = 30.0
ANSWER = {"success": True, "data": {"answer": 42}, "error": None}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """Return a server of the test's own, to be killed and paused."""
    with RedisServer(tmp_path / "redis") as server:
        yield server


async def answered(redis_url: str, service: FaultServer) -> list[int]:
    """Let all ask at once, and return how many callers of each process got the answer."""
    processes = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, str(PROCESS), redis_url, service.url, str(CALLERS)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        for _ in range(PROCESSES)
    ]
    try:
        async with asyncio.timeout(PATIENCE):
            for process in processes:
                assert process.stdout is not None
                assert await process.stdout.readline() == b"ready\n"
            said = await asyncio.gather(*(process.communicate(b"go\n") for process in processes))
            return [int(out) for out, _ in said]
    finally:
        for process in processes:
            if process.returncode is None:
                process.kill()
                await process.wait()


async def test_a_thousand_callers_in_four_processes_ask_once(redis_url: str) -> None:
    async with FaultServer(delayed(0.3, reply(200, ANSWER))) as service:
        counts = await answered(redis_url, service)

    assert counts == [CALLERS] * PROCESSES
    assert len(service.requests) == 1


@pytest.mark.parametrize("away", ["killed", "paused"])
async def test_without_redis_each_process_asks_once(server: RedisServer, away: str) -> None:
    if away == "killed":
        server.kill()
    else:
        server.pause()
    async with FaultServer(delayed(0.3, reply(200, ANSWER))) as service:
        counts = await answered(server.url, service)
    if away == "paused":
        server.resume()

    assert counts == [CALLERS] * PROCESSES
    assert len(service.requests) <= PROCESSES
