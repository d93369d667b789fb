"""What the database says went wrong, in one sentence without its SQL or its values."""

import sqlite3
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from encola.domain.errors import StoreUnavailable

_DISK_FULL: Final = "The disk is full: nothing was accepted."
_READ_ONLY: Final = "The data folder cannot be written."
_DAMAGED: Final = "The database file is damaged, or it is not a database."
_TOO_SLOW: Final = "The database did not answer in time."
_UNKNOWN: Final = "The database cannot answer now."

_SQLITE = {
    sqlite3.SQLITE_FULL: _DISK_FULL,
    sqlite3.SQLITE_READONLY: _READ_ONLY,
    sqlite3.SQLITE_CANTOPEN: _READ_ONLY,
    sqlite3.SQLITE_PERM: _READ_ONLY,
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: _DAMAGED,
    sqlite3.SQLITE_BUSY: "The database file is in use by another process.",
    sqlite3.SQLITE_LOCKED: "The database file is in use by another process.",
    sqlite3.SQLITE_INTERRUPT: _TOO_SLOW,
    sqlite3.SQLITE_IOERR: "The disk cannot be read or written.",
}
_POSTGRESQL = {
    "53100": _DISK_FULL,
    "25006": "The database takes no writes now.",
    "53300": "The database takes no more connections now.",
    "55P03": _TOO_SLOW,
    "57014": _TOO_SLOW,
    "28P01": "The database refuses the user or the password.",
    "28000": "The database refuses the user or the password.",
    "3D000": "The database does not exist on its server.",
}


def translated(error: Exception) -> Exception:
    """Return a new ``StoreUnavailable`` in place of a database's error, any other error as it is."""
    if not isinstance(error, SQLAlchemyError):
        return error
    failure = StoreUnavailable(_sentence(getattr(error, "orig", None)))
    failure.__cause__ = error
    return failure


def too_slow() -> StoreUnavailable:
    """Return what a caller is told whose time is over."""
    return StoreUnavailable(_TOO_SLOW)


def _sentence(cause: BaseException | None) -> str:
    if isinstance(cause, sqlite3.Error):
        # The low byte is the error, the rest says more about it; absent when the module raised it.
        code = getattr(cause, "sqlite_errorcode", sqlite3.SQLITE_OK)
        return _SQLITE.get(code & 0xFF, _UNKNOWN)
    return _POSTGRESQL.get(getattr(cause, "sqlstate", None) or "", _UNKNOWN)
