"""What becomes of calls when things go wrong, as numbers against goals."""

import asyncio
import random
import statistics
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from bench.call_service.ours import assembled
from encola.adapters.http import build_transport
from encola.adapters.memory import InMemoryCache
from encola.adapters.system import SystemClock
from encola.application.call_service import CallService
from encola.application.local_cache import quick_key
from encola.domain.context import ExecutionContext, TenantId
from encola.domain.operations import Operations
from encola.domain.policy import OperationPolicy, Repeat
from encola.entrypoints.replay_side import ReplaySide
from encola.entrypoints.server import serving, take_port, url_of
from encola.entrypoints.service_side import ServiceSide

READ = OperationPolicy(name="bench_read", timeout=1.0, repeat=Repeat.SAFE, attempts=3)
WRITE = OperationPolicy(name="bench_write", timeout=2.0, repeat=Repeat.KEYED, attempts=3)
SHORT = OperationPolicy(name="bench_short", timeout=0.2, repeat=Repeat.NEVER, attempts=1)
OPERATIONS = Operations([READ, WRITE, SHORT])
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Goal:
    """A number and its bound."""

    sentence: str
    reached: float
    bound: float
    is_ceiling: bool = True

    @property
    def is_met(self) -> bool:
        """Tell whether it is on the right side."""
        return self.reached <= self.bound if self.is_ceiling else self.reached >= self.bound

    def line(self) -> str:
        """Return a row."""
        sign, verdict = "≤" if self.is_ceiling else "≥", "met" if self.is_met else "MISSED"
        return f"{verdict:6} {self.sentence}: {self.reached:.3g} ({sign} {self.bound:g})"


@asynccontextmanager
async def calling(url: str) -> AsyncIterator[CallService]:
    """Return ``call_service`` with the service ``query``, with all layers."""
    call_service, caller, responses = assembled(url, build_transport(), operations=OPERATIONS)
    yield call_service
    await responses.close()
    await caller.close(drain_seconds=0.1)


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(serve: Serve) -> AsyncIterator[str]:
    """Serve raw connections, and return the address."""

    async def safely(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the caller has left, or the experiment is over
        finally:
            writer.close()

    server = await asyncio.start_server(safely, "127.0.0.1", 0, backlog=1_000)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def read(reader: asyncio.StreamReader) -> dict[str, str]:
    """Read one request, and return its headers."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    headers = {
        name.lower(): value.strip()
        for name, _, value in (line.partition(":") for line in head.split("\r\n")[1:])
    }
    await reader.readexactly(int(headers.get("content-length", "0")))
    return headers


async def churn() -> list[Goal]:
    """Cancel thousands of callers, and see who is served afterwards; httpx alone beside it."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read(reader)
            await asyncio.sleep(0.02)
            writer.write(HEAD % 4 + b"true")

    async def cancelled(call: Callable[[], Awaitable[object]]) -> int:
        chance, count = random.Random(7), 0
        end = asyncio.get_running_loop().time() + 3

        async def one_after_the_other() -> None:
            nonlocal count
            while asyncio.get_running_loop().time() < end:
                task = asyncio.ensure_future(call())
                await asyncio.sleep(chance.random() * 0.03)
                count += task.cancel()
                await asyncio.gather(task, return_exceptions=True)

        await asyncio.gather(*(one_after_the_other() for _ in range(60)))
        return count

    async with listening(serve) as url, calling(url) as call_service:

        async def ours() -> bool:
            result = await call_service("query/", operation_type="bench_read", tenant_id="acme")
            return result.success

        count = await cancelled(ours)
        fine = [await ours() for _ in range(30)].count(True)
        async with httpx.AsyncClient(limits=httpx.Limits(max_connections=10), timeout=1.0) as client:
            await cancelled(lambda: client.post(url))
            theirs = 0
            for _ in range(30):
                with suppress(httpx.HTTPError):
                    theirs += (await client.post(url)).is_success
    print(f"       of 30 calls after cancelled ones, httpx with 10 connections serves {theirs}")
    return [
        Goal("cancelled calls in 3 s", count, 3_000, is_ceiling=False),
        Goal("of 30 calls after them, served", fine, 30, is_ceiling=False),
    ]


async def overshoot() -> list[Goal]:
    """Return by how much calls outlive their time."""

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read(reader)
        writer.write(HEAD % 1_000)
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.02)

    async def headers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            writer.write(b"X-More: y\r\n")
            await writer.drain()
            await asyncio.sleep(0.02)

    async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(10)

    loop = asyncio.get_running_loop()
    late: list[float] = []
    for serve in (drip, headers, silence):
        async with listening(serve) as url:
            for _ in range(4):
                async with calling(url) as call_service:

                    async def call(call_service: CallService = call_service) -> float:
                        began = loop.time()
                        await call_service("query/", operation_type="bench_short", tenant_id="acme")
                        return loop.time() - began - SHORT.timeout

                    late += await asyncio.gather(*(call() for _ in range(25)))
    p99 = statistics.quantiles(late, n=100)[98]
    return [Goal("ms beyond the deadline, p99", p99 * 1_000, 10)]


