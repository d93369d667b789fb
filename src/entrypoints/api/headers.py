"""Headers that a route reads itself, as the OpenAPI document tells of them.

FastAPI would look up, convert and check each of them for every request, which costs more than all the
rest of taking a job in.
"""

from typing import Any

Parameter = dict[str, Any]


def _header(name: str, description: str, **schema: Any) -> Parameter:
    return {
        "name": name,
        "in": "header",
        "required": False,
        "description": description,
        "schema": {"type": "string", **schema},
    }


# Said here, checked by the domain: browsers send `null` and the like, which mean nothing.
_NAME = r"^[A-Za-z0-9._:@-]{0,128}$"

CONTEXT = (
    _header("X-Tenant-ID", "whose jobs; `default` without it", pattern=r"^[A-Za-z0-9._@-]{0,64}$"),
    _header("X-Agent-ID", "the agent in whose context the job runs", pattern=_NAME),
    _header("X-Conversation-ID", "the conversation that it belongs to", pattern=_NAME),
    _header("X-Collection-ID", "the collection that it works on", pattern=_NAME),
    _header("X-Request-ID", "the name of this request; answered with, and given to one that has none"),
    _header("traceparent", "the W3C trace that it belongs to"),
    _header("tracestate", "what tracing systems say of it"),
    _header("baggage", "W3C baggage; what `ENCOLA_BAGGAGE` names is carried on"),
)
KEY = _header("Idempotency-Key", "the same key, the same job, for 24 h", minLength=1, maxLength=255)
PREFER = _header("Prefer", "`wait=5` waits so long for the end")


def reads(*headers: Parameter) -> dict[str, Any]:
    """Return what to tell OpenAPI of a route that reads the headers."""
    return {"parameters": list(headers)}
