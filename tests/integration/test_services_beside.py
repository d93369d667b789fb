"""What a running ``encola dev`` knows of the services beside it, and what it tells them."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from commands import running
from processes import free_port
from websockets.asyncio.client import connect

DEMO = ("agent", "embedding", "history", "metrics")
PATIENCE = 30.0
"""Seconds after which what was to happen has not; two probes of a service that is down take five."""


@pytest.fixture(scope="module")
async def ready(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[dict[str, Any]]:
    """Start one whose query service nobody can reach, and return what it announced."""
    variables = {
        "ENCOLA_PORT": "0",
        "ENCOLA_DATA_DIR": str(tmp_path_factory.mktemp("dev")),
        "ENCOLA_SERVICES__QUERY": f"http://127.0.0.1:{free_port()}",
    }
    with running("dev", "--json", **variables) as server:
        assert server.stdout is not None
        yield json.loads(server.stdout.readline())


@pytest.fixture
async def http(ready: dict[str, Any]) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=ready["url"], trust_env=False, timeout=PATIENCE) as client:
        yield client


async def until(client: httpx.AsyncClient, path: str, holds: Callable[[Any], bool], **options: Any) -> Any:
    """Return the body once it is as it should be."""
    async with asyncio.timeout(PATIENCE):
        while True:
            response = await client.get(path, **options)
            if response.status_code == 200 and holds(response.json()):
                return response.json()
            await asyncio.sleep(0.05)


async def test_services_are_up_and_down_and_the_process_is_ready_all_the_same(
    http: httpx.AsyncClient,
) -> None:
    def is_settled(said: Any) -> bool:
        return all(service["status"] != "unknown" for service in said["services"].values())

    said = await until(http, "/readyz", is_settled)

    assert said["status"] == "ok"
    statuses = {name: service["status"] for name, service in said["services"].items()}
    assert statuses == {**dict.fromkeys(DEMO, "up"), "query": "down"}
    assert said["services"]["query"]["problem"].startswith("it could not be asked")
    shown = (await http.get("/api/metrics")).json()["services"]
    assert shown["query"]["status"] == "down"
    assert "problem" not in shown["query"]


async def test_prometheus_is_told_of_the_probes(http: httpx.AsyncClient) -> None:
    sample = 'encola_service_probes_total{outcome="failed",service="query"}'
    async with asyncio.timeout(PATIENCE):
        while sample not in (await http.get("/metrics")).text:  # noqa: ASYNC110 - it must be asked
            await asyncio.sleep(0.05)


async def test_seed_25_the_metrics_service_is_told_of_a_socket_after_it_has_opened(
    ready: dict[str, Any], http: httpx.AsyncClient
) -> None:
    tenant = {"X-Tenant-ID": "noted"}
    job = (
        await http.post("/api/jobs", json={"type": "query", "params": {"query": "x"}}, headers=tenant)
    ).json()
    address = ready["url"].replace("http", "ws", 1) + f"/api/ws/jobs/{job['job_id']}?tenant_id=noted"
    async with connect(address) as socket, asyncio.timeout(PATIENCE):
        await socket.recv()

    async with httpx.AsyncClient(base_url=ready["demo"], trust_env=False) as demo:
        noted = await until(
            demo,
            "/metrics/internal/websocket/connections",
            lambda said: said["data"]["counts"] == {"register": 1, "unregister": 1},
            headers=tenant,
        )

    left, came = noted["data"]["connections"]
    assert (came["connection_type"], left["connection_type"]) == ("register", "unregister")
    assert came["client_id"] == left["client_id"]
    assert came["timestamp"].endswith("Z")
