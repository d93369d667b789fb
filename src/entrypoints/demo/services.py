"""All demo services in one app, over one file."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.routing import Mount

from encola.application.call_service import CallService
from encola.entrypoints.demo.agent import build_agent_app
from encola.entrypoints.demo.collections import CollectionStore
from encola.entrypoints.demo.database import DemoDatabase
from encola.entrypoints.demo.embedding import build_embedding_app
from encola.entrypoints.demo.history import JobLog, build_history_app
from encola.entrypoints.demo.llm import LlmSettings
from encola.entrypoints.demo.metrics import ConnectionLog, build_metrics_app
from encola.entrypoints.demo.query import build_query_app

DOCS_FOLDER = Path(__file__).parent / "docs"


def build_demo(
    data_dir: Path,
    call_service: CallService,
    llm: LlmSettings | None = None,
    *,
    docs: Path = DOCS_FOLDER,
) -> Starlette:
    """Return the services, each under its name; their data is ``demo.db`` in ``data_dir``.

    They believe the ``X-Tenant-ID`` that they are told, so only our own processes may reach them.
    The file is let go when the app's lifespan ends; whoever mounts the app calls
    ``app.state.database.close()`` instead.

    :raises InvalidSettings: the file cannot be opened or written
    """
    database = DemoDatabase(data_dir / "demo.db")
    collections = CollectionStore(database)
    collections.index_docs(docs)
    apps = {
        "agent": build_agent_app(call_service, llm),
        "query": build_query_app(collections),
        "embedding": build_embedding_app(collections),
        "history": build_history_app(JobLog(database)),
        "metrics": build_metrics_app(ConnectionLog(database)),
    }
    demo = Starlette(
        routes=[Mount(f"/{name}", app) for name, app in apps.items()], lifespan=_closing(database)
    )
    demo.state.database = database
    return demo


def _closing(database: DemoDatabase) -> Callable[[Starlette], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        try:
            yield
        finally:
            database.close()

    return lifespan
