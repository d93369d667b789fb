"""Where the parts of an application are put together.

Everything is a synchronous singleton; what must be opened is opened by the runtime. A test
overrides a provider.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, TypeAlias

from dependency_injector import containers, providers

from encola.adapters.http import HttpJobHistory, HttpServiceCaller, HttpServiceProbe, build_transport
from encola.adapters.memory import (
    InMemoryCache,
    InMemoryCircuitBoard,
    InMemoryHealthBoard,
    InMemoryJobCatalog,
    InMemoryJobFeed,
    InMemoryJobHistory,
    InMemoryJobOutputs,
    InMemoryJobStore,
    InMemoryWorkBoard,
    InProcessJobQueue,
    InProcessNotifier,
    InProcessStopSignals,
    MemoryState,
)
from encola.adapters.system import SystemClock, SystemIds
from encola.adapters.telemetry import ChildIds, PrometheusMetrics
from encola.application.call_service import CallService
from encola.application.cancel_job import CancelJob
from encola.application.check_health import CheckHealth
from encola.application.claim_job import ClaimJob
from encola.application.dispatch_jobs import DispatchJobs
from encola.application.fast_lane import FastLane
from encola.application.follow_job import FollowJob
from encola.application.forget_jobs import ForgetJobs
from encola.application.get_job import GetJob
from encola.application.handlers import HandlerRegistry
from encola.application.health_monitor import HealthMonitor
from encola.application.heed_stops import HeedStops
from encola.application.list_jobs import CountJobs, ListJobs
from encola.application.notify import Notify
from encola.application.ports import CallTelemetry, Clock, Ids, JobFeed, JobHistory, WorkBoard
from encola.application.recover_jobs import RecoverJobs
from encola.application.relay_history import RelayHistory
from encola.application.renew_leases import RenewLeases
from encola.application.response_cache import ResponseCache
from encola.application.retry_job import RetryJob
from encola.application.run_job import RunJob
from encola.application.submit_job import SubmitJob
from encola.application.suspects import Suspects
from encola.application.threads import HandlerThreads
from encola.domain.errors import InvalidSettings
from encola.domain.operations import Operations
from encola.entrypoints.nudge import Nudge
from encola.entrypoints.settings import Settings
from encola.entrypoints.use_cases import Machinery, UseCases
from encola.entrypoints.worker import Worker

Step = Callable[[], Awaitable[None] | None]
Provided: TypeAlias = providers.Provider[Any]  # which adapter it is depends on the profile


def in_seconds(seconds: float) -> timedelta:
    """Return so many seconds as a duration."""
    return timedelta(seconds=seconds)


def _days(days: float) -> timedelta:
    return timedelta(days=days)


def _request_ids(ids: Ids) -> Callable[[], str]:
    return lambda: ids.random_hex(32)


def _call_telemetry(settings: Settings, ids: Ids) -> CallTelemetry:
    """Return what the settings ask for.

    :raises InvalidSettings: it is not installed
    """
    if settings.telemetry == "none":
        return ChildIds(ids.random_hex)
    try:
        from encola.adapters.telemetry.opentelemetry import OpenTelemetryCalls
    except ModuleNotFoundError:
        raise InvalidSettings(
            "ENCOLA_TELEMETRY=opentelemetry needs the extra opentelemetry:"
            " pip install 'encola[opentelemetry]'."
        ) from None
    return OpenTelemetryCalls()


def _store_check(board: WorkBoard, clock: SystemClock) -> Mapping[str, Callable[[], Awaitable[None]]]:
    async def store() -> None:
        await board.overdue(clock.now(), limit=1)

    return {"store": store}


def _relays(
    feeds: Sequence[JobFeed], histories: Mapping[str, JobHistory], clock: Clock
) -> list[RelayHistory]:
    return [
        RelayHistory(feed=feed, history=history, clock=clock, consumer=name, settle=SETTLE[name])
        for feed in feeds
        for name, history in histories.items()
    ]


SETTLE = {"history": timedelta(0), "history-service": timedelta(seconds=1)}


def _histories(settings: Settings, own: JobHistory | None, service: JobHistory) -> dict[str, JobHistory]:
    kept = {} if own is None else {"history": own}
    registered = {"history-service": service} if "history" in settings.services else {}
    return {**kept, **registered}


class Container(containers.DeclarativeContainer):
    """How everything is put together: as it stands here on the memory profile.

    The other profiles put parts of their own in the place of some, under the same names.
    """

    settings = providers.Dependency(instance_of=Settings)
    handlers = providers.Dependency(instance_of=HandlerRegistry)

    clock = providers.Singleton(SystemClock)
    ids = providers.Singleton(SystemIds)
    nudge = providers.Singleton(Nudge)
    metrics = providers.Singleton(PrometheusMetrics)
    notifier: Provided = providers.Singleton(InProcessNotifier)
    queue: Provided = providers.Singleton(InProcessJobQueue, window=settings.provided.concurrency)
    fast_lane = providers.Singleton(
        FastLane,
        queue=queue,
        clock=clock,
        patience=providers.Callable(in_seconds, settings.provided.republish_seconds),
    )
    cache: Provided = providers.Singleton(InMemoryCache, clock)
    stops: Provided = providers.Singleton(InProcessStopSignals)

    memory = providers.Singleton(MemoryState)
    store: Provided = providers.Singleton(InMemoryJobStore, memory, notifier)
    board: Provided = providers.Singleton(InMemoryWorkBoard, memory)
    catalog: Provided = providers.Singleton(InMemoryJobCatalog, memory)
    feeds: Provided = providers.List(providers.Singleton(InMemoryJobFeed, memory))
    outputs: Provided = providers.Singleton(InMemoryJobOutputs, memory, notifier)
    own_history: Provided = providers.Singleton(InMemoryJobHistory)

    circuits: Provided = providers.Singleton(InMemoryCircuitBoard)
    transport: Provided = providers.Singleton(build_transport, settings.provided.http_transport)
    call_telemetry: Provided = providers.Singleton(_call_telemetry, settings, ids)
    caller: Provided = providers.Singleton(
        HttpServiceCaller,
        settings.provided.services,
        transport,
        chance=ids.provided.chance,
        metrics=metrics,
        board=circuits,
        telemetry=call_telemetry,
    )
    responses: Provided = providers.Singleton(
        ResponseCache, cache, clock, metrics, chance=ids.provided.chance
    )
    operations = providers.Singleton(Operations, settings.provided.operations)
    call_service = providers.Singleton(
        CallService, caller=caller, responses=responses, clock=clock, operations=operations
    )
    notify = providers.Singleton(Notify, caller=caller, metrics=metrics, operations=operations)
    health_board: Provided = providers.Singleton(InMemoryHealthBoard, clock)
    service_probe: Provided = providers.Singleton(HttpServiceProbe, transport)
    service_health = providers.Singleton(
        HealthMonitor,
        settings.provided.services,
        probe=service_probe,
        board=health_board,
        clock=clock,
        chance=ids.provided.chance,
        metrics=metrics,
    )
    service_history = providers.Singleton(HttpJobHistory, caller)
    histories: Provided = providers.Singleton(_histories, settings, own_history, service_history)

    lease: Provided = providers.Callable(in_seconds, settings.provided.lease_seconds)
    job_retention = providers.Callable(_days, settings.provided.job_retention_days)
    suspects: Provided = providers.Singleton(Suspects, settings.provided.concurrency)
    owns_everything: Provided = providers.Object(True)
    respite: Provided = providers.Object(timedelta(0))
    run_job: Provided = providers.Singleton(
        RunJob,
        store=store,
        outputs=outputs,
        handlers=handlers,
        cache=cache,
        call_service=call_service,
        notify=notify,
        clock=clock,
        ids=ids,
        metrics=metrics,
        nudge=nudge,
        fast_lane=fast_lane,
        threads=providers.Singleton(HandlerThreads, settings.provided.sync_threads),
        claim=providers.Singleton(
            ClaimJob, store=store, clock=clock, ids=ids, lease=lease, job_retention=job_retention
        ),
        suspects=suspects,
    )
    worker: Provided = providers.Factory(
        Worker, deliveries=queue, run_job=run_job, concurrency=settings.provided.concurrency
    )

    use_cases = providers.Singleton(
        UseCases,
        settings=settings,
        handlers=handlers,
        submit_job=providers.Singleton(
            SubmitJob,
            store=store,
            handlers=handlers,
            clock=clock,
            ids=ids,
            metrics=metrics,
            nudge=nudge,
            fast_lane=fast_lane,
        ),
        get_job=providers.Singleton(GetJob, store=store),
        list_jobs=providers.Singleton(ListJobs, catalog=catalog),
        count_jobs=providers.Singleton(CountJobs, catalog=catalog),
        cancel_job=providers.Singleton(CancelJob, store=store, clock=clock, metrics=metrics, stops=stops),
        retry_job=providers.Singleton(RetryJob, store=store, clock=clock, nudge=nudge),
        follow_job=providers.Singleton(
            FollowJob, store=store, outputs=outputs, notifier=notifier, clock=clock
        ),
        check_health=providers.Singleton(CheckHealth, checks=providers.Callable(_store_check, board, clock)),
        call_service=call_service,
        notify=notify,
        service_health=service_health,
        catalog=catalog,
        metrics=metrics,
        render_metrics=metrics.provided.render,
        new_request_id=providers.Callable(_request_ids, ids),
    )

    consumers: Provided = histories.provided.keys.call()
    openers: Provided = providers.List()
    closers: Provided = providers.List(
        responses.provided.close, caller.provided.close, transport.provided.aclose
    )
    machinery = providers.Singleton(
        Machinery,
        clock=clock,
        nudge=nudge,
        board=board,
        make_worker=worker.provider,
        dispatch_jobs=providers.Singleton(
            DispatchJobs, board=board, store=store, fast_lane=fast_lane, clock=clock
        ),
        recover_jobs=providers.Singleton(
            RecoverJobs,
            board=board,
            store=store,
            clock=clock,
            metrics=metrics,
            nudge=nudge,
            stops=stops,
            respite=respite,
        ),
        heed_stops=providers.Singleton(HeedStops, stops=stops, running=run_job.provided.running),
        renew_leases=providers.Singleton(
            RenewLeases, board=board, clock=clock, running=run_job.provided.running, lease=lease
        ),
        relays=providers.Callable(_relays, feeds, histories, clock),
        forget_jobs=providers.Singleton(
            ForgetJobs,
            board=board,
            feeds=feeds,
            histories=histories.provided.values.call(),
            consumers=consumers,
            clock=clock,
            job_retention=job_retention,
            history_retention=providers.Callable(_days, settings.provided.history_retention_days),
        ),
        service_health=service_health,
        notify=notify,
        openers=openers,
        closers=closers,
        owns_everything=owns_everything,
        lease=lease,
    )


def replace_parts(container: Container, parts: Any) -> None:
    """Put the providers of the container ``parts`` in the place of those of the same name."""
    own = {
        name: provider
        for name, provider in parts.providers.items()
        if name in container.providers and not isinstance(provider, providers.Dependency)
    }
    container.override_providers(**own)
