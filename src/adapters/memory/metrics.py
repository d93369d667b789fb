"""Metrics that can be read back."""

from collections import Counter, defaultdict, deque
from typing import TypeAlias

from encola.application.ports import Metrics

Series: TypeAlias = tuple[str, frozenset[tuple[str, str]]]

DURATIONS_KEPT = 1000


class InMemoryMetrics(Metrics):
    """Keeps counters, gauges, and the latest 1,000 durations of each series."""

    def __init__(self) -> None:
        self._counts: Counter[Series] = Counter()
        self._gauges: Counter[Series] = Counter()
        self._durations: defaultdict[Series, deque[float]] = defaultdict(lambda: deque(maxlen=DURATIONS_KEPT))

    def count(self, name: str, **labels: str) -> None:
        self._counts[_series(name, labels)] += 1

    def observe(self, name: str, seconds: float, **labels: str) -> None:
        self._durations[_series(name, labels)].append(seconds)

    def change(self, name: str, by: int, **labels: str) -> None:
        self._gauges[_series(name, labels)] += by

    def counted(self, name: str, **labels: str) -> int:
        """Return how often it was counted."""
        return self._counts[_series(name, labels)]

    def gauge(self, name: str, **labels: str) -> int:
        """Return where the gauge stands."""
        return self._gauges[_series(name, labels)]

    def observed(self, name: str, **labels: str) -> list[float]:
        """Return the latest durations in seconds, oldest first."""
        return list(self._durations.get(_series(name, labels), ()))


def _series(name: str, labels: dict[str, str]) -> Series:
    return name, frozenset(labels.items())
