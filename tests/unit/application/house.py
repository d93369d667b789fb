"""All use cases over one memory, put together by hand, on a clock that is moved by hand."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, TypeVar

from encola.adapters.memory import (
    InMemoryCache,
    InMemoryJobCatalog,
    InMemoryJobFeed,
    InMemoryJobHistory,
    InMemoryJobOutputs,
    InMemoryJobStore,
    InMemoryMetrics,
    InMemoryWorkBoard,
    InProcessJobQueue,
    InProcessNotifier,
    InProcessStopSignals,
    ManualClock,
    MemoryState,
    ScriptedServiceCaller,
    SeededIds,
)
from encola.application.call_service import CallService
from encola.application.cancel_job import CancelJob
from encola.application.claim_job import ClaimJob
from encola.application.dispatch_jobs import DispatchJobs
from encola.application.fast_lane import FastLane
from encola.application.follow_job import FollowJob, Since
from encola.application.forget_jobs import ForgetJobs
from encola.application.get_job import GetJob
from encola.application.handlers import Handler, HandlerRegistry, JobType, params_model_of
from encola.application.heed_stops import HeedStops
from encola.application.list_jobs import CountJobs, ListJobs
from encola.application.notify import Notify
from encola.application.ports import Announcement, JobStore
from encola.application.recover_jobs import RecoverJobs
from encola.application.relay_history import RelayHistory
from encola.application.renew_leases import RenewLeases
from encola.application.response_cache import ResponseCache
from encola.application.retry_job import RetryJob
from encola.application.run_job import RunJob
from encola.application.submit_job import Submission, SubmitJob, Submitted
from encola.application.suspects import Suspects
from encola.application.threads import HandlerThreads
from encola.domain.context import ExecutionContext, TenantId
from encola.domain.errors import StoreUnavailable
from encola.domain.event import JobEvent
from encola.domain.job import Job
from encola.domain.json_value import JSON
from encola.testing.builders import ACME, LEASE

T = TypeVar("T")

PATIENCE = 10.0
"""Seconds after which what has not happened will not happen."""

GRACE = timedelta(milliseconds=50)
CONSUMERS = ("history", "audit")


class FickleJobStore(InMemoryJobStore):
    """A store that is away for the next ``absences`` saves.

    With ``writes_first`` the write is made, and only the answer is lost.
    """

    def __init__(self, state: MemoryState, notifier: InProcessNotifier) -> None:
        super().__init__(state, notifier)
        self.absences = 0
        self.writes_first = False
        self.attempts = 0

    async def save(self, job: Job) -> None:
        self.attempts += 1
        if not self.absences:
            await super().save(job)
            return
        self.absences -= 1
        if self.writes_first:
            await super().save(job)
        raise StoreUnavailable("The store is away.")


class House:
    """Ports and use cases as attributes, and the steps that most tests take."""

    def __init__(
        self,
        answers: Mapping[tuple[str, str], Any] | None = None,
        *,
        buffer: int = 256,
        window: int = 100,
        store: Callable[[MemoryState, InProcessNotifier], JobStore] = InMemoryJobStore,
    ) -> None:
        self.clock = ManualClock()
        self.ids = SeededIds()
        self.metrics = InMemoryMetrics()
        self.notifier = InProcessNotifier(buffer)
        self.state = MemoryState()
        self.store = store(self.state, self.notifier)
        self.outputs = InMemoryJobOutputs(self.state, self.notifier)
        self.board = InMemoryWorkBoard(self.state)
        self.feed = InMemoryJobFeed(self.state)
        self.history = InMemoryJobHistory()
        self.queue = InProcessJobQueue(window)
        self.cache = InMemoryCache(self.clock)
        self.stops = InProcessStopSignals()
        self.caller = ScriptedServiceCaller(answers or {}, {"agent": "http://agent.test/base"})
        self.handlers = HandlerRegistry()
        self.nudges = 0
        self.fast_lane = FastLane(queue=self.queue, clock=self.clock)
        self._build_for_people()
        self._build_for_keepers()

    def seconds(self) -> float:
        """Return the clock's time as seconds."""
        return self.clock.now().timestamp()

    def _build_for_people(self) -> None:
        store, clock, metrics = self.store, self.clock, self.metrics
        catalog = InMemoryJobCatalog(self.state)
        self.call_service = CallService(
            caller=self.caller,
            responses=ResponseCache(self.cache, clock, metrics, now=self.seconds, chance=lambda: 0.5),
            clock=clock,
        )
        self.notify = Notify(caller=self.caller, metrics=metrics)
        self.submit_job = SubmitJob(
            store=store,
            handlers=self.handlers,
            clock=clock,
            ids=self.ids,
            metrics=metrics,
            nudge=self.nudge,
            fast_lane=self.fast_lane,
        )
        self.get_job = GetJob(store=store)
        self.list_jobs = ListJobs(catalog=catalog)
        self.count_jobs = CountJobs(catalog=catalog)
        self.cancel_job = CancelJob(store=store, clock=clock, metrics=metrics, stops=self.stops)
        self.retry_job = RetryJob(store=store, clock=clock, nudge=self.nudge)
        self.follow_job = FollowJob(store=store, outputs=self.outputs, notifier=self.notifier, clock=clock)

    def _build_for_keepers(self) -> None:
        board, store, clock = self.board, self.store, self.clock
        self.run_job = RunJob(
            store=store,
            outputs=self.outputs,
            handlers=self.handlers,
            cache=self.cache,
            call_service=self.call_service,
            notify=self.notify,
            clock=clock,
            ids=self.ids,
            metrics=self.metrics,
            nudge=self.nudge,
            fast_lane=self.fast_lane,
            threads=HandlerThreads(4),
            claim=ClaimJob(store=store, clock=clock, ids=self.ids, lease=LEASE),
            suspects=Suspects(1),
            grace=GRACE,
        )
        self.heed_stops = HeedStops(stops=self.stops, running=self.run_job.running)
        self.dispatch_jobs = DispatchJobs(board=board, store=store, fast_lane=self.fast_lane, clock=clock)
        self.recover_jobs = RecoverJobs(
            board=board,
            store=store,
            clock=clock,
            metrics=self.metrics,
            nudge=self.nudge,
            stops=self.stops,
        )
        self.renew_leases = RenewLeases(board=board, clock=clock, running=self.run_job.running, lease=LEASE)
        self.relay_history = RelayHistory(feed=self.feed, history=self.history, clock=self.clock)
        self.forget_jobs = ForgetJobs(
            board=board, feeds=[self.feed], histories=[self.history], consumers=CONSUMERS, clock=clock
        )

    def nudge(self) -> None:
        """Note that somebody rang."""
        self.nudges += 1

    def handle(self, function: Handler, name: str = "work", **options: Any) -> None:
        """Register a handler as the facade's decorator does."""
        model = params_model_of(function)
        self.handlers.add(JobType(name=name, function=function, params_model=model, **options))

    async def ask(self, params: JSON = None, *, tenant: TenantId = ACME, **options: Any) -> Submitted:
        """Submit a job of the type ``work``."""
        names = {"type": "work", "context": ExecutionContext(tenant_id=tenant)} | options
        return await self.submit_job(Submission(params=params, **names))

    async def submit(self, params: JSON = None, **options: Any) -> Job:
        """Submit a job of the type ``work`` and return it."""
        return (await self.ask(params, **options)).job

    async def run(self, params: JSON = None, **options: Any) -> Job:
        """Submit a job, make one attempt at it, and return it as it is then."""
        job = await self.submit(params, **options)
        await within(self.run_job(job))
        return await self.now(job)

    async def now(self, job: Job) -> Job:
        """Return the job as it is stored."""
        return await self.store.get(job.tenant_id, job.id)

    async def events(self, job: Job) -> list[JobEvent]:
        """Return all events of the job."""
        return await self.store.events(job.tenant_id, job.id)

    async def statuses(self, job: Job) -> list[str]:
        """Return the status of each event of the job."""
        return [event.status.value for event in await self.events(job)]

    async def text(self, job: Job, name: str = "answer") -> str | None:
        """Return the job's partial output of that name."""
        chunks = await self.outputs.read(job.tenant_id, job.id)
        return next((chunk.text for chunk in chunks if chunk.name == name), None)

    @asynccontextmanager
    async def running(self, job: Job) -> AsyncGenerator[asyncio.Task[None], None]:
        """Run the job beside the block, and see the attempt's end within patience."""
        task = asyncio.create_task(self.run_job(job))
        heeding = asyncio.create_task(self._heed())
        try:
            yield task
            await within(task)
        finally:
            task.cancel()
            heeding.cancel()
            await asyncio.wait({task, heeding})

    async def _heed(self) -> None:
        while True:
            await self.heed_stops()

    async def begun(self, attempts: int = 1) -> None:
        """Return when that many attempts are under way."""
        async with asyncio.timeout(PATIENCE):
            while len(self.run_job.running) < attempts:  # noqa: ASYNC110 - nothing announces it
                await asyncio.sleep(0)

    async def watch(self, job: Job, since: Since | None = None) -> list[Announcement]:
        """Return what a watcher sees up to the end."""
        return await within(listed(self.follow_job(job.tenant_id, job.id, since)))

    async def pass_time_until(self, work: asyncio.Task[T], step: timedelta = timedelta(seconds=1)) -> T:
        """Move the clock until the work is done."""
        async with asyncio.timeout(PATIENCE):
            while not work.done():
                await self.clock.advance(step)
        return await work


async def listed(source: AsyncGenerator[T, None]) -> list[T]:
    """Return all that comes."""
    return [item async for item in source]


async def within(work: Awaitable[T]) -> T:
    """Wait for the work, but not for ever."""
    async with asyncio.timeout(PATIENCE):
        return await work
