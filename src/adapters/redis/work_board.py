"""Where keepers and workers find what is to be done, in Redis."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from encola.adapters.redis.keys import Keys, member
from encola.adapters.redis.link import Argument, RedisLink
from encola.adapters.redis.links import RedisLinks
from encola.adapters.redis.rows import read_jobs
from encola.adapters.redis.scripts import Script
from encola.application.ports import Lease, WorkBoard
from encola.domain.job import Job
from encola.domain.record import to_microseconds

_FORGET = Script.load("forget")
_OVERDUE = Script.load("overdue")
_RENEW = Script.load("renew")
_RESET = Script.load("reset")
_TAKE_DUE = Script.load("take_due")

LEASES_AT_ONCE = 500


class RedisWorkBoard(WorkBoard):
    """Finds work by the indexes of each shard."""

    def __init__(self, links: RedisLinks) -> None:
        self._links = links

    async def take_due(
        self, now: datetime, *, again_at: datetime, limit: int, skip: Collection[str] = ()
    ) -> list[Job]:
        jobs: list[Job] = []
        for link, keys in self._links.all():
            if len(jobs) < limit:
                instants = [to_microseconds(now), to_microseconds(again_at)]
                arguments: list[Argument] = [keys.prefix, *instants, limit - len(jobs), *skip]
                taken = await link.script(_TAKE_DUE, [keys.own("taken"), keys.own("queues")], arguments)
                jobs += read_jobs(taken)
        return jobs

    async def renew(self, leases: Sequence[Lease], until: datetime) -> list[Lease]:
        lost: list[Lease] = []
        for link, keys in self._links.all():
            own = [lease for lease in leases if self._links.of(lease.tenant_id)[0] is link]
            for start in range(0, len(own), LEASES_AT_ONCE):
                lost += await _renew(link, keys, own[start : start + LEASES_AT_ONCE], until)
        return lost

    async def overdue(self, now: datetime, *, limit: int) -> list[Job]:
        jobs: list[Job] = []
        for link, keys in self._links.all():
            arguments: list[Argument] = [keys.prefix, to_microseconds(now), limit]
            jobs += read_jobs(await link.script(_OVERDUE, [keys.own("checks")], arguments))
        return sorted(jobs, key=_check_at)[:limit]

    async def reset(self, now: datetime) -> None:
        for link, keys in self._links.all():
            arguments: list[Argument] = [keys.prefix, to_microseconds(now)]
            await link.script(_RESET, [keys.own("taken"), keys.own("checks")], arguments)

    async def forget(self, finished_before: datetime, *, limit: int) -> int:
        count = 0
        for link, keys in self._links.all():
            arguments: list[Argument] = [keys.prefix, to_microseconds(finished_before), limit - count]
            count += await link.script(_FORGET, [keys.own("ended"), keys.own("owners")], arguments)
        return count


async def _renew(link: RedisLink, keys: Keys, leases: Sequence[Lease], until: datetime) -> list[Lease]:
    arguments: list[Argument] = [keys.prefix, to_microseconds(until)]
    for lease in leases:
        arguments += [member(lease.tenant_id, lease.job_id), lease.attempt]
    lost: Iterable[int] = await link.script(_RENEW, [keys.own("checks")], arguments)
    return [leases[place - 1] for place in lost]


def _check_at(job: Job) -> datetime:
    assert job.check_at is not None
    return job.check_at
