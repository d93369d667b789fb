"""What the processes of a deployment tell each other of services that fail."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class CircuitNews:
    """A circuit that opened somewhere for ``open_seconds`` from now, or closed again at 0."""

    service: str
    open_seconds: float


HeardNews = Callable[[CircuitNews], None]


class CircuitBoard(Protocol):
    """Carries news of circuits, and lets one process at a time find out whether a service is back.

    News may be lost, come twice or late, and come late again when a process could not hear: whoever
    hears them must be right without them. A process does not hear its own.
    """

    def tell(self, news: CircuitNews) -> None:
        """Tell the other processes soon; never waits and never fails."""
        ...

    def listen(self, heard: HeardNews) -> None:
        """Give what others tell to ``heard``, which must be quick."""
        ...

    async def may_probe(self, service: str, seconds: float) -> bool:
        """Tell one process until so many seconds have passed that it may, and every other that it may not.

        It waits a quarter of a second at most. A process that cannot find out may.
        """
        ...
