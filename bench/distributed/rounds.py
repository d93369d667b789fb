"""Rounds in which every contender has its turn, and what came of them."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.distributed.contenders import NAPS, NO_OPS, Contender
from bench.distributed.drain import drain
from bench.distributed.front_door import DOORS, knock
from bench.distributed.machine import Machine
from bench.distributed.whole_way import STACKS, walk

NAP_JOBS = 1000
SCENARIOS = ("no-ops", "naps", "whole-way", "front-door")

Figures = Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much is asked of each contender in a round."""

    jobs: int = 3000
    idle: int = 300
    loaded: int = 1500
    seconds: int = 5


class Notes:
    """What was measured: scenario, contender, figure, and its values in the order of the rounds."""

    def __init__(self) -> None:
        self._seen: dict[str, dict[str, dict[str, list[float]]]] = {}

    @property
    def scenarios(self) -> Sequence[str]:
        """Return which scenarios were measured."""
        return tuple(self._seen)

    def add(self, scenario: str, name: str, figures: Figures) -> None:
        """Keep the figures of one turn."""
        rows = self._seen.setdefault(scenario, {}).setdefault(name, {})
        for what, value in figures.items():
            rows.setdefault(what, []).append(value)

    def median(self, scenario: str, name: str, what: str) -> float:
        """Return the median over the rounds."""
        return statistics.median(self._seen[scenario][name][what])

    def ratio(self, scenario: str, name: str, base: str, what: str) -> float:
        """Return the median of the ratios within each round, so that a drift over the rounds cancels out."""
        rows = self._seen[scenario]
        pairs = zip(rows[name][what], rows[base][what], strict=True)
        return statistics.median(own / others for own, others in pairs)


def measure(machine: Machine, scenario: str, sizes: Sizes, notes: Notes) -> None:
    """Give every contender of a scenario one turn."""
    match scenario:
        case "no-ops":
            for contender in NO_OPS:
                notes.add(scenario, contender.name, _drained(machine, contender, "noop", sizes.jobs))
        case "naps":
            for contender in NAPS:
                notes.add(scenario, contender.name, _drained(machine, contender, "nap", NAP_JOBS))
        case "whole-way":
            for stack in STACKS:
                figures = walk(machine, stack, idle=sizes.idle, loaded=sizes.loaded)
                notes.add(scenario, stack.name, figures)
        case "front-door":
            for door in DOORS:
                notes.add(scenario, door.name, {"rate": knock(machine, door, seconds=sizes.seconds)})


def _drained(machine: Machine, contender: Contender, task: str, jobs: int) -> Figures:
    seen = drain(machine, contender, task, jobs)
    return {
        "submit": jobs / seen.submit,
        "rate": jobs / seen.drain,
        "wall": seen.drain,
        "peak": seen.peak_mib,
    }
