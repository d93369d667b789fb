"""The embedded profile: everything in one SQLite file, owned by one process."""

from pathlib import Path

from dependency_injector import containers, providers

from encola.adapters.sql import (
    SqlDatabase,
    SqlJobCatalog,
    SqlJobFeed,
    SqlJobHistory,
    SqlJobOutputs,
    SqlJobStore,
    SqlWorkBoard,
)
from encola.adapters.system import DataFolder
from encola.application.handlers import HandlerRegistry
from encola.entrypoints.container import Container, Provided, replace_parts
from encola.entrypoints.settings import Settings


def _database_url(folder: Path) -> str:
    return f"sqlite:///{folder / 'encola.db'}"


class EmbeddedParts(containers.DeclarativeContainer):
    """What takes the place of the parts in memory, under the same names."""

    settings = providers.Dependency(instance_of=Settings)
    notifier: Provided = providers.Dependency()
    responses: Provided = providers.Dependency()
    caller: Provided = providers.Dependency()
    transport: Provided = providers.Dependency()

    folder = providers.Singleton(DataFolder, settings.provided.data_dir)
    database = providers.Singleton(
        SqlDatabase,
        providers.Callable(_database_url, settings.provided.data_dir),
        fsync=settings.provided.fsync,
    )
    store = providers.Singleton(SqlJobStore, database, notifier)
    board = providers.Singleton(SqlWorkBoard, database)
    catalog = providers.Singleton(SqlJobCatalog, database)
    feeds = providers.List(providers.Singleton(SqlJobFeed, database))
    outputs = providers.Singleton(SqlJobOutputs, database, notifier)
    own_history = providers.Singleton(SqlJobHistory, database)
    openers = providers.List(folder.provided.open, database.provided.open)
    closers = providers.List(
        responses.provided.close,
        caller.provided.close,
        transport.provided.aclose,
        database.provided.close,
        folder.provided.close,
    )


def build_embedded(settings: Settings, handlers: HandlerRegistry) -> Container:
    """Return the container for these settings; nothing is opened yet."""
    container = Container(settings=settings, handlers=handlers)
    parts = EmbeddedParts(
        settings=settings,
        notifier=container.notifier,
        responses=container.responses,
        caller=container.caller,
        transport=container.transport,
    )
    replace_parts(container, parts)
    return container
