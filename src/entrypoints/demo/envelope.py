"""What the demo services have in common: the envelope of every answer, errors included."""

import logging
import sqlite3
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, model_validator
from starlette.exceptions import HTTPException

from encola.domain.context import DEFAULT_TENANT, TenantId, parse_tenant, present
from encola.domain.errors import EncolaError, InvalidInput
from encola.domain.json_value import MAX_DEPTH, check_json

Envelope = dict[str, Any]

# A result may be as deep as any JSON, and lies within an event within a message.
_DEEPEST = MAX_DEPTH + 2

_log = logging.getLogger(__name__)
_NAMES = {404: "not_found", 405: "method_not_allowed"}
# A history update holds a result of up to 1 MiB twice: by itself and in its event.
MAX_BODY_BYTES = 4 * 2**20


class Body(BaseModel):
    """A request's body; what Python's parser lets through and others could not read is refused."""

    @model_validator(mode="before")
    @classmethod
    def _is_json(cls, value: object) -> object:
        return check_json(value, max_depth=_DEEPEST)


class Refusal(Exception):
    """The request is answered with an error."""

    def __init__(self, status: int, code: str, message: str, *, retryable: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.retryable = retryable

    @property
    def envelope(self) -> Envelope:
        """Return the error as it is answered."""
        error = {"code": self.code, "message": str(self), "retryable": self.retryable}
        return {"success": False, "data": None, "error": error}


def ok(data: object) -> Envelope:
    """Return the answer that holds ``data``."""
    return {"success": True, "data": data, "error": None}


def service_app(title: str) -> FastAPI:
    """Return an app whose every error is an envelope, and that says whether it lives."""
    app = FastAPI(title=title, openapi_url=None, max_body_size=MAX_BODY_BYTES)
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(sqlite3.Error, _store_failed)
    app.add_exception_handler(EncolaError, _encola_error)
    app.add_exception_handler(Exception, _unexpected)

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    return app


def tenant_of(request: Request) -> TenantId:
    """Return whose request it is.

    :raises InvalidContext: the header is outside the grammar
    """
    text = present(request.headers.get("x-tenant-id"))
    return DEFAULT_TENANT if text is None else parse_tenant(text)


Tenant = Annotated[TenantId, Depends(tenant_of)]


def _answer(refusal: Refusal) -> JSONResponse:
    return JSONResponse(refusal.envelope, refusal.status)


async def _refused(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Refusal)
    return _answer(error)


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place = "/".join(str(part) for part in first["loc"][1:]) or "the body"
    return _answer(Refusal(422, "invalid_request", f"{place}: {first['msg']}"))


async def _http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    code = _NAMES.get(error.status_code, "invalid_request")
    return _answer(Refusal(error.status_code, code, str(error.detail)))


async def _store_failed(request: Request, error: Exception) -> JSONResponse:
    _log.error("the demo's database failed: %s", error)
    return _answer(Refusal(503, "store_unavailable", "The data cannot be used now.", retryable=True))


async def _encola_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, EncolaError)
    status = 422 if isinstance(error, InvalidInput) else 500
    return _answer(Refusal(status, error.code, str(error)))


async def _unexpected(request: Request, error: Exception) -> JSONResponse:
    return _answer(Refusal(500, "internal_error", "Something went wrong here."))
