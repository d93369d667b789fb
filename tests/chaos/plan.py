"""What will happen, decided before it begins: every choice comes from one seeded generator."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal

TENANTS = ("acme", "globex", "initech", "umbrella")

Channel = Literal["websocket", "sse"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One job that a client will submit, and what else the client will do with it.

    ``at`` is in seconds from the start, ``delay`` is the job's own; ``cancel_after`` counts from
    the acceptance. ``intruder`` is another tenant who will ask for the job.
    """

    number: int
    at: float
    tenant: str
    type: str
    params: Mapping[str, Any]
    delay: float | None = None
    cancel_after: float | None = None
    watched_over: Channel | None = None
    intruder: str | None = None

    @property
    def key(self) -> str:
        """Return the Idempotency-Key."""
        return f"order-{self.number}"

    @property
    def context(self) -> dict[str, str]:
        """Return the context that the job must find itself in."""
        return {
            "tenant_id": self.tenant,
            "agent_id": f"agent-{self.number % 7}",
            "conversation_id": f"conversation-{self.number}",
            "request_id": f"request-{self.number}",
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedFault:
    """One thing that will go wrong: when, for how long (both in seconds), and whom of several it hits."""

    at: float
    kind: str
    lasts: float
    victim: int

    def __str__(self) -> str:
        return f"{self.at:7.2f} s  {self.kind} (victim {self.victim}, {self.lasts:.2f} s)"


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRange:
    """How often a kind of fault is chosen beside others, and how long it may last."""

    weight: float = 1.0
    shortest: float = 0.0
    longest: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The whole run."""

    seed: int
    seconds: float
    orders: Sequence[Order]
    faults: Sequence[PlannedFault] = field(default=())


_TYPES: Mapping[str, float] = {
    "short": 40,
    "progress": 15,
    "sleepy": 17,
    "threaded": 9,
    "flaky": 8,
    "talkative": 7,
    "broken": 4,
    "hanging": 2,
    "stubborn": 3,
    "blocking": 1,
}


def make_plan(
    seed: int,
    *,
    jobs: int,
    seconds: float,
    faults: Mapping[str, FaultRange],
    every: float,
    poison: int,
) -> Plan:
    """Decide everything: ``jobs`` orders over ``seconds``, a fault about ``every`` so many seconds.

    Each kind of fault happens at least once where there is time for it; ``poison`` of the jobs kill
    their workers.
    """
    chance = Random(seed)
    poisonous = set(chance.sample(range(max(1, jobs // 2)), min(poison, jobs)))
    orders = [_order(chance, number, jobs, seconds, number in poisonous) for number in range(jobs)]
    return Plan(seed=seed, seconds=seconds, orders=orders, faults=_faults(chance, seconds, faults, every))


def _order(chance: Random, number: int, jobs: int, seconds: float, is_poison: bool) -> Order:
    tenant = chance.choice(TENANTS)
    kind = "poison" if is_poison else chance.choices(list(_TYPES), list(_TYPES.values()))[0]
    is_cancelled = not is_poison and chance.random() < (0.4 if kind == "stubborn" else 0.08)
    is_delayed = not is_poison and chance.random() < 0.05
    return Order(
        number=number,
        at=seconds * number / jobs,
        tenant=tenant,
        type=kind,
        params=_params(chance, kind),
        delay=chance.uniform(0.5, 2.5) if is_delayed else None,
        cancel_after=chance.choice((0.0, 0.0, chance.uniform(0, 0.6))) if is_cancelled else None,
        watched_over=_channel(chance),
        intruder=chance.choice([other for other in TENANTS if other != tenant])
        if chance.random() < 0.05
        else None,
    )


def _params(chance: Random, kind: str) -> dict[str, Any]:
    if kind == "progress":
        return {"steps": chance.randint(2, 6), "pause": chance.uniform(0, 0.15)}
    if kind in ("sleepy", "threaded"):
        # Some take longer than a worker that is asked to end waits, and than a lease lasts.
        longest = 5.0 if chance.random() < 0.15 else 0.8
        return {"seconds": chance.uniform(0.05, longest)}
    if kind in ("stubborn", "blocking"):
        return {"seconds": chance.uniform(0.1, 0.6)}
    if kind == "flaky":
        return {"failures": chance.randint(1, 2)}
    if kind == "talkative":
        return {"pause": chance.uniform(0, 0.1)}
    return {}


def _channel(chance: Random) -> Channel | None:
    drawn = chance.random()
    if drawn < 0.12:
        return "websocket"
    return "sse" if drawn < 0.24 else None


def _faults(
    chance: Random, seconds: float, ranges: Mapping[str, FaultRange], every: float
) -> list[PlannedFault]:
    if not ranges:
        return []
    count = max(1, round(seconds / every))
    kinds = list(ranges)
    chosen = chance.sample(kinds, min(count, len(kinds)))
    weights = [ranges[kind].weight for kind in kinds]
    chosen += chance.choices(kinds, weights, k=count - len(chosen))
    chance.shuffle(chosen)
    planned = [
        PlannedFault(
            at=chance.uniform(0.05, 0.95) * seconds,
            kind=kind,
            lasts=chance.uniform(ranges[kind].shortest, ranges[kind].longest),
            victim=chance.randrange(1_000),
        )
        for kind in chosen
    ]
    return sorted(planned, key=lambda fault: fault.at)
