"""The metrics service: who connects and leaves."""

from typing import Annotated, Any, Literal

from fastapi import FastAPI
from pydantic import Field

from encola.domain.context import TenantId
from encola.entrypoints.demo.database import DemoDatabase
from encola.entrypoints.demo.envelope import Body, Envelope, Tenant, ok, service_app

MAX_CONNECTIONS = 10_000
_SHOWN = 100
_SCHEMA = """
CREATE TABLE IF NOT EXISTS metrics_connections (
    number INTEGER PRIMARY KEY, tenant TEXT NOT NULL, client_id TEXT NOT NULL,
    connection_type TEXT NOT NULL, timestamp
);
CREATE INDEX IF NOT EXISTS metrics_connections_by_tenant ON metrics_connections (tenant, number);
CREATE TABLE IF NOT EXISTS metrics_connection_counts (
    tenant TEXT NOT NULL, connection_type TEXT NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (tenant, connection_type)
);
"""


class Connection(Body):
    """A WebSocket connection that came or went."""

    client_id: Annotated[str, Field(min_length=1, max_length=200)]
    connection_type: Literal["register", "unregister"]
    timestamp: float | Annotated[str, Field(max_length=64)]


class ConnectionLog:
    """Counts connections and keeps the latest."""

    def __init__(self, database: DemoDatabase) -> None:
        self._database = database
        database.define(_SCHEMA)

    def note(self, tenant: TenantId, connection: Connection) -> None:
        """Count one, and forget the oldest beyond what is kept."""
        with self._database.transaction() as write:
            noted = write.execute(
                "INSERT INTO metrics_connections (tenant, client_id, connection_type, timestamp) "
                "VALUES (?, ?, ?, ?)",
                (tenant, connection.client_id, connection.connection_type, connection.timestamp),
            )
            write.execute(
                "INSERT INTO metrics_connection_counts VALUES (?, ?, 1) "
                "ON CONFLICT (tenant, connection_type) DO UPDATE SET count = count + 1",
                (tenant, connection.connection_type),
            )
            oldest = (noted.lastrowid or 0) - MAX_CONNECTIONS
            write.execute("DELETE FROM metrics_connections WHERE number <= ?", (oldest,))

    def counts(self, tenant: TenantId) -> dict[str, int]:
        """Return how many of each type there ever were."""
        rows = self._database.rows(
            "SELECT connection_type, count FROM metrics_connection_counts WHERE tenant = ?", (tenant,)
        )
        return {row["connection_type"]: row["count"] for row in rows}

    def latest(self, tenant: TenantId) -> list[dict[str, Any]]:
        """Return the last hundred, newest first."""
        rows = self._database.rows(
            "SELECT client_id, connection_type, timestamp FROM metrics_connections "
            "WHERE tenant = ? ORDER BY number DESC LIMIT ?",
            (tenant, _SHOWN),
        )
        return [dict(row) for row in rows]


def build_metrics_app(log: ConnectionLog) -> FastAPI:
    """Return the service over one log."""
    app = service_app("metrics")

    @app.post("/internal/websocket/connection")
    def note(body: Connection, tenant: Tenant) -> Envelope:
        log.note(tenant, body)
        return ok({"client_id": body.client_id, "connection_type": body.connection_type})

    @app.get("/internal/websocket/connections")
    def connections(tenant: Tenant) -> Envelope:
        return ok({"counts": log.counts(tenant), "connections": log.latest(tenant)})

    return app
