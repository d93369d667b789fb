"""Reading requests strictly: one meaning or none."""

import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.datastructures import QueryParams

from encola.domain.errors import NotJson
from encola.domain.json_value import check_json
from encola.entrypoints.api.problems import Refused
from encola.entrypoints.api.tenancy import FOREIGN_ORIGIN, is_allowed_origin

_NO_QUERY = QueryParams()


class StrictRequest(Request):
    """A request whose JSON body is I-JSON or an error."""

    @property
    def query_params(self) -> QueryParams:
        """Return the query's parameters; taking none apart costs as much as taking some."""
        return super().query_params if self.scope["query_string"] else _NO_QUERY

    async def json(self) -> Any:
        """Return the body's value.

        :raises Refused: the text is not one JSON value
        """
        return parse_json(await self.body())


class StrictRoute(APIRoute):
    """Reads bodies with :class:`StrictRequest`, and refuses what it does not know or must not hear.

    That is: query parameters that the route has not, and writes from pages of foreign sites, which
    browsers send without asking us first when they have no body.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap FastAPI's handler."""
        handle = super().get_route_handler()
        known = _query_names(self.dependant)
        has_body = self.body_field is not None

        async def strict(received: Request) -> Response:
            request = StrictRequest(received.scope, received.receive)
            if request.method == "POST" and not is_allowed_origin(request):
                raise Refused(403, "foreign_origin", FOREIGN_ORIGIN)
            unknown = sorted(request.query_params.keys() - known)
            if unknown:
                allowed = ", ".join(sorted(known)) or "none"
                raise Refused(
                    400,
                    "unknown_parameter",
                    f"There is no query parameter {unknown[0]!r} here; known are: {allowed}.",
                )
            if has_body and not _is_json(request) and await request.body():
                raise Refused(
                    415, "unsupported_media_type", "Send the body as Content-Type: application/json."
                )
            return await handle(request)

        return strict


def _query_names(dependant: Dependant) -> set[str]:
    own = {field.alias for field in dependant.query_params}
    return own.union(*(_query_names(inner) for inner in dependant.dependencies))


def _is_json(request: Request) -> bool:
    return request.headers.get("content-type", "").split(";")[0].strip().lower() == "application/json"


def parse_json(text: bytes) -> Any:
    """Return the value of a JSON text.

    :raises Refused: it is malformed (400), or holds what not every reader would read alike (422)
    """
    try:
        value = json.loads(text, object_pairs_hook=_no_duplicates, parse_constant=_no_constant)
        return check_json(value)
    except NotJson as error:
        raise Refused(422, error.code, str(error)) from None
    except RecursionError:
        raise Refused(422, "not_json", "The body is nested too deep.") from None
    except json.JSONDecodeError as error:
        where = f"at line {error.lineno}, column {error.colno}"
        raise Refused(400, "malformed_json", f"The body is not JSON {where}.") from None
    except UnicodeDecodeError:
        raise Refused(400, "malformed_json", "The body is not UTF-8.") from None
    except ValueError:
        # Python reads no integer of more than some thousand digits.
        raise Refused(422, "not_json", "The body holds an integer beyond ±(2**53 - 1).") from None


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise NotJson("has the same key twice in one object")
    return members


def _no_constant(name: str) -> Any:
    raise NotJson(f"is {name}, which is not JSON")
