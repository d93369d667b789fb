"""What the processes of a deployment tell each other of services that fail."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class CircuitNews:
    """A circuit that opened somewhere for ``open_seconds`` from now, or closed again at 0.

    ``windows`` is how many times in a row it opened, this time included, so that all processes
    together leave a service alone for longer and longer.
    """

    service: str
    open_seconds: float
    windows: int = 1


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

        The process that may is told so again, and its time begins anew. Soon after a circuit was told
        to be closed the time of whoever probed is over. It waits a quarter of a second at most. A
        process that cannot find out may.
        """
        ...
