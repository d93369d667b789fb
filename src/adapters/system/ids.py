"""Identity and chance from the operating system's source of randomness."""

import random
import secrets
import string
import threading
import time
import uuid
from collections.abc import Callable

from encola.application.ports import Ids
from encola.domain.context import JobId

_BASE36 = string.digits + string.ascii_lowercase
_EPOCH_LENGTH = 6
_PLACES = tuple(len(_BASE36) ** power for power in range(_EPOCH_LENGTH))
_RANDOM_BITS = 74
_STEP_BITS = 32


def _wall_milliseconds() -> int:
    return time.time_ns() // 1_000_000


class SystemIds(Ids):
    """Gives job ids that rise within a process, and cannot be guessed from one another.

    ``milliseconds`` tells the time since 1970.
    """

    def __init__(self, milliseconds: Callable[[], int] = _wall_milliseconds) -> None:
        self._milliseconds = milliseconds
        self._lock = threading.Lock()
        self._latest = (0, 0)
        self._random = secrets.SystemRandom()
        self._names = random.Random(secrets.randbits(256))

    def job_id(self) -> JobId:
        with self._lock:
            self._latest = _following(self._latest, self._milliseconds())
            return _spelt(*self._latest)

    def epoch(self) -> str:
        drawn = secrets.randbelow(len(_BASE36) ** _EPOCH_LENGTH)
        return "".join(_BASE36[drawn // place % len(_BASE36)] for place in _PLACES)

    def chance(self) -> float:
        return self._random.random()

    def random_hex(self, digits: int) -> str:
        # It names requests and spans and guards nothing, and each call of a service needs two: asking the
        # system for them would take a tenth of its time. After a fork the names of two processes may agree.
        drawn = self._names.getrandbits(4 * digits)
        return f"{drawn:0{digits}x}" if drawn else self.random_hex(digits)


def _following(latest: tuple[int, int], now: int) -> tuple[int, int]:
    """Return milliseconds and random bits beyond the latest: RFC 9562, 6.2, method 2.

    Within one millisecond, or after the clock was set back, the bits rise by a random step. A draw
    leaves the highest bit clear, so that there is room to rise.
    """
    then, drawn = latest
    if now > then:
        return now, secrets.randbits(_RANDOM_BITS - 1)
    drawn += 1 + secrets.randbits(_STEP_BITS)
    return (then, drawn) if drawn < 1 << _RANDOM_BITS else (then + 1, secrets.randbits(_RANDOM_BITS - 1))


def _spelt(milliseconds: int, drawn: int) -> JobId:
    """Lay the parts out as RFC 9562, 5.7, has them."""
    high, low = drawn >> 62, drawn & ((1 << 62) - 1)
    number = milliseconds << 80 | 0x7 << 76 | high << 64 | 0b10 << 62 | low
    return JobId(str(uuid.UUID(int=number)))
