"""Answers about one job, spelt alike on every route."""

import json
import re

from fastapi import Request
from fastapi.responses import Response

from encola.application.follow_job import Since
from encola.domain.job import Job
from encola.entrypoints.api.problems import Refused
from encola.entrypoints.api.schemas import etag_of, job_view

MAX_WAIT = 60.0

# Made once, for json.dumps makes a new encoder whenever its options are not the default ones.
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode

_WAIT = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,6})\"?(?:$|[,;\s])", re.IGNORECASE)


def api_base(request: Request) -> str:
    """Return the path of the API as the caller sees it, also when we are mounted below another."""
    return f"{request.scope.get('root_path', '')}/api"


def job_response(
    request: Request, job: Job, *, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    """Return the job's resource with its validator."""
    fields = {"ETag": etag_of(job), "Cache-Control": "no-store", **(headers or {})}
    content = _encode(job_view(job, api_base(request)))
    return Response(content, status_code=status, headers=fields, media_type="application/json")


def not_modified(job: Job) -> Response:
    """Return 304 for a caller who has this state already."""
    return Response(status_code=304, headers={"ETag": etag_of(job), "Cache-Control": "no-store"})


def has_state(request: Request, job: Job) -> bool:
    """Tell whether ``If-None-Match`` names the job's present state."""
    known = request.headers.get("if-none-match", "")
    tags = [tag.strip().removeprefix("W/") for tag in known.split(",")]
    return etag_of(job) in tags or "*" in tags


def preferred_wait(request: Request) -> int | None:
    """Return the seconds of ``Prefer: wait=n`` (RFC 7240), cut to 60; ``None`` without it."""
    found = _WAIT.search(request.headers.get("prefer", ""))
    return min(int(found[1]), int(MAX_WAIT)) if found else None


def idempotency_key(request: Request) -> str | None:
    """Return the ``Idempotency-Key``, quoted as a structured string or bare.

    :raises Refused: it is empty or longer than 255 characters
    """
    header = request.headers.get("idempotency-key")
    if header is None:
        return None
    key = header.strip()
    if len(key) >= 2 and key[0] == key[-1] == '"':
        key = key[1:-1]
    if not 1 <= len(key) <= 255:
        raise Refused(400, "invalid_idempotency_key", "An Idempotency-Key has 1 to 255 characters.")
    return key


def read_since(text: str | None, epoch: str | None = None) -> Since | None:
    """Read a cursor: ``seq``, or ``epoch:seq`` as our event ids are spelt; ``None`` without one.

    :raises Refused: it is neither
    """
    if text is None or not text.strip():
        return None
    head, colon, tail = text.strip().rpartition(":")
    if not tail.isascii() or not tail.isdigit() or len(tail) > 15:
        raise Refused(400, "invalid_since", "since must be a number, or the id of an event we sent.")
    return Since(seq=int(tail), epoch=head if colon else epoch)
