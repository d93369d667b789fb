"""How long a client waits: REST submit, then a socket of its own until the job has ended."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time

import httpx
from websockets.asyncio.client import connect

READY_SECONDS = 30.0


def measure(jobs: int) -> dict[str, float]:
    """Return milliseconds over ``jobs`` jobs, one after the other, on a server of their own."""
    with tempfile.TemporaryDirectory() as folder:
        port = _free_port()
        environment = {
            **os.environ,
            "ENCOLA_PORT": str(port),
            "ENCOLA_DATA_DIR": folder,
            "ENCOLA_APP": "bench.app:app",
        }
        started = time.perf_counter()
        server = subprocess.Popen(
            [sys.executable, "-m", "encola.entrypoints.cli.main", "dev"],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            _wait_until_ready(f"http://127.0.0.1:{port}", server)
            ready = time.perf_counter() - started
            figures = asyncio.run(_measure(f"127.0.0.1:{port}", jobs))
        finally:
            server.send_signal(signal.SIGKILL)
            server.wait()
    return {"start until ready": 1000 * ready, **figures}


async def _measure(address: str, jobs: int) -> dict[str, float]:
    accepted, ended = [], []
    async with httpx.AsyncClient(base_url=f"http://{address}") as client:
        for number in range(jobs + 20):
            start = time.perf_counter()
            response = await client.post("/api/jobs", json={"type": "noop", "params": {"text": "x" * 180}})
            answered = time.perf_counter()
            await _until_ended(f"ws://{address}/api/ws/jobs/{response.json()['job_id']}")
            if number >= 20:  # the first ones warm caches up
                accepted.append(answered - start)
                ended.append(time.perf_counter() - start)
    return {
        "submit until 202, p50": _percentile(accepted, 0.50),
        "submit until the end is seen, p50": _percentile(ended, 0.50),
        "submit until the end is seen, p99": _percentile(ended, 0.99),
    }


async def _until_ended(url: str) -> None:
    async with connect(url, compression=None) as socket:
        async for frame in socket:
            if json.loads(frame)["final"]:
                return


def import_cost() -> float:
    """Return the milliseconds that importing the public names adds to starting Python."""
    names = "from encola import Encola, JobContext"
    return _start(names) - _start("pass")


def _start(code: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return 1000 * (time.perf_counter() - start)


def _wait_until_ready(url: str, server: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            if httpx.get(f"{url}/readyz", timeout=1).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.01)
    raise RuntimeError("the server did not become ready")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _percentile(seconds: list[float], share: float) -> float:
    return 1000 * sorted(seconds)[min(len(seconds) - 1, int(len(seconds) * share))]
