"""Places in the code at which a process can be made to die: just before and just after each write.

Points are named after when and what, as in ``before-claim``. Whoever wants a death there marks the
point, and the first process that passes it dies: see :mod:`tests.chaos.crash_marks`.
"""

from collections.abc import Callable, Mapping, Sequence
from inspect import iscoroutinefunction
from typing import Any

from encola.domain.job import Job
from tests.chaos.altered import Passing, wrapped
from tests.chaos.crash_marks import pass_by

Naming = Callable[..., str]


class Mined(Passing):
    """Passes calls on; those that are named have a point before and a point after them."""

    def __init__(self, inner: Any, names: Mapping[str, str | Naming]) -> None:
        super().__init__(inner)
        self._names = names

    def __getattr__(self, name: str) -> Any:
        attribute = super().__getattr__(name)
        naming = self._names.get(name)
        if naming is None:
            return attribute
        return (_asynchronous if iscoroutinefunction(attribute) else _plain)(attribute, naming)


def _asynchronous(call: Callable[..., Any], naming: str | Naming) -> Callable[..., Any]:
    async def passed(*values: Any, **options: Any) -> Any:
        point = naming if isinstance(naming, str) else naming(*values)
        pass_by(f"before-{point}")
        outcome = await call(*values, **options)
        pass_by(f"after-{point}")
        return outcome

    return passed


def _plain(call: Callable[..., Any], naming: str | Naming) -> Callable[..., Any]:
    def passed(*values: Any, **options: Any) -> Any:
        point = naming if isinstance(naming, str) else naming(*values)
        pass_by(f"before-{point}")
        outcome = call(*values, **options)
        pass_by(f"after-{point}")
        return outcome

    return passed


def _change(job: Job) -> str:
    """Name the change that a save writes."""
    if job.status == "processing":
        return "claim" if job.progress is None else "progress"
    if job.status == "retrying":
        return "loss" if job.error is not None and job.error.code == "worker_lost" else "retry"
    if job.status == "queued":
        return "hand-back" if job.attempt else "due"
    return str(job.status)


SUBMITS = ("add", "post", "cancelled")
RUNS = ("claim", "progress", "completed", "failed", "retry", "hand-back", "output", "renew")
KEEPERS = ("take-due", "publish", "due", "loss")
RELAY = ("feed-read", "history-record", "feed-acknowledge")


def points_of(writes: Sequence[str]) -> list[str]:
    """Return the points around these writes."""
    return [f"{when}-{write}" for write in writes for when in ("before", "after")]


POINTS = points_of([*SUBMITS, *RUNS, *KEEPERS, *RELAY])


def _mined(**names: str | Naming) -> Callable[[Any], Any]:
    spelt = dict(names)
    return lambda inner: Mined(inner, spelt)


def _mined_feeds(feeds: Sequence[Any]) -> list[Any]:
    return [Mined(feed, {"read": "feed-read", "acknowledge": "feed-acknowledge"}) for feed in feeds]


app = wrapped(
    store=_mined(add="add", save=_change),
    board=_mined(take_due="take-due", renew="renew"),
    queue=_mined(publish="publish", post="post"),
    outputs=_mined(append="output"),
    service_history=_mined(record="history-record"),
    feeds=_mined_feeds,
)
