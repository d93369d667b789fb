"""Partial output in memory."""

import asyncio
from collections.abc import Sequence

from encola.adapters.memory.state import MemoryState, Written, runs_under
from encola.application.ports import JobOutputs, Notifier
from encola.domain.context import JobId, TenantId
from encola.domain.errors import JobChanged, TooLarge
from encola.domain.output import OutputChunk

MAX_BYTES = 1024 * 1024


class InMemoryJobOutputs(JobOutputs):
    """Up to 1 MiB of text for each output of the latest attempt that wrote any."""

    def __init__(self, state: MemoryState, notifier: Notifier) -> None:
        self._state = state
        self._notifier = notifier

    async def append(self, chunk: OutputChunk) -> None:
        await asyncio.sleep(0)
        written = self._writable_by(chunk)
        if chunk.offset != written.sizes.get(chunk.name, 0):
            raise JobChanged(f"Output {chunk.name!r} of job {chunk.job_id} does not end at {chunk.offset}.")
        if chunk.end > MAX_BYTES:
            raise TooLarge(f"The output {chunk.name!r} would be longer than {MAX_BYTES} bytes.")
        written.pieces.setdefault(chunk.name, []).append(chunk.text)
        written.sizes[chunk.name] = chunk.end
        self._state.outputs[chunk.tenant_id, chunk.job_id] = written
        await self._notifier.publish(chunk)

    async def read(self, tenant: TenantId, job_id: JobId) -> Sequence[OutputChunk]:
        await asyncio.sleep(0)
        written = self._state.outputs.get((tenant, job_id), Written(0))
        return [
            OutputChunk(
                tenant_id=tenant,
                job_id=job_id,
                attempt=written.attempt,
                name=name,
                offset=0,
                text="".join(pieces),
            )
            for name, pieces in written.pieces.items()
        ]

    def _writable_by(self, chunk: OutputChunk) -> Written:
        job = self._state.get(chunk.tenant_id, chunk.job_id)
        if not runs_under(job, chunk.attempt):
            raise JobChanged(f"Job {chunk.job_id} does not run under attempt {chunk.attempt}.")
        written = self._state.outputs.get((chunk.tenant_id, chunk.job_id))
        return written if written and written.attempt == chunk.attempt else Written(chunk.attempt)
