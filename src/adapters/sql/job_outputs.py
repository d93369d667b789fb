"""Partial output of running jobs, in SQL."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from encola.adapters.sql.announcing import AnnouncedWrites
from encola.adapters.sql.database import SqlDatabase
from encola.adapters.sql.rows import RUNNING, Parameters
from encola.adapters.sql.tables import jobs, outputs, pieces
from encola.application.ports import JobOutputs, Notifier
from encola.domain.context import JobId, TenantId
from encola.domain.errors import JobChanged, JobNotFound, TooLarge
from encola.domain.output import OutputChunk

MAX_OUTPUT_BYTES: Final = 1024 * 1024
"""How long one output may become."""

_JOB = select(jobs.c.status, jobs.c.attempt).where(
    jobs.c.id == bindparam("of_id"), jobs.c.tenant == bindparam("of_tenant")
)
_IS_JOBS_OUTPUT = (outputs.c.job_id == bindparam("of_id"), outputs.c.tenant == bindparam("of_tenant"))
_IS_JOBS_PIECE = (pieces.c.job_id == bindparam("of_id"), pieces.c.tenant == bindparam("of_tenant"))
_SIZES = select(outputs.c.name, outputs.c.attempt, outputs.c.size).where(*_IS_JOBS_OUTPUT)
_DROP = (
    delete(outputs).where(*_IS_JOBS_OUTPUT),
    delete(pieces).where(*_IS_JOBS_PIECE),
)
_BEGIN = insert(outputs).inline()
_GROW = (
    update(outputs)
    .where(*_IS_JOBS_OUTPUT, outputs.c.name == bindparam("of_name"))
    .values(size=bindparam("end"))
)
_ADD = insert(pieces).inline()
_PIECES = (
    select(pieces.c.name, pieces.c.attempt, pieces.c.data).where(*_IS_JOBS_PIECE).order_by(pieces.c.position)
)


class SqlJobOutputs(JobOutputs):
    """Keeps output in a database, and tells a notifier of each piece that was committed."""

    def __init__(self, database: SqlDatabase, notifier: Notifier) -> None:
        self._database = database
        self._write = AnnouncedWrites(database, notifier)

    async def append(self, chunk: OutputChunk) -> None:
        data = chunk.text.encode()
        await self._write(lambda connection: _append(connection, chunk, data), chunk)

    async def read(self, tenant: TenantId, job_id: JobId) -> Sequence[OutputChunk]:
        parameters = {"of_id": job_id, "of_tenant": tenant}
        rows = await self._database.read(lambda connection: connection.execute(_PIECES, parameters).all())
        texts: dict[tuple[str, int], bytearray] = {}
        for name, attempt, data in rows:
            texts.setdefault((name, attempt), bytearray()).extend(data)
        return [
            OutputChunk(
                tenant_id=tenant, job_id=job_id, attempt=attempt, name=name, offset=0, text=text.decode()
            )
            for (name, attempt), text in texts.items()
        ]


def _append(connection: Connection, chunk: OutputChunk, data: bytes) -> None:
    job = {"of_id": chunk.job_id, "of_tenant": chunk.tenant_id}
    _must_run(connection, chunk, job)
    kept = connection.execute(_SIZES, job).all()
    sizes: dict[str, int] = {row.name: row.size for row in kept if row.attempt == chunk.attempt}
    _must_fit(chunk, data, sizes)
    if len(sizes) < len(kept):
        for statement in _DROP:
            connection.execute(statement, job)
    _keep(connection, chunk, data, is_new=chunk.name not in sizes)


def _must_run(connection: Connection, chunk: OutputChunk, job: Parameters) -> None:
    row = connection.execute(_JOB, job).first()
    if row is None:
        raise JobNotFound(chunk.job_id)
    if row.status not in RUNNING or row.attempt != chunk.attempt:
        raise JobChanged("The job does not run under this attempt.")


def _must_fit(chunk: OutputChunk, data: bytes, sizes: dict[str, int]) -> None:
    if chunk.offset != sizes.get(chunk.name, 0):
        raise JobChanged("The piece does not begin where the kept text ends.")
    if chunk.offset + len(data) > MAX_OUTPUT_BYTES:
        raise TooLarge(f"The output {chunk.name!r} would be longer than {MAX_OUTPUT_BYTES} bytes.")


def _keep(connection: Connection, chunk: OutputChunk, data: bytes, *, is_new: bool) -> None:
    output = {
        "tenant": chunk.tenant_id,
        "job_id": chunk.job_id,
        "name": chunk.name,
        "attempt": chunk.attempt,
    }
    if is_new:
        connection.execute(_BEGIN, output | {"size": len(data)})
    elif data:
        grown = {"of_id": chunk.job_id, "of_tenant": chunk.tenant_id, "of_name": chunk.name}
        connection.execute(_GROW, grown | {"end": chunk.offset + len(data)})
    else:
        return
    connection.execute(_ADD, output | {"data": data})
