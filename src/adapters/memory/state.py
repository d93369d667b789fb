"""What the in-memory stores share: one state, and every write to it."""

import json
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias, TypeVar

from encola.application.ports import FeedEntry, IdempotencyKey
from encola.domain.context import JobId, TenantId
from encola.domain.errors import JobNotFound
from encola.domain.event import JobEvent, announce
from encola.domain.job import Job, JobStatus, Priority
from encola.domain.record import dump_job, load_job

JobKey: TypeAlias = tuple[TenantId, JobId]

EVENTS_KEPT = 1000
FEED_KEPT = 100_000

V = TypeVar("V")


@dataclass(slots=True)
class Due:
    """Where a waiting job stands in the order of dispatch; ``free_at`` ends a taking."""

    rank: int
    queue: str
    due_at: datetime
    free_at: datetime


@dataclass(slots=True)
class Written:
    """The partial output of one attempt: pieces and length in bytes by name."""

    attempt: int
    pieces: dict[str, list[str]] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)


class MemoryState:
    """Everything the in-memory stores keep.

    Jobs are kept as the text a real store would keep, so that no caller shares an object with the
    store, and a value that cannot be stored shows. No method waits: each is one step.
    """

    def __init__(self) -> None:
        self.due: dict[JobKey, Due] = {}
        self.checks: dict[JobKey, datetime] = {}
        self.outputs: dict[JobKey, Written] = {}
        self.feed: dict[int, FeedEntry] = {}
        self.consumers: dict[str, int] = {}
        self._records: dict[JobKey, str] = {}
        self._events: dict[JobKey, deque[JobEvent]] = {}
        self._ended: dict[JobKey, datetime] = {}
        self._keys: dict[tuple[TenantId, str], tuple[JobId, datetime]] = {}
        self._last_position = 0

    def find(self, tenant: TenantId, job_id: JobId) -> Job | None:
        """Return the job as last written, or ``None``."""
        record = self._records.get((tenant, job_id))
        return None if record is None else load_job(json.loads(record))

    def get(self, tenant: TenantId, job_id: JobId) -> Job:
        """Return the job as last written.

        :raises JobNotFound: there is none, or it belongs to another tenant
        """
        job = self.find(tenant, job_id)
        if job is None:
            raise JobNotFound(job_id)
        return job

    def events(self, tenant: TenantId, job_id: JobId) -> deque[JobEvent]:
        """Return the kept events, oldest first.

        :raises JobNotFound: there is none, or it belongs to another tenant
        """
        try:
            return self._events[tenant, job_id]
        except KeyError:
            raise JobNotFound(job_id) from None

    def jobs_of(self, tenant: TenantId) -> list[Job]:
        """Return all jobs of a tenant."""
        return [load_job(json.loads(text)) for key, text in self._records.items() if key[0] == tenant]

    def owner_of(self, job_id: JobId) -> TenantId | None:
        """Return whose job this is, ``None`` if nobody's."""
        return next((tenant for tenant, known in self._records if known == job_id), None)

    def write(self, job: Job) -> JobEvent:
        """Keep this version of the job, its event, and where keepers find it; return the event."""
        event = announce(job)
        key = self._keep(job)
        self._events.setdefault(key, deque(maxlen=EVENTS_KEPT)).append(event)
        self._append_to_feed(event)
        self._index(key, job)
        return event

    def amend(self, job: Job) -> None:
        """Keep this version of the job without an event: only its ``check_at`` differs."""
        key = self._keep(job)
        _set_or_drop(self.checks, key, job.check_at)

    def take(self, job: Job, until: datetime) -> None:
        """Let nobody else take the waiting job until then."""
        due = self.due.get((job.tenant_id, job.id))
        if due is not None:
            due.free_at = until

    def remember(self, tenant: TenantId, key: IdempotencyKey, job: Job) -> None:
        """Keep whose request this was, and let go of the oldest keys that have expired."""
        while self._keys and (oldest := next(iter(self._keys.items())))[1][1] <= job.created_at:
            del self._keys[oldest[0]]
        self._keys.pop((tenant, key.text), None)
        self._keys[tenant, key.text] = (job.id, key.expires_at)

    def remembered(self, tenant: TenantId, key: IdempotencyKey, at: datetime) -> Job | None:
        """Return the job that was kept under the key, unless that has expired."""
        job_id, expires_at = self._keys.get((tenant, key.text), (None, at))
        return None if job_id is None or expires_at <= at else self.find(tenant, job_id)

    def ended_before(self, instant: datetime) -> list[JobKey]:
        """Return the jobs that ended before, oldest first."""
        ended = [(at, key) for key, at in self._ended.items() if at < instant]
        return [key for _, key in sorted(ended)]

    def remove(self, key: JobKey) -> None:
        """Forget the job with all that belongs to it; what is in the feed stays there."""
        for kept in (self._records, self._events, self._ended, self.due, self.checks, self.outputs):
            kept.pop(key, None)

    def _keep(self, job: Job) -> JobKey:
        key = (job.tenant_id, job.id)
        self._records[key] = json.dumps(dump_job(job), allow_nan=False)
        return key

    def _index(self, key: JobKey, job: Job) -> None:
        due = None if job.due_at is None else Due(_RANKS[job.priority], job.queue, job.due_at, job.due_at)
        _set_or_drop(self.due, key, due)
        _set_or_drop(self.checks, key, job.check_at)
        _set_or_drop(self._ended, key, job.finished_at)

    def _append_to_feed(self, event: JobEvent) -> None:
        self._last_position += 1
        self.feed[self._last_position] = FeedEntry(position=self._last_position, event=event)
        self.feed.pop(self._last_position - FEED_KEPT, None)


def runs_under(job: Job, attempt: int) -> bool:
    """Tell whether this attempt may write."""
    return job.status is JobStatus.PROCESSING and job.attempt == attempt


_RANKS = {priority: rank for rank, priority in enumerate(Priority)}


def _set_or_drop(index: dict[JobKey, V], key: JobKey, value: V | None) -> None:
    if value is None:
        index.pop(key, None)
    else:
        index[key] = value
