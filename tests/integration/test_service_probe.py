"""Probes of services on real sockets, some of which misbehave."""

import asyncio
import logging
from collections.abc import AsyncIterator

import httpx
import pytest
from fault_server import (
    Fault,
    FaultServer,
    close_after_request,
    dripping,
    endless_body,
    endless_headers,
    hang,
    raw,
    raw_reply,
    reply,
    reset_after_request,
    reset_before_request,
)
from processes import free_port

from encola.adapters.http import HttpServiceProbe, build_transport
from encola.domain.health import Target
from encola.testing.contracts import ServiceProbeContract

SHORT = 0.2
PATIENCE = 10.0


@pytest.fixture
async def transport() -> AsyncIterator[httpx.AsyncBaseTransport]:
    async with build_transport() as transport:
        yield transport


@pytest.fixture
def probe(transport: httpx.AsyncBaseTransport) -> HttpServiceProbe:
    return HttpServiceProbe(transport, seconds=SHORT)


async def said(probe: HttpServiceProbe, server: FaultServer, path: str = "") -> str | None:
    async with asyncio.timeout(PATIENCE):
        return await probe.probe(Target("query", server.url + path))


class TestHttpServiceProbe(ServiceProbeContract):
    @pytest.fixture
    async def probe(self, transport: httpx.AsyncBaseTransport) -> HttpServiceProbe:
        return HttpServiceProbe(transport)

    @pytest.fixture
    async def well(self) -> AsyncIterator[Target]:
        async with FaultServer(reply(200, {"status": "ok"})) as server:
            yield Target("well", server.url)

    @pytest.fixture
    async def unwell(self) -> AsyncIterator[Target]:
        async with FaultServer(reply(503, {"status": "ok"})) as server:
            yield Target("unwell", server.url)

    @pytest.fixture
    def away(self) -> Target:
        return Target("away", f"http://127.0.0.1:{free_port()}")


async def test_seed_24_a_probe_is_one_get_of_health_below_the_base_without_a_body(
    probe: HttpServiceProbe,
) -> None:
    async with FaultServer(reply()) as server:
        assert await said(probe, server, "/base/") is None

    [request] = server.requests
    assert (request.method, request.target, request.body) == ("GET", "/base/health", b"")
    assert "content-type" not in request.headers
    assert "x-tenant-id" not in request.headers


@pytest.mark.parametrize(
    "fault",
    [raw_reply(200, b""), raw_reply(204, b""), raw_reply(200, b"<p>Fine.</p>"), raw_reply(200, b"[" * 9999)],
)
async def test_the_body_of_a_good_answer_need_not_be_json(probe: HttpServiceProbe, fault: Fault) -> None:
    async with FaultServer(fault) as server:
        assert await said(probe, server) is None


@pytest.mark.parametrize(
    ("fault", "problem"),
    [
        (reply(500), "it answered 500"),
        (reply(404), "it answered 404"),
        (reply(302, location="/elsewhere"), "it answered 302"),
        (reply(200, {"status": "down"}), "it says that it is not well"),
        (reply(200, {"success": False}), "it says that it is not well"),
        (hang, "it gave no answer within 0.2 s"),
        (endless_headers, "it "),
        (endless_body, "it answered with more than 64 KiB"),
        (dripping(b" " * 1000, 0.01), "it gave no answer within 0.2 s"),
        (raw(b"nonsense\r\n\r\n"), "it could not be asked (RemoteProtocolError)"),
        (reset_before_request, "it could not be asked ("),
        (reset_after_request, "it could not be asked ("),
        (close_after_request, "it could not be asked ("),
    ],
)
async def test_whatever_a_service_does_it_is_said_in_time(
    probe: HttpServiceProbe, fault: Fault, problem: str
) -> None:
    async with FaultServer(fault) as server:
        answer = await said(probe, server)

    assert answer is not None
    assert answer.startswith(problem)
    assert server.connections == 1


async def test_nothing_that_the_service_sent_is_repeated(
    probe: HttpServiceProbe, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="encola")
    async with FaultServer(reply(503, {"status": "s3cret", "message": "s3cret"})) as server:
        assert "s3cret" not in str(await said(probe, server))
    assert "s3cret" not in caplog.text


async def test_a_probe_that_is_given_up_leaves_its_service(probe: HttpServiceProbe) -> None:
    async with FaultServer(hang) as server:
        asking = asyncio.create_task(probe.probe(Target("query", server.url)))
        await server.asked.wait()

        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking

        async with asyncio.timeout(PATIENCE):
            await server.left.wait()


async def test_a_process_that_shuts_down_asks_nobody(
    transport: httpx.AsyncBaseTransport, probe: HttpServiceProbe
) -> None:
    await transport.aclose()

    async with FaultServer(reply()) as server:
        assert "could not be asked" in str(await said(probe, server))
    assert server.connections == 0
