"""Ids and chance that are the same in every run."""

import random
import string
import uuid
from datetime import UTC, datetime

from encola.application.ports import Ids
from encola.domain.context import JobId

_START_MS = int(datetime(2026, 1, 1, 12, tzinfo=UTC).timestamp() * 1000)
_BASE36 = string.digits + string.ascii_lowercase


class SeededIds(Ids):
    """Draws everything from one seed; for tests only, for what it gives can be guessed."""

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)
        self._milliseconds = _START_MS

    def job_id(self) -> JobId:
        self._milliseconds += 1
        drawn = self._random.getrandbits(74)
        number = self._milliseconds << 80 | 7 << 76 | (drawn >> 62) << 64 | 0b10 << 62 | drawn & (1 << 62) - 1
        return JobId(str(uuid.UUID(int=number)))

    def epoch(self) -> str:
        return "".join(self._random.choices(_BASE36, k=6))

    def chance(self) -> float:
        return self._random.random()

    def random_hex(self, digits: int) -> str:
        return f"{self._random.randrange(1, 16**digits):0{digits}x}"
