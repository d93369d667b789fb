"""The truth about live jobs, in Redis."""

from datetime import datetime
from hashlib import sha256
from typing import Final

from encola.adapters.redis.announcements import unpack
from encola.adapters.redis.keys import Keys
from encola.adapters.redis.link import Argument, RedisLink
from encola.adapters.redis.links import RedisLinks
from encola.adapters.redis.rows import Fields, job_fields, job_keys, new_job_fields, read_job
from encola.adapters.redis.scripts import Script
from encola.application.ports import IdempotencyKey, JobStore
from encola.domain.context import JobId, TenantId
from encola.domain.errors import JobChanged, JobNotFound
from encola.domain.event import JobEvent
from encola.domain.job import Job
from encola.domain.record import to_microseconds

FEED_KEPT: Final = 1_000_000

_ADD = Script.load("add")
_SAVE = Script.load("save")


class RedisJobStore(JobStore):
    """Keeps jobs in Redis; each write is one script, which announces what it wrote."""

    def __init__(self, links: RedisLinks, feed_kept: int = FEED_KEPT) -> None:
        self._links = links
        self._feed_kept = feed_kept

    async def add(
        self, job: Job, key: IdempotencyKey | None = None, *, taken_until: datetime | None = None
    ) -> Job:
        link, keys = self._links.of(job.tenant_id)
        tenant = job.tenant_id
        kept: Fields | None = await link.script(
            _ADD,
            [
                *job_keys(keys, job),
                keys.of(tenant, "jobs"),
                keys.own("owners"),
                keys.own("queues"),
                _name_of(keys, tenant, key),
            ],
            [
                *job_fields(keys, job, self._feed_kept),
                *new_job_fields(job),
                "" if taken_until is None else to_microseconds(taken_until),
                *_lifetime(job, key),
                keys.of(tenant, "job:"),
            ],
        )
        return job if kept is None else read_job(kept)

    async def get(self, tenant: TenantId, job_id: JobId) -> Job:
        link, keys = self._links.of(tenant)
        fields: Fields = await link.call("HMGET", keys.job(tenant, job_id), "state", "params", "check_at")
        if fields[0] is None:
            raise JobNotFound(job_id)
        return read_job(fields)

    async def save(self, job: Job) -> None:
        link, keys = self._links.of(job.tenant_id)
        outcome = await link.script(_SAVE, job_keys(keys, job), job_fields(keys, job, self._feed_kept))
        if outcome == 0:
            raise JobChanged("Another writer changed this job first.")
        if outcome < 0:
            raise JobNotFound(job.id)

    async def events(
        self, tenant: TenantId, job_id: JobId, *, after: int = 0, limit: int = 1000
    ) -> list[JobEvent]:
        link, keys = self._links.of(tenant)
        name = keys.events(tenant, job_id)
        entries = await link.call("XRANGE", name, after + 1, "+", "COUNT", limit)
        if not entries:
            await _must_exist(link, keys, tenant, job_id)
        return [_event(tenant, fields[1]) for _, fields in entries]


def _event(tenant: TenantId, packed: bytes) -> JobEvent:
    event = unpack(tenant, packed)
    assert isinstance(event, JobEvent)
    return event


async def _must_exist(link: RedisLink, keys: Keys, tenant: TenantId, job_id: JobId) -> None:
    if not await link.call("EXISTS", keys.job(tenant, job_id)):
        raise JobNotFound(job_id)


def _name_of(keys: Keys, tenant: TenantId, key: IdempotencyKey | None) -> str:
    """Return where a caller's key is kept; its text may be anything, so it is not part of the name."""
    digest = "" if key is None else sha256(key.text.encode()).hexdigest()
    return keys.of(tenant, f"key:{digest}")


def _lifetime(job: Job, key: IdempotencyKey | None) -> list[Argument]:
    if key is None:
        return ["", ""]
    lifetime = key.expires_at - job.created_at
    return [to_microseconds(key.expires_at), max(1, int(lifetime.total_seconds() * 1000))]
