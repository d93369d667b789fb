"""Jobs as the fields that the scripts keep, and back."""

import json
from collections.abc import Sequence

from encola.adapters.redis.announcements import pack
from encola.adapters.redis.keys import Keys, member
from encola.adapters.redis.link import Argument
from encola.domain.event import announce
from encola.domain.job import WAITING, Job, Priority
from encola.domain.record import dump_job, load_job, to_microseconds

RANKS = {priority: rank for rank, priority in enumerate(Priority)}

Fields = Sequence[bytes]

# Made once, for json.dumps makes a new encoder whenever its options are not the default ones.
encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def job_keys(keys: Keys, job: Job) -> list[str]:
    """Return the keys that both writing scripts begin with."""
    return [
        keys.job(job.tenant_id, job.id),
        keys.events(job.tenant_id, job.id),
        keys.due(RANKS[job.priority], job.queue),
        keys.own("taken"),
        keys.own("checks"),
        keys.own("ended"),
        keys.own("feed"),
        keys.of(job.tenant_id, "counts"),
    ]


def job_fields(keys: Keys, job: Job, feed_kept: int) -> list[Argument]:
    """Return the arguments that both writing scripts begin with."""
    record = dump_job(job)
    del record["params"]
    is_running = not job.status.is_terminal and job.status not in WAITING
    return [
        member(job.tenant_id, job.id),
        job.seq,
        job.attempt,
        job.status.value,
        int(is_running),
        encode(record),
        _score(record["due_at"]),
        _score(record["check_at"]),
        _score(record["finished_at"]),
        job.tenant_id,
        pack(announce(job)),
        keys.live(job.tenant_id),
        feed_kept,
    ]


def new_job_fields(job: Job) -> list[Argument]:
    """Return the arguments that follow when the job is new."""
    return [
        encode(job.params),
        to_microseconds(job.created_at),
        RANKS[job.priority],
        job.queue,
        f"{job.type}\n{job.queue}",
    ]


def read_job(fields: Fields) -> Job:
    """Return the job of its fields ``state``, ``params`` and ``check_at``."""
    state, params, check_at = fields
    record = json.loads(state)
    record["params"] = json.loads(params)
    record["check_at"] = int(check_at) if check_at else None
    return load_job(record)


def read_jobs(fields: Fields) -> list[Job]:
    """Return the jobs of fields that follow one another, three a job."""
    threes = (fields[place : place + 3] for place in range(0, len(fields), 3))
    return [read_job(three) for three in threes if three[0] is not None]


def _score(instant: object) -> int | str:
    return instant if isinstance(instant, int) else ""
