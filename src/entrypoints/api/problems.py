"""Every error as ``application/problem+json`` (RFC 9457), with the seed's ``message`` on top."""

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.routing import Match

from encola.domain import errors
from encola.domain.errors import EncolaError, InvalidParams

logger = logging.getLogger(__name__)

STATUS_OF: dict[type[EncolaError], int] = {
    errors.EncolaError: 500,
    errors.InvalidInput: 422,
    errors.InvalidParams: 422,
    errors.InvalidContext: 422,
    errors.InvalidCursor: 400,
    errors.NotJson: 422,
    errors.TooLarge: 413,
    errors.UnknownJobType: 422,
    errors.JobNotFound: 404,
    errors.JobChanged: 409,
    errors.IllegalTransition: 409,
    errors.IdempotencyMismatch: 422,
    errors.JobFailed: 500,
    errors.Overloaded: 503,
    errors.StoreUnavailable: 503,
    errors.UnknownService: 500,
    errors.UnknownOperation: 500,
    errors.InvalidSettings: 500,
}
"""The only place where an error meets an HTTP status; a test holds it against the tree."""

RETRY_AFTER = {503: "1"}


class ProblemEntry(BaseModel):
    """One thing that is wrong, and where."""

    pointer: str = Field(description="JSON Pointer into the body, or the name of a parameter")
    message: str


class Problem(BaseModel):
    """What went wrong (RFC 9457)."""

    type: str = Field(description="names the kind of problem", examples=["urn:encola:problem:job_not_found"])
    title: str
    status: int
    detail: str
    instance: str = Field(description="the path that was asked")
    code: str = Field(description="the last part of type")
    message: str = Field(description="the same as detail, where the first clients look for it")
    errors: list[ProblemEntry] | None = None


def problem(
    request: Request,
    status: int,
    code: str,
    detail: str,
    *,
    errors: Sequence[tuple[str, str]] = (),
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """Return the response for one problem."""
    body = Problem(
        type=f"urn:encola:problem:{code}",
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        instance=request.url.path,
        code=code,
        message=detail,
        errors=[ProblemEntry(pointer=pointer, message=message) for pointer, message in errors] or None,
    )
    retry = {"Retry-After": RETRY_AFTER[status]} if status in RETRY_AFTER else {}
    return JSONResponse(
        body.model_dump(exclude_none=True),
        status_code=status,
        media_type="application/problem+json",
        headers={"Cache-Control": "no-store", **retry, **(headers or {})},
    )


class Refused(HTTPException):
    """A request that is turned away before any use case; carries the problem's code."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(status, detail)
        self.code = code


def answers(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI entries of the problems a route may answer with."""
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in statuses
    }


def install_problems(app: FastAPI) -> None:
    """Make every error of ``app`` a problem."""
    app.add_exception_handler(EncolaError, _on_encola_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(Exception, _on_crash)


async def _on_encola_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, EncolaError)
    status = STATUS_OF[type(error)]
    if status >= 500:
        logger.warning("%s %s: %s", request.method, request.url.path, error)
    problems = error.problems if isinstance(error, InvalidParams) else ()
    entries = [(f"/params{pointer}", message) for pointer, message in problems]
    return problem(request, status, error.code, str(error), errors=entries)


async def _on_http_exception(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    if isinstance(error, Refused):
        return problem(request, error.status_code, error.code, error.detail)
    code = HTTPStatus(error.status_code).name.lower()
    details = {
        404: "There is nothing at this address.",
        405: f"{request.method} is not for this address.",
    }
    detail = details.get(error.status_code, HTTPStatus(error.status_code).phrase)
    headers = {"Allow": _allowed(request)} if error.status_code == 405 else error.headers
    return problem(request, error.status_code, code, detail, headers=headers)


def _allowed(request: Request) -> str:
    """Return the methods of all routes at this address; the framework names those of the first."""
    routes = request.app.routes

    def takes(method: str) -> bool:
        scope = {**request.scope, "method": method}
        return any(route.matches(scope)[0] is Match.FULL for route in routes)

    return ", ".join(filter(takes, ("GET", "HEAD", "POST")))


async def _on_validation_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    found = error.errors()
    in_query = all(entry["loc"][:1] == ("query",) for entry in found)
    entries = [(_place(entry["loc"]), str(entry["msg"])) for entry in found[:20]]
    detail = "; ".join(f"{place or 'the body'}: {message}" for place, message in entries[:3]) + "."
    if in_query:
        return problem(request, 400, "invalid_parameter", detail, errors=entries)
    return problem(request, 422, "invalid_request", detail, errors=entries)


async def _on_crash(request: Request, error: Exception) -> JSONResponse:
    logger.error("%s %s: crashed", request.method, request.url.path, exc_info=error)
    return problem(request, 500, "internal_error", "Something went wrong here; it has been logged.")


def _place(location: Sequence[object]) -> str:
    head, *rest = location
    if head == "body":
        return "".join(f"/{part}" for part in rest)
    return str(rest[0]) if rest else str(head)
