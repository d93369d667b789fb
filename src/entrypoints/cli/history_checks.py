"""What ``encola doctor`` asks the PostgreSQL that keeps the history."""

from collections.abc import AsyncGenerator
from typing import Final

import psycopg
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from encola.entrypoints.cli.findings import Finding
from encola.entrypoints.cli.troubles import Trouble, examined, place_of

ANSWER_SECONDS: Final = 5.0

_NAME: Final = "history"
_ABOUT: Final = """
    SELECT current_setting('server_version'),
           current_setting('transaction_read_only') = 'on',
           coalesce(has_schema_privilege(current_schema(), 'CREATE'), false)
"""
_SILENT: Final = (
    f"does not answer within {ANSWER_SECONDS:.0f} s",
    "see whether it is stopped or overloaded, or correct ENCOLA_HISTORY_URL",
)
_TROUBLES: Final = (
    Trouble(TimeoutError, *_SILENT),
    Trouble(psycopg.errors.ConnectionTimeout, *_SILENT),
    Trouble(
        psycopg.Error,
        "cannot be reached, or does not let our user in",
        "start it, or correct ENCOLA_HISTORY_URL",
    ),
    Trouble(
        ArgumentError,
        "is no URL of PostgreSQL",
        "set ENCOLA_HISTORY_URL like postgresql+psycopg://<host>:5432/<database>",
    ),
)


async def examine_history(url: str) -> list[Finding]:
    """Return what is found of PostgreSQL."""
    return await examined(_NAME, url, _questions(url), _TROUBLES, seconds=ANSWER_SECONDS)


async def _questions(url: str) -> AsyncGenerator[Finding, None]:
    parts = make_url(url)
    if parts.drivername != "postgresql+psycopg":
        raise ArgumentError("no PostgreSQL")
    address = parts.set(drivername="postgresql").render_as_string(hide_password=False)
    async with await psycopg.AsyncConnection.connect(
        address, connect_timeout=int(ANSWER_SECONDS)
    ) as connection:
        cursor = await connection.execute(_ABOUT)
        row = await cursor.fetchone()
    assert row is not None  # a SELECT without FROM has one
    yield _usable(place_of(url), *row)


def _usable(place: str, version: str, is_read_only: bool, may_create: bool) -> Finding:
    said = f"PostgreSQL {version} at {place}"
    if is_read_only:
        fix = "name the primary in ENCOLA_HISTORY_URL"
        return Finding(name=_NAME, status="fail", message=f"{said} takes no writes", fix=fix)
    if not may_create:
        message = f"{said} lets our user make no tables, which the first start does"
        fix = "GRANT CREATE ON SCHEMA public TO <user>"
        return Finding(name=_NAME, status="warn", message=message, fix=fix)
    return Finding(name=_NAME, status="ok", message=said)
