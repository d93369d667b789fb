"""The in-memory adapters keep what the ports promise."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest

from encola.adapters.memory import (
    InMemoryCache,
    InMemoryHealthBoard,
    InMemoryJobCatalog,
    InMemoryJobFeed,
    InMemoryJobHistory,
    InMemoryJobOutputs,
    InMemoryJobStore,
    InMemoryMetrics,
    InMemoryWorkBoard,
    InProcessJobQueue,
    InProcessNotifier,
    ManualClock,
    MemoryState,
    ScriptedServiceCaller,
    ScriptedServiceProbe,
    SeededIds,
)
from encola.domain.health import Target
from encola.domain.service import CallMeta, ServiceCall, ServiceError, ServiceResult
from encola.testing import contracts
from encola.testing.stores import Stores


def memory_stores() -> Stores:
    """Return stores over one new state."""
    state, notifier = MemoryState(), InProcessNotifier()
    return Stores(
        jobs=InMemoryJobStore(state, notifier),
        board=InMemoryWorkBoard(state),
        catalog=InMemoryJobCatalog(state),
        feed=InMemoryJobFeed(state),
        outputs=InMemoryJobOutputs(state, notifier),
        notifier=notifier,
    )


class InMemory:
    @pytest.fixture
    def stores(self) -> Stores:
        return memory_stores()


class TestInMemoryJobStore(InMemory, contracts.JobStoreContract):
    pass


class TestInMemoryWorkBoard(InMemory, contracts.WorkBoardContract):
    pass


class TestInMemoryJobCatalog(InMemory, contracts.JobCatalogContract):
    pass


class TestInMemoryJobFeed(InMemory, contracts.JobFeedContract):
    pass


class TestInMemoryJobOutputs(InMemory, contracts.JobOutputsContract):
    pass


class TestInProcessNotifier(contracts.NotifierContract):
    @pytest.fixture
    def notifier(self) -> InProcessNotifier:
        return InProcessNotifier()


class TestInMemoryJobHistory(contracts.JobHistoryContract):
    @pytest.fixture
    def history(self) -> InMemoryJobHistory:
        return InMemoryJobHistory()


class TestInProcessJobQueue(contracts.JobQueueContract):
    @pytest.fixture
    def queue(self) -> InProcessJobQueue:
        return InProcessJobQueue(window=10)

    @pytest.fixture
    def deliveries(self, queue: InProcessJobQueue) -> InProcessJobQueue:
        return queue


class OnManualClock:
    @pytest.fixture
    def clock(self) -> ManualClock:
        return ManualClock()

    @pytest.fixture
    def pass_time(self, clock: ManualClock) -> Callable[[timedelta], object]:
        return clock.advance


class TestManualClock(OnManualClock, contracts.ClockContract):
    pass


class TestInMemoryCache(OnManualClock, contracts.CacheContract):
    @pytest.fixture
    def cache(self, clock: ManualClock) -> InMemoryCache:
        return InMemoryCache(clock)


class TestInMemoryHealthBoard(OnManualClock, contracts.HealthBoardContract):
    @pytest.fixture
    def board(self, clock: ManualClock) -> InMemoryHealthBoard:
        return InMemoryHealthBoard(clock)


class TestScriptedServiceProbe(contracts.ServiceProbeContract):
    @pytest.fixture
    def probe(self) -> ScriptedServiceProbe:
        return ScriptedServiceProbe({"unwell": "it answered 503", "away": "it could not be asked"})

    @pytest.fixture
    def well(self) -> Target:
        return Target("well", "http://well.test")

    @pytest.fixture
    def unwell(self) -> Target:
        return Target("unwell", "http://unwell.test")

    @pytest.fixture
    def away(self) -> Target:
        return Target("away", "http://away.test")


class TestInMemoryMetrics(contracts.MetricsContract):
    @pytest.fixture
    def metrics(self) -> InMemoryMetrics:
        return InMemoryMetrics()

    @pytest.fixture
    def read(self, metrics: InMemoryMetrics) -> Callable[..., float]:
        def read(name: str, **labels: str) -> float:
            noted = (metrics.counted, metrics.gauge, lambda *a, **k: len(metrics.observed(*a, **k)))
            return sum(look(name, **labels) for look in noted)

        return read


class TestSeededIds(contracts.IdsContract):
    @pytest.fixture
    def ids(self) -> SeededIds:
        return SeededIds()


def fail(call: ServiceCall) -> ServiceResult:
    """Answer 500."""
    meta = CallMeta(service=call.service, operation=call.operation.name, attempts=1, elapsed_ms=0)
    error = ServiceError(code="internal", message="It broke.", status=500)
    return ServiceResult(success=False, data=None, error=error, meta=meta)


async def hang(call: ServiceCall) -> None:
    """Never answer."""
    await asyncio.Event().wait()


def refuse(call: ServiceCall) -> None:
    """Play a host that nobody listens on."""
    raise ConnectionRefusedError


class TestScriptedServiceCaller(contracts.ServiceCallerContract):
    @pytest.fixture
    def caller(self) -> ScriptedServiceCaller:
        answers = {
            ("library", "/echo"): lambda call: call.data,
            ("library", "/failing"): fail,
            ("library", "/hanging"): hang,
            ("ruin", "/"): refuse,
        }
        bases = {"library": "http://library.test/v1", "ruin": "http://ruin.test"}
        return ScriptedServiceCaller(answers, bases)
