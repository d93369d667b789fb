"""Applications that are changed from outside: adapters are wrapped, the product is left as it is."""

from collections.abc import Callable
from typing import Any

from encola import Encola
from encola.entrypoints.container import Container
from tests.chaos.jobs import declare

Alter = Callable[[Container], None]


class Altered(Encola):
    """An application whose parts are changed as soon as they are chosen."""

    def __init__(self, alter: Alter) -> None:
        super().__init__()
        self._alter = alter
        self._altered: Container | None = None

    @property
    def container(self) -> Container:
        """Return the container with the changed parts in their places."""
        container = super().container
        if container is not self._altered:
            self._altered = container
            self._alter(container)
        return container


def altered(alter: Alter) -> Encola:
    """Return the application under test, changed."""
    return declare(Altered(alter))


def wrapped(**wraps: Callable[[Any], Any]) -> Encola:
    """Return the application under test, with the named parts wrapped."""

    def alter(container: Container) -> None:
        for name, wrap in wraps.items():
            provider = getattr(container, name)
            provider.override(wrap(provider()))

    return altered(alter)


class Passing:
    """Passes everything on to another object; subclasses say what is different."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)
