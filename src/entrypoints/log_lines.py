"""Logging to stderr, one line a record."""

import logging
import sys
from datetime import UTC, datetime

from encola.domain.event import rfc3339

# They tell of every request with its URL, of every connection, and of what is usual.
_CHATTY = ("httpx", "httpcore", "asyncio", "uvicorn", "uvicorn.error", "celery")


class LineFormatter(logging.Formatter):
    """Time in UTC, level, logger, message. What came from outside cannot begin a line of its own."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802
        """Return the instant as RFC 3339 in UTC."""
        return rfc3339(datetime.fromtimestamp(record.created, UTC))

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """Return the line, line breaks spelt out."""
        return super().formatMessage(record).replace("\r", "\\r").replace("\n", "\\n")

    def formatException(self, ei: "logging._SysExcInfoType") -> str:  # noqa: N802 - logging's name
        """Return the traceback, indented."""
        return "\n".join(f"    {line}" for line in super().formatException(ei).splitlines())


def log_to_stderr(level: str) -> None:
    """Send this process's records to stderr from ``level`` on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.DEBUG if level == "debug" else logging.WARNING)
