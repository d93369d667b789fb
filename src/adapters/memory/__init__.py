"""Every port in memory: for tests, for trying out, and for what fits into one process."""

from encola.adapters.memory.cache import InMemoryCache
from encola.adapters.memory.circuit_board import InMemoryCircuitBoard, MemoryCircuits
from encola.adapters.memory.clock import ManualClock
from encola.adapters.memory.health_board import InMemoryHealthBoard
from encola.adapters.memory.ids import SeededIds
from encola.adapters.memory.job_catalog import InMemoryJobCatalog
from encola.adapters.memory.job_feed import InMemoryJobFeed
from encola.adapters.memory.job_history import InMemoryJobHistory
from encola.adapters.memory.job_outputs import InMemoryJobOutputs
from encola.adapters.memory.job_queue import InProcessJobQueue
from encola.adapters.memory.job_store import InMemoryJobStore
from encola.adapters.memory.metrics import InMemoryMetrics
from encola.adapters.memory.notifier import InProcessNotifier, InProcessSubscription
from encola.adapters.memory.service_caller import ScriptedServiceCaller
from encola.adapters.memory.service_probe import ScriptedServiceProbe
from encola.adapters.memory.state import MemoryState
from encola.adapters.memory.stop_signals import InProcessStopSignals
from encola.adapters.memory.work_board import InMemoryWorkBoard

__all__ = [
    "InMemoryCache",
    "InMemoryCircuitBoard",
    "InMemoryHealthBoard",
    "InMemoryJobCatalog",
    "InMemoryJobFeed",
    "InMemoryJobHistory",
    "InMemoryJobOutputs",
    "InMemoryJobStore",
    "InMemoryMetrics",
    "InMemoryWorkBoard",
    "InProcessJobQueue",
    "InProcessNotifier",
    "InProcessStopSignals",
    "InProcessSubscription",
    "ManualClock",
    "MemoryCircuits",
    "MemoryState",
    "ScriptedServiceCaller",
    "ScriptedServiceProbe",
    "SeededIds",
]
