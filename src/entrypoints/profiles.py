"""Putting an application together for its profile."""

from encola.application.handlers import HandlerRegistry
from encola.domain.errors import InvalidSettings
from encola.entrypoints.container import Container
from encola.entrypoints.settings import Settings


def build(settings: Settings, handlers: HandlerRegistry) -> Container:
    """Return the container for these settings; nothing is opened yet.

    :raises InvalidSettings: the profile needs what is not installed or not set
    """
    handlers.declare(settings.queues)
    if settings.profile == "memory":
        return Container(settings=settings, handlers=handlers)
    if settings.profile == "embedded":
        from encola.entrypoints.embedded import build_embedded

        return build_embedded(settings, handlers)
    try:
        from encola.entrypoints.distributed import build_distributed
    except ModuleNotFoundError as error:
        raise InvalidSettings(
            f"ENCOLA_PROFILE=distributed needs the module {error.name}: pip install 'encola[distributed]'."
        ) from None
    return build_distributed(settings, handlers)
