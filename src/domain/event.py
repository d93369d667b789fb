"""What a change of a job announces: numbered, absolute, and spelt once."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime

from encola.domain.context import JobId, TenantId
from encola.domain.job import Job, JobError, JobStatus, Progress
from encola.domain.json_value import JSON

EVENT_VERSION = 1

# Made once, for json.dumps makes a new encoder whenever its options are not the default ones.
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEvent:
    """One numbered state of a job.

    ``wire`` is the JSON that every transport sends, byte for byte; the other fields are what is
    needed to route and order it without reading that JSON.
    """

    tenant_id: TenantId
    job_id: JobId
    job_type: str
    seq: int
    epoch: str
    status: JobStatus
    attempt: int
    wire: str

    @property
    def type(self) -> str:
        """Return ``status_update``, ``job_completed`` or ``job_error``."""
        return _type_of(self.status)

    @property
    def final(self) -> bool:
        """Tell whether this ends the job."""
        return self.status.is_terminal

    @property
    def payload(self) -> dict[str, JSON]:
        """Return the wire's fields."""
        fields: dict[str, JSON] = json.loads(self.wire)
        return fields

    @property
    def ts(self) -> str:
        """Return when it happened, RFC 3339 in UTC."""
        return str(self.payload["ts"])

    @property
    def result(self) -> JSON:
        """Return the result; ``None`` too when there is none yet."""
        return self.payload.get("result")

    @property
    def progress(self) -> JSON:
        """Return ``{current, total, percent, message}``, or ``None``."""
        return self.payload.get("progress")

    @property
    def error(self) -> JSON:
        """Return the error as a sentence, or ``None``."""
        return self.payload.get("error")

    @property
    def error_info(self) -> JSON:
        """Return ``{code, retryable}``, or ``None``."""
        return self.payload.get("error_info")


def announce(job: Job) -> JobEvent:
    """Return the event of the job's last change."""
    return JobEvent(
        tenant_id=job.tenant_id,
        job_id=job.id,
        job_type=job.type,
        seq=job.seq,
        epoch=job.epoch,
        status=job.status,
        attempt=job.attempt,
        wire=_encode(_wire_fields(job)),
    )


def rfc3339(instant: datetime) -> str:
    """Spell an instant as RFC 3339 in UTC with milliseconds and ``Z``."""
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def progress_fields(progress: Progress) -> dict[str, JSON]:
    """Return the wire's form of a progress."""
    return {
        "current": progress.current,
        "total": progress.total,
        "percent": progress.percent,
        "message": progress.message,
    }


def error_fields(error: JobError) -> dict[str, JSON]:
    """Return the wire's form of an error, without its message."""
    return {"code": error.code, "retryable": error.retryable}


def _type_of(status: JobStatus) -> str:
    if not status.is_terminal:
        return "status_update"
    return "job_completed" if status is JobStatus.COMPLETED else "job_error"


def _wire_fields(job: Job) -> dict[str, JSON]:
    fields: dict[str, JSON] = {
        "v": EVENT_VERSION,
        "seq": job.seq,
        "epoch": job.epoch,
        "type": _type_of(job.status),
        "job_id": job.id,
        "job_type": job.type,
        "status": job.status.value,
        "final": job.status.is_terminal,
        "attempt": job.attempt,
        "ts": rfc3339(job.updated_at),
    }
    if job.status is JobStatus.COMPLETED:
        fields["result"] = job.result
        if job.cached:
            fields["cached"] = True
    elif job.progress is not None and not job.status.is_terminal:
        fields["progress"] = progress_fields(job.progress)
    if job.error is not None and job.status is not JobStatus.COMPLETED:
        fields["error"] = job.error.message
        fields["error_info"] = error_fields(job.error)
    if job.status in (JobStatus.SCHEDULED, JobStatus.RETRYING) and job.due_at is not None:
        fields["due_at"] = rfc3339(job.due_at)
    return fields
