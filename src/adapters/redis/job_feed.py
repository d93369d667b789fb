"""All events of one shard's jobs, in the order in which they were written, in Redis."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import uuid4

from encola.adapters.redis.announcements import unpack
from encola.adapters.redis.keys import Keys
from encola.adapters.redis.link import RedisLink
from encola.adapters.redis.scripts import Script
from encola.application.ports import FeedEntry, JobFeed
from encola.domain.context import TenantId
from encola.domain.event import JobEvent

_ACKNOWLEDGE = Script.load("feed_acknowledge")
_READ = Script.load("feed_read")

HOLD = timedelta(seconds=30)
_WITHIN_MS = 20  # bits for the number of an entry within its millisecond


class RedisJobFeed(JobFeed):
    """A stream, with a consumer group for each consumer.

    Of many processes that read for the same consumer, one gets the entries, until it has been silent
    for thirty seconds: events of one job handed to several readers would overtake each other.
    """

    def __init__(self, link: RedisLink, keys: Keys) -> None:
        self._link = link
        self._keys = keys
        self._reader = uuid4().hex

    async def read(self, consumer: str, *, limit: int) -> Sequence[FeedEntry]:
        names = [self._keys.own("feed"), self._keys.own(f"reader:{consumer}")]
        hold_ms = HOLD // timedelta(milliseconds=1)
        entries = await self._link.script(_READ, names, [consumer, self._reader, hold_ms, limit])
        return [_entry(place, fields) for place, fields in entries]

    async def acknowledge(self, consumer: str, position: int) -> None:
        milliseconds, number = position >> _WITHIN_MS, position & ((1 << _WITHIN_MS) - 1)
        await self._link.script(
            _ACKNOWLEDGE, [self._keys.own("feed")], [consumer, f"{milliseconds}-{number}"]
        )


def _entry(place: bytes, fields: Sequence[bytes]) -> FeedEntry:
    milliseconds, number = place.split(b"-")
    event = unpack(TenantId(fields[1].decode()), fields[3])
    assert isinstance(event, JobEvent)
    return FeedEntry(position=int(milliseconds) << _WITHIN_MS | int(number), event=event)
