"""Waiting until every outcome is known, at the same small cost for every contender.

Asking through each library would measure the client as well; so all are asked the same way, by
reading from Redis what the library keeps there.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from redis import Redis

WINDOW = 200
PAUSE_SECONDS = 0.005


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a contender shows that a job has ended well: the answer to a command holds a text."""

    command: str
    arguments: tuple[str, ...]
    sign: bytes

    def known(self, redis: "Redis[bytes]", keys: Sequence[str]) -> list[bool]:
        """Tell of each job whether it has ended well."""
        with redis.pipeline(transaction=False) as pipeline:
            for key in keys:
                pipeline.execute_command(self.command, key, *self.arguments)
            return [answer is not None and self.sign in answer for answer in pipeline.execute()]


def wait_for_all(
    outcome: Outcome, redis: "Redis[bytes]", keys: Sequence[str], *, seconds: float, check: Callable[[], None]
) -> None:
    """Return when all jobs have ended well; ``check`` may raise before that.

    :raises RuntimeError: they did not in so many seconds
    """
    deadline = time.monotonic() + seconds
    pending = list(keys)
    while pending:
        window, rest = pending[:WINDOW], pending[WINDOW:]
        if not outcome.known(redis, window[:1])[0]:
            missing = window
        else:
            missing = [
                key for key, ended in zip(window, outcome.known(redis, window), strict=True) if not ended
            ]
        pending = missing + rest
        if missing:
            check()
            if time.monotonic() > deadline:
                raise RuntimeError(f"{len(pending)} of {len(keys)} jobs have not ended in {seconds:g} s")
            time.sleep(PAUSE_SECONDS)
