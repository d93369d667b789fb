"""One contract a port, as test classes: subclass one and give its fixtures.

They need pytest with a plugin that runs ``async`` tests and fixtures, as anyio in its automatic mode.
Adapters that share a database are tested together, through :class:`~encola.testing.stores.Stores`.
"""

from encola.testing.contracts.cache import CacheContract
from encola.testing.contracts.call_telemetry import CallTelemetryContract
from encola.testing.contracts.circuit_board import CircuitBoardContract
from encola.testing.contracts.clock import ClockContract
from encola.testing.contracts.health_board import HealthBoardContract
from encola.testing.contracts.ids import IdsContract
from encola.testing.contracts.job_catalog import JobCatalogContract
from encola.testing.contracts.job_feed import JobFeedContract
from encola.testing.contracts.job_history import JobHistoryContract
from encola.testing.contracts.job_outputs import JobOutputsContract
from encola.testing.contracts.job_queue import JobQueueContract
from encola.testing.contracts.job_store import JobStoreContract
from encola.testing.contracts.metrics import MetricsContract
from encola.testing.contracts.notifier import NotifierContract
from encola.testing.contracts.service_caller import ServiceCallerContract
from encola.testing.contracts.service_probe import ServiceProbeContract
from encola.testing.contracts.stop_signals import StopSignalsContract
from encola.testing.contracts.work_board import WorkBoardContract

__all__ = [
    "CacheContract",
    "CallTelemetryContract",
    "CircuitBoardContract",
    "ClockContract",
    "HealthBoardContract",
    "IdsContract",
    "JobCatalogContract",
    "JobFeedContract",
    "JobHistoryContract",
    "JobOutputsContract",
    "JobQueueContract",
    "JobStoreContract",
    "MetricsContract",
    "NotifierContract",
    "ServiceCallerContract",
    "ServiceProbeContract",
    "StopSignalsContract",
    "WorkBoardContract",
]