@dataclass
class OneWorker:
    """A service that works off one request after the other, and leaves out those nobody waits for."""

    per_second: float
    queue: deque[tuple[float, asyncio.Future[bool]]] = field(default_factory=deque)
    requests: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of a connection."""
        loop = asyncio.get_running_loop()
        while True:
            headers = await read(reader)
            self.requests += 1
            turn: asyncio.Future[bool] = loop.create_future()
            self.queue.append((loop.time() + int(headers["x-request-timeout-ms"]) / 1_000, turn))
            if await turn:
                writer.write(HEAD % 4 + b"true")
            else:
                writer.write(b"HTTP/1.1 504 Gateway Timeout\r\nContent-Length: 0\r\n\r\n")

    async def work(self) -> None:
        """Work for ever."""
        loop = asyncio.get_running_loop()
        earned, before = 0.0, loop.time()
        while True:
            await asyncio.sleep(0.002)
            now = loop.time()
            earned, before = min(earned + (now - before) * self.per_second, 2.0), now
            while self.queue and earned >= 1:
                end, turn = self.queue.popleft()
                if not turn.done():
                    earned -= end > now
                    turn.set_result(end > now)


async def brown_out() -> list[Goal]:
    """Take four fifths of a service's capacity away for ten seconds, at 80 % load."""
    capacity, load, seconds = 300.0, 240.0, 10.0
    worker = OneWorker(capacity)
    loop = asyncio.get_running_loop()
    calls: list[tuple[float, asyncio.Task[bool]]] = []

    async with listening(worker.serve) as url, calling(url) as call_service, AsyncExitStack() as stack:
        working = asyncio.create_task(worker.work())
        stack.callback(working.cancel)

        async def call() -> bool:
            result = await call_service("query/", operation_type="bench_read", tenant_id="acme")
            return result.success

        async def drive(until: float) -> None:
            at = loop.time()
            while at < until:
                await asyncio.sleep(max(0.0, at - loop.time()))
                calls.append((at, asyncio.create_task(call())))
                at += 1 / load

        await drive(loop.time() + 2)
        before, began = worker.requests, loop.time()
        worker.per_second = capacity * 0.2
        await drive(began + seconds)
        attempts = worker.requests - before
        during = sum(at >= began for at, _ in calls)
        worker.per_second = capacity
        healed = loop.time()
        await drive(healed + 12)
        results = [(at, await task) for at, task in calls]
    back = _first_good_second([(at - healed, fine) for at, fine in results if at >= healed])
    return [
        Goal("attempts a call while four fifths of the capacity are gone", attempts / during, 1.15),
        Goal("seconds after it until nine of ten calls succeed", back, 2.0),
    ]


def _first_good_second(results: list[tuple[float, bool]]) -> float:
    for tenth in range(110):
        start = tenth / 10
        window = [fine for at, fine in results if start <= at < start + 1]
        if window and sum(window) >= 0.9 * len(window):
            return start
    return 99.0


