"""Everything this application can do, as one typed value: all that entry points see."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from encola.application.call_service import CallService
from encola.application.cancel_job import CancelJob
from encola.application.check_health import CheckHealth
from encola.application.dispatch_jobs import DispatchJobs
from encola.application.follow_job import FollowJob
from encola.application.forget_jobs import ForgetJobs
from encola.application.get_job import GetJob
from encola.application.handlers import HandlerRegistry
from encola.application.health_monitor import HealthMonitor
from encola.application.heed_stops import HeedStops
from encola.application.list_jobs import CountJobs, ListJobs
from encola.application.notify import Notify
from encola.application.ports import Clock, JobCatalog, Metrics, WorkBoard
from encola.application.recover_jobs import RecoverJobs
from encola.application.relay_history import RelayHistory
from encola.application.renew_leases import RenewLeases
from encola.application.retry_job import RetryJob
from encola.application.submit_job import SubmitJob
from encola.entrypoints.nudge import Nudge
from encola.entrypoints.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class UseCases:
    """What can be asked from outside; ``new_request_id`` names a request that comes without a name."""

    settings: Settings
    handlers: HandlerRegistry
    submit_job: SubmitJob
    get_job: GetJob
    list_jobs: ListJobs
    count_jobs: CountJobs
    cancel_job: CancelJob
    retry_job: RetryJob
    follow_job: FollowJob
    check_health: CheckHealth
    call_service: CallService
    notify: Notify
    service_health: HealthMonitor
    catalog: JobCatalog
    metrics: Metrics
    render_metrics: Callable[[], bytes]
    new_request_id: Callable[[], str]


class WorkerLoop(Protocol):
    """What takes jobs and runs them."""

    async def run(self) -> None:
        """Take jobs until cancelled; those that run then go on."""
        ...

    async def drain(self, seconds: float) -> None:
        """Let running jobs end for so long, then hand the rest back."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Machinery:
    """What runs inside: the keepers' and the worker's use cases, and what must be opened and closed.

    ``openers`` run in order, ``closers`` in order too, once ``notify`` has sent what waits.
    ``owns_everything`` tells a process that no other one works on the same jobs, so that whatever
    was in hand when it starts is nobody's.
    """

    clock: Clock
    nudge: Nudge
    board: WorkBoard
    make_worker: Callable[[], WorkerLoop]
    dispatch_jobs: DispatchJobs
    recover_jobs: RecoverJobs
    renew_leases: RenewLeases
    heed_stops: HeedStops
    relays: Sequence[RelayHistory]
    forget_jobs: ForgetJobs
    service_health: HealthMonitor
    notify: Notify
    openers: Sequence[Callable[[], Awaitable[None] | None]]
    closers: Sequence[Callable[[], Awaitable[None] | None]]
    owns_everything: bool
    lease: timedelta
