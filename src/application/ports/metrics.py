"""Counting what happens."""

from typing import Protocol


class Metrics(Protocol):
    """Counts and times; never fails its caller and never waits. A tenant is never a label."""

    def count(self, name: str, **labels: str) -> None:
        """Add one."""
        ...

    def observe(self, name: str, seconds: float, **labels: str) -> None:
        """Note one duration."""
        ...

    def change(self, name: str, by: int, **labels: str) -> None:
        """Move a gauge."""
        ...
