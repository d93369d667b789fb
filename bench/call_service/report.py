"""The part of the documents that holds what calls of services cost."""

import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version

from bench.page import CALL_SERVICE

Figures = dict[tuple[str, int, str], list[float]]


@dataclass(frozen=True, slots=True)
class Target:
    """A bound for one of our figures, or for its ratio to a peer's in the same round."""

    sentence: str
    name: str
    at_once: int
    bound: float
    peer: str | None = None
    what: str = "rate"
    is_ceiling: bool = False

    def reached(self, figures: Figures) -> float:
        """Return the median."""
        own = figures[self.name, self.at_once, self.what]
        if self.peer is None:
            return statistics.median(own)
        others = figures[self.peer, self.at_once, self.what]
        return statistics.median(one / other for one, other in zip(own, others, strict=True))

    def line(self, figures: Figures) -> str:
        """Return a row of the table."""
        reached = self.reached(figures)
        is_met = reached <= self.bound if self.is_ceiling else reached >= self.bound
        sign = "≤" if self.is_ceiling else "≥"
        verdict = "met" if is_met else "**missed**"
        return f"| {self.sentence} | {sign} {self.bound:,g} | {_number(reached)} | {verdict} |"


TARGETS: Sequence[Target] = (
    Target("calls/s with 100 at once, to httpx", "Encola", 100, 8.0, "httpx"),
    Target("calls/s with 100 at once, to aiohttp without any layer", "Encola", 100, 0.6, "aiohttp"),
    Target("calls/s with 100 at once, to the obvious stack", "Encola", 100, 5.0, "the obvious stack"),
    Target("all layers without the network, p50 in µs", "overhead", 1, 40.0, what="p50", is_ceiling=True),
    Target("hits/s in the process", "L1", 1, 200_000.0),
    Target("hits/s in Redis, one after the other, to hishel", "L2", 1, 5.0, "hishel"),
    Target("hits/s in Redis, 20 at once, to hishel", "L2", 20, 5.0, "hishel"),
)
CALLERS: Mapping[str, str] = {
    "Encola": "`call_service`, every layer on, breakers shared through Redis",
    "aiohttp": "a session, nothing else",
    "httpx": "one client, nothing else",
    "the obvious stack": "httpx, stamina, hishel on Redis, pybreaker",
}


def report(figures: Figures, rounds: int) -> str:
    """Return the part as Markdown."""
    lines = [CALL_SERVICE, "", *_conditions(rounds), "", *_calls(figures), "", *_hits(figures), ""]
    lines += ["### Targets", "", "| what | target | reached | |", "|---|---|---|---|"]
    lines += [target.line(figures) for target in TARGETS]
    return "\n".join(lines) + "\n"


def _conditions(rounds: int) -> list[str]:
    packages = ", ".join(f"{name} {version(name)}" for name in ("aiohttp", "httpx"))
    return [
        f"Measured on {datetime.now(UTC):%Y-%m-%d} with `python -m bench call_service --rounds {rounds}`:",
        f"medians of {rounds} interleaved rounds, Python {platform.python_version()}, {os.cpu_count()}",
        f"cores, one for the client and one for the service; {packages}.",
        "A call is a POST of 100 bytes over kept",
        "connections, to a service that answers at once. CPU is that of the client's process.",
        "`python -m bench call_service --faults` measures what happens when things go wrong.",
    ]


def _calls(figures: Figures) -> list[str]:
    lines = ["| caller | at once | calls/s | CPU, µs a call | |", "|---|---|---|---|---|"]
    for at_once in (1, 20, 100):
        for name, what in CALLERS.items():
            rate = statistics.median(figures[name, at_once, "rate"])
            cpu = statistics.median(figures[name, at_once, "cpu"])
            lines.append(f"| {name} | {at_once} | {rate:,.0f} | {cpu:,.0f} | {what} |")
    return lines


def _hits(figures: Figures) -> list[str]:
    lines = ["| cache | at once | hits/s |", "|---|---|---|"]
    for name, sentence in (
        ("L1", "Encola, in the process"),
        ("L2", "Encola, in Redis"),
        ("hishel", "hishel, in Redis"),
    ):
        for at_once in (1, 20):
            if (name, at_once, "rate") in figures:
                rate = statistics.median(figures[name, at_once, "rate"])
                lines.append(f"| {sentence} | {at_once} | {rate:,.0f} |")
    return lines


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1_000 else f"{value:,.2f}"
