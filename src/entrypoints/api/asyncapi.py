"""The AsyncAPI 3 document of what is sent over sockets and streams."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from encola import __version__
from encola.entrypoints.api.schemas import EventView
from encola.entrypoints.api.strict import StrictRoute

router = APIRouter(route_class=StrictRoute)

OUTPUT_SCHEMA = {
    "type": "object",
    "required": ["v", "type", "job_id", "attempt", "name", "offset", "text"],
    "properties": {
        "v": {"const": 1},
        "type": {"const": "output"},
        "job_id": {"type": "string"},
        "attempt": {"type": "integer", "minimum": 1},
        "name": {"type": "string"},
        "offset": {"type": "integer", "minimum": 0, "description": "UTF-8 bytes before this piece"},
        "text": {"type": "string"},
    },
}


@router.get("/asyncapi.json", include_in_schema=False)
async def asyncapi_document() -> JSONResponse:
    """Describe the messages."""
    return JSONResponse(document())


def document() -> dict[str, Any]:
    """Return the AsyncAPI document."""
    schema = EventView.model_json_schema(ref_template="#/components/schemas/{model}")
    definitions = schema.pop("$defs", {})
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Encola, realtime",
            "version": __version__,
            "description": "Every update of a job, in order. Frames come from the server only.",
        },
        "channels": {
            "jobSocket": _channel("/api/ws/jobs/{job_id}", ["jobEvent"]),
            "jobStream": _channel("/api/jobs/{job_id}/events", ["jobEvent", "output"]),
        },
        "operations": {
            "watchBySocket": _sends("jobSocket", ["jobEvent"]),
            "watchByStream": _sends("jobStream", ["jobEvent", "output"]),
        },
        "components": {
            "messages": {
                "jobEvent": _message("JobEvent", "One numbered state of a job."),
                "output": _message("Output", "A piece of partial output."),
            },
            "schemas": {**definitions, "JobEvent": schema, "Output": OUTPUT_SCHEMA},
        },
    }


def _channel(address: str, messages: list[str]) -> dict[str, Any]:
    return {
        "address": address,
        "parameters": {"job_id": {"description": "the id that the submit answered with"}},
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
    }


def _sends(channel: str, messages: list[str]) -> dict[str, Any]:
    return {
        "action": "send",
        "channel": {"$ref": f"#/channels/{channel}"},
        "messages": [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in messages],
    }


def _message(schema: str, summary: str) -> dict[str, Any]:
    return {
        "summary": summary,
        "contentType": "application/json",
        "payload": {"$ref": f"#/components/schemas/{schema}"},
    }
