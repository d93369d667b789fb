"""The ASGI application: routes, documents, limits, and the life of the worker behind them."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from encola import __version__
from encola.entrypoints.api import asyncapi, jobs, operations, sockets, streams
from encola.entrypoints.api.connection_notes import ConnectionNotes
from encola.entrypoints.api.limits import BodyLimit
from encola.entrypoints.api.openapi import install_openapi
from encola.entrypoints.api.problems import install_problems
from encola.entrypoints.request_ids import RequestIds
from encola.entrypoints.runtime import Runtime
from encola.entrypoints.use_cases import UseCases

LOOPBACK_ORIGINS = r"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?"
EXPOSED = ["ETag", "Location", "Retry-After", "Idempotent-Replayed", "Preference-Applied", "X-Request-ID"]


class Api:
    """An ASGI application that starts its runtime with the server, or with the first request.

    A mounted application is not told of its host's start; so that its jobs run all the same, the
    first request starts the worker then.
    """

    def __init__(self, app: ASGIApp, runtime: Runtime, *, works: bool) -> None:
        self._app = app
        self._runtime = runtime
        self._works = works

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "lifespan":
            await self._runtime.start(works=self._works)
        await self._app(scope, receive, send)


def build_api(use_cases: UseCases, runtime: Runtime, extra_routes: Sequence[BaseRoute] = ()) -> ASGIApp:
    """Return the application; ``extra_routes`` come before the catch-all 404."""
    app = FastAPI(
        title="Encola",
        version=__version__,
        description="Background jobs that people watch.",
        lifespan=_lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.state.use_cases = use_cases
    app.state.runtime = runtime
    app.state.works = use_cases.settings.profile != "distributed"
    app.state.connection_notes = ConnectionNotes(use_cases)
    app.router.routes.append(sockets.route)
    for router in (jobs.router, streams.router, operations.router, asyncapi.router):
        app.include_router(router, prefix="/api")
    app.include_router(jobs.internal)
    app.include_router(jobs.internal, prefix="/api", include_in_schema=False)
    app.include_router(operations.root)
    app.router.routes.extend(extra_routes)
    install_problems(app)
    install_openapi(app)
    app.add_middleware(BodyLimit)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=list(use_cases.settings.allowed_origins),
        allow_origin_regex=LOOPBACK_ORIGINS if use_cases.settings.is_loopback else None,
        allow_methods=["GET", "POST"],
        allow_headers=["*"],
        expose_headers=EXPOSED,
    )
    # Around everything, so that the answer to an error that nobody handled has its name too.
    return Api(RequestIds(app, new_id=use_cases.new_request_id), runtime, works=app.state.works)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncGenerator[None, None]:
    runtime: Runtime = app.state.runtime
    await runtime.start(works=app.state.works)
    try:
        yield
    finally:
        await runtime.stop()