async def chain() -> list[Goal]:
    """Let three services call each other, of which the last one fails for everybody."""
    reached, asked, seconds = 0, 0, 8.0
    clock = SystemClock()

    async def failing(request: Request) -> JSONResponse:
        nonlocal reached
        reached += 1
        return JSONResponse({"success": False, "error": {"message": "down"}}, status_code=503)

    async with AsyncExitStack() as stack:

        async def served(endpoint: Callable[[Request], Awaitable[JSONResponse]]) -> str:
            app = ServiceSide(Starlette(routes=[Route("/", endpoint, methods=["POST"])]), clock=clock)
            listener = stack.enter_context(take_port("127.0.0.1", 0))
            await stack.enter_async_context(serving(app, listener, log_level="critical"))
            return url_of(listener)

        async def passing_on(url: str) -> str:
            call_service = await stack.enter_async_context(calling(url))

            async def endpoint(request: Request) -> JSONResponse:
                result = await call_service("query/", {}, operation_type="bench_write")
                status = 200 if result.success else 503
                return JSONResponse(
                    {"success": result.success, "data": None, "error": None}, status_code=status
                )

            return await served(endpoint)

        last = await served(failing)
        first = await passing_on(await passing_on(last))
        call_service = await stack.enter_async_context(calling(first))
        end = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < end:
            asked += 1
            await call_service("query/", {}, operation_type="bench_write", tenant_id="acme")
            await asyncio.sleep(0.01)
    return [
        Goal(
            "requests that reach the last of three failing services, for each first call",
            reached / asked,
            1.5,
        )
    ]


async def one_effect() -> list[Goal]:
    """Let every other connection drop when its POST has been worked on."""
    effects = 0
    drops = random.Random(5)

    async def effect(request: Request) -> JSONResponse:
        nonlocal effects
        effects += 1
        return JSONResponse({"success": True, "data": effects, "error": None})

    clock = SystemClock()
    app = ReplaySide(Starlette(routes=[Route("/", effect, methods=["POST"])]), cache=InMemoryCache(clock))
    async with AsyncExitStack() as stack:
        listener = stack.enter_context(take_port("127.0.0.1", 0))
        await stack.enter_async_context(serving(app, listener, log_level="critical"))
        port = listener.getsockname()[1]

        async def losing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            there, back = await asyncio.open_connection("127.0.0.1", port)
            back.write(head + await reader.readexactly(length))
            answer = await there.readuntil(b"\r\n\r\n")
            if drops.random() >= 0.5:
                size = int(answer.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                writer.write(answer + await there.readexactly(size))
            back.close()

        url = await stack.enter_async_context(listening(losing))
        succeeded = calls = 0
        while calls < 200:
            # A caller of its own each time, so that no breaker ends the experiment.
            async with calling(url) as call_service:
                calls += 1
                result = await call_service(
                    "query/", {"n": calls}, operation_type="bench_write", tenant_id="acme"
                )
                succeeded += result.success
    return [
        Goal("effects of a keyed call whose connection drops half of the time", effects / calls, 1.0),
        Goal(
            "of such calls, those that succeed with three attempts", succeeded / calls, 0.8, is_ceiling=False
        ),
    ]


async def isolation() -> list[Goal]:
    """Ask a million random questions of random tenants, and look for a key that two tenants share."""
    chance = random.Random(11)
    owners: dict[object, str] = {}
    shared = 0
    for _ in range(1_000_000):
        tenant = f"t{chance.randrange(1_000)}"
        context = ExecutionContext(tenant_id=TenantId(tenant), agent_id=chance.choice([None, "a", "b"]))
        key = quick_key(
            context, READ, "query", f"/{chance.randrange(9)}", "POST", {"q": chance.randrange(99)}
        )
        shared += owners.setdefault(key, tenant) != tenant
    return [Goal("keys that two tenants share, of a million random questions", shared, 0)]


async def main() -> int:
    """Try everything, print what came of it, and return 1 if a goal was missed."""
    goals: list[Goal] = []
    for experiment in (isolation, churn, overshoot, one_effect, chain, brown_out):
        found = await experiment()
        for goal in found:
            print(goal.line(), flush=True)
        goals += found
    return int(not all(goal.is_met for goal in goals))
