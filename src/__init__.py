"""Encola: background jobs that people watch."""

if __name__ == "src":
    raise ImportError("import encola, not src: a file must have one module name")

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from encola.application.job_context import JobContext
    from encola.domain.context import ExecutionContext
    from encola.domain.errors import EncolaError, JobFailed
    from encola.domain.event import JobEvent
    from encola.domain.job import Job, JobStatus
    from encola.entrypoints.facade import Encola

_HOMES = {
    "Encola": "encola.entrypoints.facade",
    "EncolaError": "encola.domain.errors",
    "ExecutionContext": "encola.domain.context",
    "Job": "encola.domain.job",
    "JobContext": "encola.application.job_context",
    "JobEvent": "encola.domain.event",
    "JobFailed": "encola.domain.errors",
    "JobStatus": "encola.domain.job",
}

__all__ = [
    "Encola",
    "EncolaError",
    "ExecutionContext",
    "Job",
    "JobContext",
    "JobEvent",
    "JobFailed",
    "JobStatus",
    "__version__",
]

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'encola' has no attribute {name!r}")
