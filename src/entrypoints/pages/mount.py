"""The page at the root: a handful of fixed files, read once, served with strict headers."""

import hashlib
from collections.abc import Mapping
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

_PACKAGE = "encola.entrypoints.pages"
_ASSETS = {
    "app.js": "text/javascript",
    "client.js": "text/javascript",
    "documents.js": "text/javascript",
    "history.js": "text/javascript",
    "stream.js": "text/javascript",
    "text.js": "text/javascript",
    "turn.js": "text/javascript",
    "view.js": "text/javascript",
    "style.css": "text/css",
    "favicon.svg": "image/svg+xml",
}
_POLICY = (
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "connect-src 'self'",
    "img-src 'self' data:",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
)
_HEADERS = {
    "Content-Security-Policy": "; ".join(_POLICY),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    # Kept by browsers, but asked for again each time: a new release shows at once.
    "Cache-Control": "no-cache",
}


def page_routes() -> list[BaseRoute]:
    """Return the routes of the page: ``/`` and ``/assets/<name>``, nothing else."""
    assets: list[BaseRoute] = [_route(f"/assets/{name}", name, media) for name, media in _ASSETS.items()]
    return [_route("/", "index.html", "text/html"), *assets]


def _route(path: str, name: str, media_type: str) -> Route:
    content = files(_PACKAGE).joinpath(name).read_bytes()
    etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = {**_HEADERS, "ETag": etag}

    async def serve(request: Request) -> Response:
        if _is_current(request.headers, etag):
            return Response(status_code=304, headers=headers)
        return Response(content, media_type=media_type, headers=headers)

    return Route(path, serve, include_in_schema=False)


def _is_current(headers: Mapping[str, str], etag: str) -> bool:
    known = (tag.strip().removeprefix("W/") for tag in headers.get("if-none-match", "").split(","))
    return any(tag in (etag, "*") for tag in known)
