"""The tables. Instants are microseconds since 1970, texts compare by byte on every database."""

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    and_,
)

SCHEMA_VERSION = 1

# With the collation "C" PostgreSQL orders, and folds the case of ASCII letters only, as SQLite does.
_TEXT = Text().with_variant(Text(collation="C"), "postgresql")
# SQLite numbers rows by itself only in a column that is declared INTEGER, which there has 64 bits.
_COUNT = BigInteger().with_variant(Integer(), "sqlite")

metadata = MetaData()

meta = Table(
    "encola_meta",
    metadata,
    Column("name", _TEXT, primary_key=True),
    Column("value", _TEXT, nullable=False),
)

# `state` is the job's record without its params, rewritten by every save. The other columns are what
# jobs are found by; of `check_at` the column is the truth, not the record.
jobs = Table(
    "encola_jobs",
    metadata,
    Column("id", _TEXT, nullable=False),
    Column("tenant", _TEXT, nullable=False),
    Column("type", _TEXT, nullable=False),
    Column("queue", _TEXT, nullable=False),
    Column("status", _TEXT, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("due_at", BigInteger),
    Column("taken_until", BigInteger),
    Column("check_at", BigInteger),
    Column("finished_at", BigInteger),
    Column("tags", _TEXT),
    Column("error", _TEXT),
    Column("state", _TEXT, nullable=False),
    PrimaryKeyConstraint("id", "tenant"),
)

# Apart from the job, for they may be large, never change, and a database that changes one column of
# a row writes the whole row.
params = Table(
    "encola_params",
    metadata,
    Column("tenant", _TEXT, nullable=False),
    Column("job_id", _TEXT, nullable=False),
    Column("params", _TEXT, nullable=False),
    PrimaryKeyConstraint("job_id", "tenant"),
)

whole_jobs = jobs.join(params, and_(params.c.job_id == jobs.c.id, params.c.tenant == jobs.c.tenant))

_columns = jobs.c
Index(
    "encola_jobs_due",
    _columns.priority,
    _columns.due_at,
    sqlite_where=_columns.due_at.is_not(None),
    postgresql_where=_columns.due_at.is_not(None),
)
for _name in ("check_at", "finished_at"):
    Index(
        f"encola_jobs_{_name}",
        _columns[_name],
        sqlite_where=_columns[_name].is_not(None),
        postgresql_where=_columns[_name].is_not(None),
    )
Index("encola_jobs_newest", _columns.tenant, _columns.created_at, _columns.id)
# Lists by status in order, and holds all that counting needs.
Index(
    "encola_jobs_status",
    _columns.tenant,
    _columns.status,
    _columns.created_at,
    _columns.id,
    _columns.type,
    _columns.queue,
)

tags = Table(
    "encola_tags",
    metadata,
    Column("tenant", _TEXT, nullable=False),
    Column("tag", _TEXT, nullable=False),
    Column("job_id", _TEXT, nullable=False),
    PrimaryKeyConstraint("job_id", "tenant", "tag"),
    Index("encola_tags_tag", "tenant", "tag", "job_id"),
)

keys = Table(
    "encola_idempotency",
    metadata,
    Column("tenant", _TEXT, nullable=False),
    Column("key", _TEXT, nullable=False),
    Column("job_id", _TEXT, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("tenant", "key"),
    Index("encola_idempotency_job", "job_id", "tenant"),
)

# The order of `position` is the feed; a position is never given twice.
events = Table(
    "encola_events",
    metadata,
    Column("position", _COUNT, primary_key=True, autoincrement=True),
    Column("tenant", _TEXT, nullable=False),
    Column("job_id", _TEXT, nullable=False),
    Column("job_type", _TEXT, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("epoch", _TEXT, nullable=False),
    Column("status", _TEXT, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("wire", _TEXT, nullable=False),
    UniqueConstraint("job_id", "tenant", "seq"),
    sqlite_autoincrement=True,
)

cursors = Table(
    "encola_feed_cursors",
    metadata,
    Column("consumer", _TEXT, primary_key=True),
    Column("position", BigInteger, nullable=False),
)

# How much of each output there is. The text lies in pieces, so that adding one costs its own size.
outputs = Table(
    "encola_outputs",
    metadata,
    Column("tenant", _TEXT, nullable=False),
    Column("job_id", _TEXT, nullable=False),
    Column("name", _TEXT, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("size", Integer, nullable=False),
    PrimaryKeyConstraint("job_id", "tenant", "name"),
)

# UTF-8 and not text: PostgreSQL's text cannot hold the character NUL.
pieces = Table(
    "encola_output_pieces",
    metadata,
    Column("position", _COUNT, primary_key=True, autoincrement=True),
    Column("tenant", _TEXT, nullable=False),
    Column("job_id", _TEXT, nullable=False),
    Column("name", _TEXT, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("data", LargeBinary, nullable=False),
    Index("encola_output_pieces_job", "job_id", "tenant"),
)

history = Table(
    "encola_history",
    metadata,
    Column("position", _COUNT, primary_key=True, autoincrement=True),
    Column("tenant", _TEXT, nullable=False),
    Column("job_id", _TEXT, nullable=False),
    Column("job_type", _TEXT, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("epoch", _TEXT, nullable=False),
    Column("status", _TEXT, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("happened_at", BigInteger, nullable=False),
    Column("wire", _TEXT, nullable=False),
    UniqueConstraint("job_id", "tenant", "epoch", "seq"),
    Index("encola_history_happened_at", "happened_at"),
)
