"""The one stored form of a job: a JSON object, the same in every store and every message."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from encola.domain.context import ExecutionContext, JobId
from encola.domain.job import Job, JobError, JobStatus, Priority, Progress
from encola.domain.json_value import JSON
from encola.domain.policy import RetryPolicy

_INSTANTS = ("created_at", "updated_at", "due_at", "check_at", "expires_at", "started_at", "finished_at")
_PLAIN = (
    "id",
    "type",
    "queue",
    "params",
    "epoch",
    "fingerprint",
    "request_digest",
    "seq",
    "attempt",
    "failures",
    "losses",
    "use_cache",
    "result",
    "cached",
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_microseconds(instant: datetime) -> int:
    """Return the microseconds since 1970 in UTC."""
    return (instant - _EPOCH) // _MICROSECOND


def from_microseconds(count: int) -> datetime:
    """Return the instant so many microseconds after 1970."""
    return _EPOCH + count * _MICROSECOND


def dump_job(job: Job) -> dict[str, JSON]:
    """Return the job as a JSON object; instants and durations are microseconds."""
    record: dict[str, JSON] = {name: getattr(job, name) for name in _PLAIN}
    for name in _INSTANTS:
        record[name] = _maybe(to_microseconds, getattr(job, name))
    record |= {
        "context": cast(JSON, job.context.as_mapping()),
        "status": job.status.value,
        "priority": job.priority.value,
        "tags": list(job.tags),
        "timeout": job.timeout // _MICROSECOND,
        "retry": _dump_retry(job.retry),
        "progress": _maybe(_dump_progress, job.progress),
        "error": _maybe(_dump_error, job.error),
    }
    return record


def load_job(record: dict[str, Any]) -> Job:
    """Return the job of a record that :func:`dump_job` made."""
    plain = {name: record[name] for name in _PLAIN}
    instants = {name: _maybe(from_microseconds, record[name]) for name in _INSTANTS}
    return Job(
        **{**plain, **instants, "id": JobId(record["id"])},
        context=ExecutionContext.from_mapping(record["context"]),
        status=JobStatus(record["status"]),
        priority=Priority(record["priority"]),
        tags=tuple(record["tags"]),
        timeout=record["timeout"] * _MICROSECOND,
        retry=_load_retry(record["retry"]),
        progress=_maybe(lambda fields: Progress(**fields), record["progress"]),
        error=_maybe(lambda fields: JobError(**fields), record["error"]),
    )


def _maybe(convert: Callable[[Any], Any], value: Any) -> Any:
    return None if value is None else convert(value)


def _dump_retry(retry: RetryPolicy) -> JSON:
    return [
        retry.retries,
        retry.lost_retries,
        retry.first_delay // _MICROSECOND,
        retry.max_delay // _MICROSECOND,
    ]


def _load_retry(fields: list[int]) -> RetryPolicy:
    retries, lost_retries, first, longest = fields
    return RetryPolicy(
        retries=retries,
        lost_retries=lost_retries,
        first_delay=first * _MICROSECOND,
        max_delay=longest * _MICROSECOND,
    )


def _dump_progress(progress: Progress) -> JSON:
    return {"current": progress.current, "total": progress.total, "message": progress.message}


def _dump_error(error: JobError) -> JSON:
    return {"code": error.code, "message": error.message, "retryable": error.retryable}
