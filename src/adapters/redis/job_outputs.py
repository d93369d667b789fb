"""Partial output of running jobs, in Redis."""

from collections.abc import Sequence
from typing import Final

from encola.adapters.redis.announcements import pack
from encola.adapters.redis.links import RedisLinks
from encola.adapters.redis.scripts import Script
from encola.application.ports import JobOutputs
from encola.domain.context import JobId, TenantId
from encola.domain.errors import JobChanged, JobNotFound, TooLarge
from encola.domain.output import OutputChunk

MAX_OUTPUT_BYTES: Final = 1024 * 1024
"""How long one output may become."""

_APPEND = Script.load("append_output")


class RedisJobOutputs(JobOutputs):
    """Keeps the pieces of the latest attempt in a stream."""

    def __init__(self, links: RedisLinks) -> None:
        self._links = links

    async def append(self, chunk: OutputChunk) -> None:
        tenant, job_id = chunk.tenant_id, chunk.job_id
        link, keys = self._links.of(tenant)
        outcome = await link.script(
            _APPEND,
            [keys.job(tenant, job_id), keys.written(tenant, job_id), keys.output(tenant, job_id)],
            [
                chunk.attempt,
                chunk.name,
                chunk.offset,
                chunk.end,
                MAX_OUTPUT_BYTES,
                chunk.text,
                keys.live(tenant),
                pack(chunk),
            ],
        )
        if outcome == -1:
            raise JobNotFound(job_id)
        if outcome == 0:
            raise JobChanged(f"Output {chunk.name!r} of job {job_id} does not go on at {chunk.offset}.")
        if outcome == -2:
            raise TooLarge(f"The output {chunk.name!r} would be longer than {MAX_OUTPUT_BYTES} bytes.")

    async def read(self, tenant: TenantId, job_id: JobId) -> Sequence[OutputChunk]:
        link, keys = self._links.of(tenant)
        texts: dict[tuple[str, int], bytearray] = {}
        for _, fields in await link.call("XRANGE", keys.output(tenant, job_id), "-", "+"):
            _, attempt, _, name, _, text = fields
            texts.setdefault((name.decode(), int(attempt)), bytearray()).extend(text)
        return [
            OutputChunk(
                tenant_id=tenant, job_id=job_id, attempt=attempt, name=name, offset=0, text=text.decode()
            )
            for (name, attempt), text in texts.items()
        ]
