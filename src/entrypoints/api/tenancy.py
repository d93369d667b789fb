"""Who asks, and in which context."""

from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Header, Request
from starlette.requests import HTTPConnection

from encola.domain.context import DEFAULT_TENANT, ExecutionContext, TenantId, parse_tenant, present
from encola.entrypoints.context_headers import context_fields, first_of_each
from encola.entrypoints.request_ids import request_id_of
from encola.entrypoints.use_cases import UseCases

# Said here, checked by the domain: browsers send `null` and the like, which mean nothing.
TenantHeader = Annotated[
    str | None,
    Header(
        description="whose jobs; `default` without it",
        json_schema_extra={"pattern": "^[A-Za-z0-9._@-]{0,64}$"},
    ),
]
FOREIGN_ORIGIN = "Pages of this origin are not allowed here; see ENCOLA_ALLOWED_ORIGINS."

_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


def use_cases_of(connection: HTTPConnection) -> UseCases:
    """Return what this application can do."""
    found: UseCases = connection.app.state.use_cases
    return found


def context_of(request: Request) -> ExecutionContext:
    """Return the context that the headers name; the tenant is ``default`` when they name none.

    :raises InvalidContext: an identifier is outside the grammar
    """
    scope = request.scope
    # Each look-up of the framework's walks over all headers; the first of one name counts.
    fields = context_fields(scope, first_of_each(scope), use_cases_of(request).settings.baggage)
    fields["tenant_id"] = fields["tenant_id"] or DEFAULT_TENANT
    return ExecutionContext.from_mapping({**fields, "request_id": request_id_of(scope)})


async def request_tenant(
    request: Request,
    x_tenant_id: TenantHeader = None,
) -> TenantId:
    """Give a route its caller's tenant."""
    return parse_tenant(present(request.headers.get("x-tenant-id")) or DEFAULT_TENANT)


def is_allowed_origin(connection: HTTPConnection) -> bool:
    """Tell whether a page of that origin may talk to us.

    Programs send no ``Origin``. Pages may when they are ours, listed in the settings, or, while
    only this machine can reach us, served by this machine too.
    """
    origin = connection.headers.get("origin")
    if origin is None:
        return True
    settings = use_cases_of(connection).settings
    if origin in settings.allowed_origins or "*" in settings.allowed_origins:
        return True
    parts = urlsplit(origin)
    if parts.netloc and parts.netloc == connection.headers.get("host"):
        return True
    return settings.is_loopback and parts.hostname in _LOOPBACK_NAMES
