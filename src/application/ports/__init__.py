"""What the application needs from outside, one protocol a file.

Every method is safe for any number of concurrent callers. Adapters translate the errors of their
technology: besides what a method lists, any of them may raise ``StoreUnavailable``, and has then
written nothing. The tenant is part of every key; only the keepers' :class:`WorkBoard` and
:class:`JobFeed` look across tenants, and what they return says whose it is. :class:`HealthBoard` is
about services and knows no tenants.
"""

from encola.application.ports.cache import Cache, Cached, Marks
from encola.application.ports.call_telemetry import CallAttempt, CallTelemetry, CallTrace
from encola.application.ports.circuit_board import CircuitBoard, CircuitNews, HeardNews
from encola.application.ports.clock import Clock
from encola.application.ports.health_board import HealthBoard
from encola.application.ports.ids import Ids
from encola.application.ports.job_catalog import JobCatalog, JobCount, JobFilter, PageStart
from encola.application.ports.job_feed import FeedEntry, JobFeed
from encola.application.ports.job_history import JobHistory
from encola.application.ports.job_outputs import JobOutputs
from encola.application.ports.job_queue import JobDeliveries, JobQueue
from encola.application.ports.job_store import IdempotencyKey, JobStore
from encola.application.ports.metrics import Metrics
from encola.application.ports.notifier import Announcement, Notifier, Subscription
from encola.application.ports.service_caller import ServiceCaller
from encola.application.ports.service_probe import ServiceProbe
from encola.application.ports.stop_signals import StopSignals
from encola.application.ports.work_board import Lease, WorkBoard

__all__ = [
    "Announcement",
    "Cache",
    "Cached",
    "CallAttempt",
    "CallTelemetry",
    "CallTrace",
    "CircuitBoard",
    "CircuitNews",
    "Clock",
    "FeedEntry",
    "HealthBoard",
    "HeardNews",
    "IdempotencyKey",
    "Ids",
    "JobCatalog",
    "JobCount",
    "JobDeliveries",
    "JobFeed",
    "JobFilter",
    "JobHistory",
    "JobOutputs",
    "JobQueue",
    "JobStore",
    "Lease",
    "Marks",
    "Metrics",
    "Notifier",
    "PageStart",
    "ServiceCaller",
    "ServiceProbe",
    "StopSignals",
    "Subscription",
    "WorkBoard",
]
