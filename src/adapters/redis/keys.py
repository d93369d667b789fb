"""How everything in Redis is named."""

from dataclasses import dataclass
from zlib import crc32

from encola.domain.context import JobId, TenantId


@dataclass(frozen=True, slots=True)
class Keys:
    """The names of one shard.

    The braces are what Redis Cluster hashes: all of a shard is in one slot, so that one script may
    touch a job, its events and the shard's indexes. What belongs to the shard as a whole stands
    where a tenant's name would be empty, which no tenant's can be.
    """

    shard: int

    @property
    def prefix(self) -> str:
        """Return what every name of the shard starts with."""
        return f"encola:{{{self.shard}}}:"

    def own(self, name: str) -> str:
        """Return the name of something that the shard has once."""
        return f"{self.prefix}:{name}"

    def of(self, tenant: TenantId, name: str) -> str:
        """Return the name of something that a tenant has once."""
        return f"{self.prefix}{tenant}:{name}"

    def job(self, tenant: TenantId, job_id: JobId) -> str:
        """Return the name of a job's hash."""
        return f"{self.prefix}{tenant}:job:{job_id}"

    def events(self, tenant: TenantId, job_id: JobId) -> str:
        """Return the name of the stream of a job's events."""
        return f"{self.prefix}{tenant}:events:{job_id}"

    def output(self, tenant: TenantId, job_id: JobId) -> str:
        """Return the name of the stream of a job's partial output."""
        return f"{self.prefix}{tenant}:output:{job_id}"

    def written(self, tenant: TenantId, job_id: JobId) -> str:
        """Return the name of the hash of how long each output is."""
        return f"{self.prefix}{tenant}:written:{job_id}"

    def live(self, tenant: TenantId) -> str:
        """Return the channel on which a tenant's events are announced."""
        return f"{self.prefix}{tenant}:live"

    def due(self, rank: int, queue: str) -> str:
        """Return the name of the index of jobs that wait for their time."""
        return f"{self.prefix}:due:{rank}:{queue}"


def shard_of(tenant: TenantId, shards: int) -> int:
    """Return which shard keeps a tenant; the number of shards can only be chosen at the start."""
    return crc32(tenant.encode()) % shards


def member(tenant: TenantId, job_id: JobId) -> str:
    """Return how the shard's indexes name a job; ids are all of one length."""
    return f"{job_id}:{tenant}"
