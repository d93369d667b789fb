"""Partial output: text that a running attempt has produced so far."""

import json
from dataclasses import dataclass

from encola.domain.context import JobId, TenantId


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputChunk:
    """A piece of one named output of one attempt.

    ``offset`` counts UTF-8 bytes from the start of that attempt's output. A reader appends a chunk
    whose offset is the length it has, starts anew with one whose offset is 0, and ignores the rest.
    """

    tenant_id: TenantId
    job_id: JobId
    attempt: int
    name: str
    offset: int
    text: str

    @property
    def wire(self) -> str:
        """Return the JSON that every transport sends."""
        fields = {
            "v": 1,
            "type": "output",
            "job_id": self.job_id,
            "attempt": self.attempt,
            "name": self.name,
            "offset": self.offset,
            "text": self.text,
        }
        return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))

    @property
    def end(self) -> int:
        """Return the offset that follows this chunk."""
        return self.offset + len(self.text.encode())
