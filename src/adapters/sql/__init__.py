"""Jobs, history and outbox in SQLite or PostgreSQL."""

from encola.adapters.sql.database import SqlDatabase
from encola.adapters.sql.job_catalog import SqlJobCatalog
from encola.adapters.sql.job_feed import SqlJobFeed
from encola.adapters.sql.job_history import SqlJobHistory
from encola.adapters.sql.job_outputs import SqlJobOutputs
from encola.adapters.sql.job_store import SqlJobStore
from encola.adapters.sql.work_board import SqlWorkBoard

__all__ = [
    "SqlDatabase",
    "SqlJobCatalog",
    "SqlJobFeed",
    "SqlJobHistory",
    "SqlJobOutputs",
    "SqlJobStore",
    "SqlWorkBoard",
]
