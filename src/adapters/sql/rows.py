"""Jobs and events as rows, and back."""

import json
from collections.abc import Sequence
from typing import Any

from encola.adapters.sql.tables import events, jobs, params
from encola.domain.context import JobId, TenantId
from encola.domain.event import JobEvent
from encola.domain.job import WAITING, Job, JobStatus, Priority
from encola.domain.record import dump_job, load_job, to_microseconds

RANKS = {priority: rank for rank, priority in enumerate(Priority)}
RUNNING = tuple(status.value for status in JobStatus if status not in WAITING and not status.is_terminal)

JOB_COLUMNS = (jobs.c.state, params.c.params, jobs.c.check_at)
EVENT_COLUMNS = (
    events.c.tenant,
    events.c.job_id,
    events.c.job_type,
    events.c.seq,
    events.c.epoch,
    events.c.status,
    events.c.attempt,
    events.c.wire,
)

Parameters = dict[str, Any]

# Made once, for json.dumps makes a new encoder whenever its options are not the default ones.
encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def job_changes(job: Job) -> Parameters:
    """Return the columns that a save writes."""
    record = dump_job(job)
    del record["params"]
    return {
        "status": record["status"],
        "seq": job.seq,
        "attempt": job.attempt,
        "due_at": record["due_at"],
        "taken_until": None,
        "check_at": record["check_at"],
        "finished_at": record["finished_at"],
        "error": job.error and _searchable(job.error.code, job.error.message),
        "state": encode(record),
    }


def job_row(job: Job) -> Parameters:
    """Return all columns of a job's row but its params."""
    changes = job_changes(job)
    return changes | {
        "id": job.id,
        "tenant": job.tenant_id,
        "type": job.type,
        "queue": job.queue,
        "priority": RANKS[job.priority],
        "created_at": to_microseconds(job.created_at),
        "tags": _searchable(*job.tags) if job.tags else None,
    }


def params_row(job: Job) -> Parameters:
    """Return all columns of the row of a job's params."""
    return {"tenant": job.tenant_id, "job_id": job.id, "params": encode(job.params)}


def read_job(row: Sequence[Any]) -> Job:
    """Return the job of a row that starts with :data:`JOB_COLUMNS`."""
    state, spelt_params, check_at = row[:3]
    return load_job({**json.loads(state), "params": json.loads(spelt_params), "check_at": check_at})


def read_jobs(rows: Sequence[Sequence[Any]]) -> list[Job]:
    """Return the jobs of rows that start with :data:`JOB_COLUMNS`."""
    return [read_job(row) for row in rows]


def event_row(event: JobEvent) -> Parameters:
    """Return the columns of an event's row."""
    return {
        "tenant": event.tenant_id,
        "job_id": event.job_id,
        "job_type": event.job_type,
        "seq": event.seq,
        "epoch": event.epoch,
        "status": event.status.value,
        "attempt": event.attempt,
        "wire": event.wire,
    }


def read_event(row: Sequence[Any]) -> JobEvent:
    """Return the event of a row that starts with :data:`EVENT_COLUMNS`."""
    tenant, job_id, job_type, seq, epoch, status, attempt, wire = row[:8]
    return JobEvent(
        tenant_id=TenantId(tenant),
        job_id=JobId(job_id),
        job_type=job_type,
        seq=seq,
        epoch=epoch,
        status=JobStatus(status),
        attempt=attempt,
        wire=wire,
    )


def _searchable(*texts: str) -> str:
    # PostgreSQL's text cannot hold the character NUL.
    return "\n".join(texts).replace("\0", "")
