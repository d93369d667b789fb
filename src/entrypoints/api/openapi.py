"""The OpenAPI document, with our problems in place of FastAPI's validation errors."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from encola.entrypoints.api.problems import Problem


def install_openapi(app: FastAPI) -> None:
    """Make ``/openapi.json`` say what is really answered."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _true_to_the_wire(
                get_openapi(
                    title=app.title, version=app.version, description=app.description, routes=app.routes
                )
            )
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def _true_to_the_wire(document: dict[str, Any]) -> dict[str, Any]:
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for theirs in ("HTTPValidationError", "ValidationError"):
        schemas.pop(theirs, None)
    schemas |= _problem_schemas()
    for path in document["paths"].values():
        for operation in path.values():
            _drop_their_error(operation["responses"])
    return document


def _drop_their_error(responses: dict[str, Any]) -> None:
    content = responses.get("422", {}).get("content", {})
    if "application/json" in content and "application/problem+json" not in content:
        del responses["422"]
    else:
        content.pop("application/json", None)


def _problem_schemas() -> dict[str, Any]:
    schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    return {**schema.pop("$defs", {}), "Problem": schema}
