"""Asking once what many ask at the same time."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(slots=True)
class _Flight(Generic[T]):
    task: "asyncio.Task[T]"
    callers: int = 0


@dataclass(slots=True)
class SingleFlight(Generic[T]):
    """Lets callers with equal keys share one piece of work while it is under way.

    The work belongs to none of them: whoever leaves does not stop it for the others, and when the
    last one has left it is cancelled. Nothing is kept once it has ended. Used on one event loop.
    """

    _flights: dict[object, _Flight[T]] = field(init=False, default_factory=dict)

    def __len__(self) -> int:
        return len(self._flights)

    async def __call__(self, key: object, work: Callable[[], Awaitable[T]]) -> tuple[T, bool]:
        """Return what the work for the key came to, and whether it was begun by another caller.

        Whatever the work raises is raised to all who wait for it.
        """
        flight = self._flights.get(key)
        is_shared = flight is not None
        if flight is None:
            flight = _Flight(asyncio.ensure_future(_run(work)))
            self._flights[key] = flight
            flight.task.add_done_callback(lambda task: self._end(key, task))
        flight.callers += 1
        try:
            return await asyncio.shield(flight.task), is_shared
        finally:
            flight.callers -= 1
            if not flight.callers and not flight.task.done():
                self._flights.pop(key)
                flight.task.cancel()

    def _end(self, key: object, task: "asyncio.Task[T]") -> None:
        flight = self._flights.get(key)
        if flight is not None and flight.task is task:
            del self._flights[key]
        if not task.cancelled():
            task.exception()  # asyncio complains of errors that nobody looked at


async def _run(work: Callable[[], Awaitable[T]]) -> T:
    return await work()
