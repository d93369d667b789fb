"""How an announcement travels, so that whoever is not meant need not read it."""

import json

from encola.application.ports import Announcement
from encola.domain.context import JobId, TenantId
from encola.domain.event import JobEvent
from encola.domain.job import JobStatus
from encola.domain.output import OutputChunk

_ID_LENGTH = 36


def pack(announcement: Announcement) -> str:
    """Return the announcement: job id, kind, what routes and orders it, and the JSON that clients get."""
    if isinstance(announcement, OutputChunk):
        return f"{announcement.job_id}O{announcement.wire}"
    header = (
        announcement.seq,
        announcement.epoch,
        announcement.status.value,
        announcement.attempt,
        announcement.job_type,
    )
    return f"{announcement.job_id}E{' '.join(map(str, header))} {announcement.wire}"


def job_of(packed: bytes) -> JobId:
    """Return whose announcement it is, without reading on; some other text when it is none."""
    return JobId(packed[:_ID_LENGTH].decode("ascii", "replace"))


def unpack(tenant: TenantId, packed: bytes) -> Announcement:
    """Return the announcement that was packed.

    :raises ValueError: it was not packed by :func:`pack`
    """
    text = packed.decode()
    job_id, kind, rest = JobId(text[:_ID_LENGTH]), text[_ID_LENGTH : _ID_LENGTH + 1], text[_ID_LENGTH + 1 :]
    if kind == "E":
        return _event(tenant, job_id, rest)
    if kind == "O":
        return _output(tenant, job_id, rest)
    raise ValueError(f"There is no announcement of the kind {kind!r}.")


def _event(tenant: TenantId, job_id: JobId, text: str) -> JobEvent:
    seq, epoch, status, attempt, job_type, wire = text.split(" ", 5)
    return JobEvent(
        tenant_id=tenant,
        job_id=job_id,
        job_type=job_type,
        seq=int(seq),
        epoch=epoch,
        status=JobStatus(status),
        attempt=int(attempt),
        wire=wire,
    )


def _output(tenant: TenantId, job_id: JobId, wire: str) -> OutputChunk:
    fields = json.loads(wire)
    try:
        return OutputChunk(
            tenant_id=tenant,
            job_id=job_id,
            attempt=fields["attempt"],
            name=fields["name"],
            offset=fields["offset"],
            text=fields["text"],
        )
    except (KeyError, TypeError):
        raise ValueError("The output lacks a field.") from None
