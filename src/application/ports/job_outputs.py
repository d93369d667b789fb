"""Partial output of running jobs."""

from collections.abc import Sequence
from typing import Protocol

from encola.domain.context import JobId, TenantId
from encola.domain.output import OutputChunk


class JobOutputs(Protocol):
    """Keeps the text that the latest attempt has written, under names, and announces each piece."""

    async def append(self, chunk: OutputChunk) -> None:
        """Add a piece. The first piece of a new attempt drops what earlier attempts wrote.

        :raises JobChanged: the job does not run under this attempt, or the piece does not begin
            where the kept text ends; nothing is written
        :raises JobNotFound: this tenant has no such job
        :raises TooLarge: the output of that name would be longer than 1 MiB; nothing is written
        """
        ...

    async def read(self, tenant: TenantId, job_id: JobId) -> Sequence[OutputChunk]:
        """Return each output so far as one piece from offset 0; nothing for an unknown job."""
        ...
