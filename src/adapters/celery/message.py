"""A job as a message of Celery's protocol, version 2."""

import json
import socket
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from encola.domain.job import Job
from encola.domain.json_value import JSON
from encola.domain.record import dump_job, load_job

RUN: Final = "encola.run"
"""The Celery task of a job whose message is acknowledged when the job has ended."""

RUN_LONG: Final = "encola.run_long"
"""The Celery task of a job that may outlast the broker's patience; acknowledged when it starts."""

CONTENT_TYPE: Final = "application/json"
CONTENT_ENCODING: Final = "utf-8"

STANDARD_HEADERS: Final[dict[str, Any]] = {
    "lang": "py",
    "parent_id": None,
    "group": None,
    "group_index": None,
    "retries": 0,
    "eta": None,
    # Celery's `expires` would have the broker drop the message; the store decides what expires.
    "expires": None,
    "timelimit": [None, None],
    # What these would show is the params, which belong into no header and no log.
    "argsrepr": "",
    "kwargsrepr": "",
    "origin": f"encola@{socket.gethostname()}",
    "ignore_result": True,
    "replaced_task_nesting": 0,
    "stamped_headers": None,
    "stamps": {},
}
"""What Celery expects in every message and is the same in all of ours."""

_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode
_EMBEDDED: Final = _encode({"callbacks": None, "errbacks": None, "chain": None, "chord": None})


class UnreadableMessage(ValueError):
    """A message that holds no job of ours; the text says why, without what is in it."""


@dataclass(frozen=True, slots=True)
class TaskMessage:
    """What is sent for one job: its queue, the headers beside the standard ones, and the body."""

    job_id: str
    queue: str
    headers: dict[str, str]
    body: bytes


def task_message(job: Job, *, early_ack_after: timedelta) -> TaskMessage:
    """Return the message that carries a job; ``headers`` tell operators whose it is, and what."""
    headers = {
        "task": RUN_LONG if job.timeout > early_ack_after else RUN,
        "id": job.id,
        "root_id": job.id,
        "shadow": job.type,
        "timeout": f"{job.timeout.total_seconds():g}",
        **job.context.as_mapping(),
    }
    if job.expires_at is not None:
        headers["expires_at"] = job.expires_at.isoformat()
    body = f"[[{_encode(dump_job(job))}],{{}},{_EMBEDDED}]".encode()
    return TaskMessage(job.id, job.queue, headers, body)


def read_job(body: str | bytes | memoryview, headers: dict[str, JSON]) -> Job:
    """Return the job of a message.

    :raises UnreadableMessage: it holds none, or its headers name another job or tenant
    """
    try:
        arguments, _, _ = json.loads(bytes(body) if isinstance(body, memoryview) else body)
        (record,) = arguments
        job = load_job(record)
    except RecursionError:
        raise UnreadableMessage("nested too deep") from None
    except Exception as error:
        # Whatever is wrong with bytes from outside, the name of the error is all that may be told.
        raise UnreadableMessage(f"not a job ({type(error).__name__})") from None
    if headers.get("id") != job.id or headers.get("tenant_id") != job.tenant_id:
        raise UnreadableMessage("its headers are of another job")
    return job
