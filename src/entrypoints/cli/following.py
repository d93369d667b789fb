"""Following a job over server-sent events, through restarts of the server, up to its end."""

import json
import random
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from encola.entrypoints.cli.failures import CommandFailed, Unreachable
from encola.entrypoints.cli.remote import Remote
from encola.entrypoints.cli.terminal import notice

FIRST_PAUSE = 0.25
LONGEST_PAUSE = 5.0
LONGEST_LINE = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Message:
    """One event, or one piece of partial output with the ``text`` in it that is new."""

    wire: str
    fields: dict[str, Any]
    text: str | None = None


@dataclass(slots=True)
class Outputs:
    """How much of each partial output has been seen: attempt, and bytes."""

    ends: dict[str, tuple[int, int]] = field(default_factory=dict)

    def new_text(self, chunk: dict[str, Any]) -> str | None:
        """Return what the chunk adds; ``None`` when it adds nothing or does not fit."""
        attempt, end = self.ends.get(chunk["name"], (0, 0))
        if chunk["attempt"] > attempt:
            attempt, end = chunk["attempt"], 0
        text: bytes = chunk["text"].encode()
        offset: int = chunk["offset"]
        if chunk["attempt"] < attempt or offset > end or offset + len(text) <= end:
            return None
        self.ends[chunk["name"]] = (attempt, offset + len(text))
        return text[end - offset :].decode(errors="replace")


@dataclass(slots=True, kw_only=True)
class Follower:
    """Yields a job's messages, each once, from ``seq`` on.

    A server that goes away is waited for without end, as long as it answered once: the job lives on.
    """

    remote: Remote
    job_id: str
    seq: int = 0
    epoch: str | None = None
    is_known: bool = False
    tell: Callable[[str], None] = notice
    sleep: Callable[[float], None] = time.sleep
    chance: Callable[[], float] = random.random
    _outputs: Outputs = field(default_factory=Outputs)
    _has_ended: bool = False

    def __iter__(self) -> Iterator[Message]:
        """Follow to the end.

        :raises CommandFailed: there is no such job, or no server from the start
        """
        failures = 0
        while True:
            try:
                for message in self._connection():
                    if failures:
                        self.tell("connected again")
                    failures = 0
                    yield message
                if self._has_ended:
                    return
            except Unreachable:
                if not self.is_known:
                    raise
            if not failures:
                self.tell("the connection was lost; trying again until the job has ended")
            failures += 1
            self.sleep(self._pause(failures))

    def _connection(self) -> Iterator[Message]:
        seen = f"{self.epoch}:{self.seq}" if self.epoch else str(self.seq)
        path = f"/api/jobs/{self.job_id}/events"
        with self.remote.stream(path, {"Last-Event-ID": seen}) as answer:
            self.is_known = True
            is_over = answer.status_code == 204
            for data in read_data(answer.iter_bytes()):
                message = self._message(data)
                if message is not None:
                    yield message
        if is_over and not self._has_ended:
            yield from self._last_event()

    def _last_event(self) -> Iterator[Message]:
        """Ask for the end again, of a job that ended before the place to begin at."""
        job = self.remote.get(f"/api/jobs/{self.job_id}")
        self.seq, self.epoch = job["seq"] - 1, None
        yield from self._connection()

    def _message(self, data: str) -> Message | None:
        try:
            fields: dict[str, Any] = json.loads(data)
            if fields["type"] == "output":
                text = self._outputs.new_text(fields)
                return None if text is None else Message(data, fields, text)
            if not self._is_new(fields["epoch"], fields["seq"]):
                return None
            # An end in the past may be followed by a retry: only the stream's own end makes it the end.
            self._has_ended = bool(fields["final"])
            return Message(data, fields)
        except (ValueError, KeyError, TypeError):
            raise CommandFailed(
                "The server sent something that is not an event.", code="not_encola"
            ) from None

    def _is_new(self, epoch: str, seq: int) -> bool:
        if epoch == self.epoch and seq <= self.seq:
            return False
        self.epoch, self.seq = epoch, seq
        return True

    def _pause(self, failures: int) -> float:
        longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(failures, 10))
        return longest * (0.5 + self.chance() / 2)


def read_data(chunks: Iterable[bytes]) -> Iterator[str]:
    """Yield the data of each event of an event stream.

    Lines end with LF only here: JSON may hold what other readers take for the end of a line.
    """
    data: list[str] = []
    for line in _lines(chunks):
        name, _, value = line.partition(":")
        if name == "data":
            data.append(value.removeprefix(" "))
        elif not line and data:
            yield "\n".join(data)
            data.clear()


def _lines(chunks: Iterable[bytes]) -> Iterator[str]:
    pending = bytearray()
    for chunk in chunks:
        pending += chunk
        if len(pending) > LONGEST_LINE:
            raise CommandFailed("The server sent a line without end.", code="not_encola")
        *whole, rest = pending.split(b"\n")
        pending = bytearray(rest)
        for line in whole:
            yield line.rstrip(b"\r").decode(errors="replace")
