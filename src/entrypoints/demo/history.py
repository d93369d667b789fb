"""The history service: what became of every job, for as long as there is room."""

import json
import sqlite3
from typing import Annotated, Any

from fastapi import FastAPI, Query
from pydantic import Field

from encola.domain.context import TenantId
from encola.domain.json_value import JSON
from encola.entrypoints.demo.database import DemoDatabase
from encola.entrypoints.demo.envelope import Body, Envelope, Refusal, Tenant, ok, service_app

MAX_JOBS = 10_000
_SCHEMA = """
CREATE TABLE IF NOT EXISTS history_jobs (
    number INTEGER PRIMARY KEY, tenant TEXT NOT NULL, job_id TEXT NOT NULL, job_type TEXT NOT NULL,
    params TEXT NOT NULL, status TEXT NOT NULL, result TEXT NOT NULL, error TEXT NOT NULL,
    epoch TEXT NOT NULL, seq INTEGER NOT NULL, updated_at TEXT NOT NULL, UNIQUE (tenant, job_id)
);
CREATE INDEX IF NOT EXISTS history_jobs_by_tenant ON history_jobs (tenant, number);
CREATE TABLE IF NOT EXISTS history_events (
    tenant TEXT NOT NULL, job_id TEXT NOT NULL, epoch TEXT NOT NULL, seq INTEGER NOT NULL,
    event TEXT NOT NULL, PRIMARY KEY (tenant, job_id, seq, epoch)
) WITHOUT ROWID;
"""
_KEEP = """
INSERT INTO history_jobs
    (tenant, job_id, job_type, params, status, result, error, epoch, seq, updated_at)
VALUES (:tenant, :job_id, :job_type, :params, :status, :result, :error, :epoch, :seq, :updated_at)
ON CONFLICT (tenant, job_id) DO UPDATE SET
    status = excluded.status, result = excluded.result, error = excluded.error,
    job_type = CASE excluded.job_type WHEN '' THEN job_type ELSE excluded.job_type END,
    params = CASE excluded.params WHEN 'null' THEN params ELSE excluded.params END,
    epoch = excluded.epoch, seq = excluded.seq, updated_at = excluded.updated_at
WHERE excluded.seq = 0 OR excluded.epoch <> epoch OR excluded.seq > seq
"""

Text = Annotated[str, Field(max_length=200)]
JobName = Annotated[str, Field(min_length=1, max_length=200)]


class JobState(Body):
    """What a job is now. Without ``seq`` it replaces whatever was known."""

    job_id: JobName
    status: JobName
    job_type: Text = ""
    params: Any = None
    result: Any = None
    error: Any = None
    updated_at: Text = ""
    seq: Annotated[int, Field(ge=0)] = 0
    attempt: Annotated[int, Field(ge=0)] = 0
    epoch: Text = ""
    event: dict[str, Any] | None = None


class Registration(JobState):
    """A new job."""

    job_type: JobName


class JobLog:
    """Keeps the latest jobs with their events."""

    def __init__(self, database: DemoDatabase) -> None:
        self._database = database
        database.define(_SCHEMA)

    def keep(self, tenant: TenantId, state: JobState) -> None:
        """Note a state; a known or an older one changes nothing."""
        with self._database.transaction() as connection:
            connection.execute(_KEEP, _values(tenant, state))
            if state.event is not None and state.seq:
                connection.execute(
                    "INSERT OR IGNORE INTO history_events VALUES (?, ?, ?, ?, ?)",
                    (tenant, state.job_id, state.epoch, state.seq, _json(state.event)),
                )
            _forget_oldest(connection)

    def job(self, tenant: TenantId, job_id: str) -> dict[str, JSON]:
        """Return one job.

        :raises Refusal: there is none
        """
        rows = self._database.rows(
            "SELECT * FROM history_jobs WHERE tenant = ? AND job_id = ?", (tenant, job_id)
        )
        if not rows:
            raise Refusal(404, "job_not_found", "There is no job with this id.")
        return _job(rows[0])

    def jobs(self, tenant: TenantId, limit: int) -> list[dict[str, JSON]]:
        """Return the tenant's latest jobs, newest first."""
        rows = self._database.rows(
            "SELECT * FROM history_jobs WHERE tenant = ? ORDER BY number DESC LIMIT ?", (tenant, limit)
        )
        return [_job(row) for row in rows]

    def events(self, tenant: TenantId, job_id: str, after: int, limit: int) -> list[JSON]:
        """Return a job's events with ``seq > after``, oldest first."""
        rows = self._database.rows(
            "SELECT event FROM history_events WHERE tenant = ? AND job_id = ? AND seq > ? "
            "ORDER BY seq LIMIT ?",
            (tenant, job_id, after, limit),
        )
        return [json.loads(row["event"]) for row in rows]


def build_history_app(log: JobLog) -> FastAPI:
    """Return the service over one log."""
    app = service_app("history")

    @app.post("/internal/jobs/register")
    def register(body: Registration, tenant: Tenant) -> Envelope:
        return _kept(log, tenant, body)

    @app.post("/internal/jobs/update")
    def update(body: JobState, tenant: Tenant) -> Envelope:
        return _kept(log, tenant, body)

    @app.get("/internal/jobs")
    def jobs(tenant: Tenant, limit: Annotated[int, Query(ge=1, le=500)] = 50) -> Envelope:
        return ok({"jobs": log.jobs(tenant, limit)})

    @app.get("/internal/jobs/{job_id}")
    def job(job_id: str, tenant: Tenant) -> Envelope:
        return ok(log.job(tenant, job_id))

    @app.get("/internal/jobs/{job_id}/events")
    def events(
        job_id: str,
        tenant: Tenant,
        after: Annotated[int, Query(ge=0)] = 0,
        limit: Annotated[int, Query(ge=1, le=500)] = 100,
    ) -> Envelope:
        log.job(tenant, job_id)
        return ok({"events": log.events(tenant, job_id, after, limit)})

    return app


def _kept(log: JobLog, tenant: TenantId, state: JobState) -> Envelope:
    log.keep(tenant, state)
    return ok({"job_id": state.job_id, "status": state.status})


def _values(tenant: TenantId, state: JobState) -> dict[str, str | int]:
    event = state.event or {}
    return {
        "tenant": tenant,
        "job_id": state.job_id,
        "job_type": state.job_type or str(event.get("job_type", "")),
        "params": _json(state.params),
        "status": state.status,
        "result": _json(state.result),
        "error": _json(state.error),
        "epoch": state.epoch,
        "seq": state.seq,
        "updated_at": state.updated_at or str(event.get("ts", "")),
    }


def _forget_oldest(connection: sqlite3.Connection) -> None:
    row = connection.execute("SELECT max(number) FROM history_jobs").fetchone()
    old = connection.execute(
        "DELETE FROM history_jobs WHERE number <= ? RETURNING tenant, job_id", (row[0] - MAX_JOBS,)
    ).fetchall()
    connection.executemany("DELETE FROM history_events WHERE tenant = ? AND job_id = ?", old)


def _job(row: sqlite3.Row) -> dict[str, JSON]:
    plain = {name: row[name] for name in ("job_id", "job_type", "status", "seq", "updated_at")}
    return {**plain, **{name: json.loads(row[name]) for name in ("params", "result", "error")}}


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
