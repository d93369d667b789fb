"""Each invariant is broken by what it forbids, and by nothing in a good story."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from tests.chaos.evidence import Evidence, Story
from tests.chaos.history import Past
from tests.chaos.invariants import INVARIANTS
from tests.chaos.load import Purchase
from tests.chaos.plan import Order, Plan
from tests.chaos.processes import Life
from tests.chaos.report import judge
from tests.chaos.troubles import Trouble
from tests.chaos.watchers import Watch

BEGAN = 1_795_392_000.0  # 2026-11-23T00:00:00Z
WORKER, OTHER = 100, 200

Break = Callable[[Evidence], None]


def event(seq: int, status: str, attempt: int, second: float, **more: Any) -> dict[str, Any]:
    ts = f"2026-11-23T00:00:{second:06.3f}Z"
    final = status in ("completed", "failed", "cancelled")
    return {
        "seq": seq,
        "epoch": "e",
        "job_id": "job-1",
        "status": status,
        "final": final,
        "attempt": attempt,
        "ts": ts,
        **more,
    }


def lines_of(order: Order, attempt: int, pid: int, second: float, *phases: str) -> list[dict[str, Any]]:
    return [
        {
            "phase": phase,
            "job": "job-1",
            "attempt": attempt,
            "pid": pid,
            "at": BEGAN + second,
            "tenant": order.tenant,
            "agent": order.context["agent_id"],
            "conversation": order.context["conversation_id"],
            "ambient": order.context,
        }
        for phase in phases
    ]


def good_story() -> Story:
    """Return the story of a job that lost its first worker and was completed by the second."""
    order = Order(number=1, at=0, tenant="acme", type="progress", params={}, delay=1.0)
    events = [
        event(1, "scheduled", 0, 0.0),
        event(2, "queued", 0, 1.0),
        event(3, "processing", 1, 1.1),
        event(4, "processing", 1, 1.2, progress={"message": "attempt 1"}),
        event(5, "retrying", 1, 5.0, error_info={"code": "worker_lost"}),
        event(6, "processing", 2, 5.1),
        event(7, "completed", 2, 5.5, result={"tenant": "acme", "attempt": 2, "pid": OTHER}),
    ]
    watch = Watch(tenant="acme", job_id="job-1", channel="sse", received=deepcopy(events))
    return Story(
        purchase=Purchase(order=order, job_id="job-1", watch=watch),
        job_id="job-1",
        state={"status": "completed", "seq": 7, "attempt": 2, "epoch": "e", "error_info": None},
        events=events,
        is_settled=True,
        lines=[*lines_of(order, 1, WORKER, 1.1, "start"), *lines_of(order, 2, OTHER, 5.1, "start", "end")],
        past=Past(events=deepcopy(events)),
    )


def good_evidence() -> Evidence:
    death = Trouble(kind="kill_worker", pids=frozenset({WORKER}), began_at=BEGAN + 1.5, ended_at=BEGAN + 1.6)
    life = Life(name="worker-0", pid=WORKER, started_at=BEGAN, ended_at=BEGAN + 1.5, code=-9, was_told=True)
    return Evidence(
        stories=[good_story()],
        troubles=[death],
        lives=[life],
        listed={"acme": ["job-1"]},
        remains={"watchers": 0},
    )


def story(change: Callable[[Story], object]) -> Break:
    def make(evidence: Evidence) -> None:
        change(evidence.stories[0])

    return make


def all_events(change: Callable[[list[dict[str, Any]]], object]) -> Break:
    """Change the events as everybody sees them, so that only the change itself can be wrong."""

    def make(evidence: Evidence) -> None:
        told = evidence.stories[0]
        assert told.watch is not None
        for events in (told.events, told.past.events, told.watch.received):
            change(events)

    return make


def set_state(**fields: Any) -> Break:
    return story(lambda told: (told.state or {}).update(fields))


def no_more_trouble(evidence: Evidence) -> None:
    evidence.troubles, evidence.lives = [], []


def watched(change: Callable[[Watch], object]) -> Break:
    def make(evidence: Evidence) -> None:
        watch = evidence.stories[0].watch
        assert watch is not None
        change(watch)

    return make


BREAKS: dict[str, list[Break]] = {
    "every accepted job ended": [
        set_state(status="queued"),
        story(lambda told: setattr(told, "state", None)),
        lambda all: setattr(all, "unaccepted", [Purchase(order=good_story().order)]),
    ],
    "one key, one job": [
        lambda all: setattr(all, "listed", {"acme": ["job-1", "job-2"]}),
        lambda all: setattr(all, "listed", {"acme": []}),
        lambda all: setattr(all, "listed", {"acme": ["job-1", "job-1"]}),
    ],
    "each ended once, for good": [
        all_events(lambda events: events[3].update(final=True)),
        set_state(seq=8),
        story(lambda told: setattr(told, "is_settled", False)),
    ],
    "events are numbered without a gap": [
        all_events(lambda events: events.pop(3)),
        all_events(lambda events: events[3].update(epoch="f")),
    ],
    "only allowed changes happened": [
        all_events(lambda events: events[0].update(status="processing")),
        all_events(lambda events: events[1].update(status="retrying")),
    ],
    "a stale attempt wrote nothing": [
        all_events(lambda events: events[3].update(attempt=3)),
        all_events(lambda events: events[3]["progress"].update(message="attempt 2")),
        all_events(lambda events: events[6]["result"].update(attempt=1)),
    ],
    "one handler an attempt, none unclaimed": [
        story(lambda told: told.lines.append({**told.lines[0]})),
        story(lambda told: told.lines[0].update(attempt=3)),
    ],
    "cancelled before its start: never ran": [
        story(lambda told: setattr(told.purchase, "cancel_status", 200)),
        story(lambda told: told.events.__setitem__(slice(2, None), [event(3, "cancelled", 0, 1.1)])),
    ],
    "completed exactly once": [
        story(lambda told: told.lines.pop()),
        story(lambda told: told.lines[2].update(pid=WORKER)),
    ],
    "ended as its type must": [all_events(lambda events: events[6].update(status="failed"))],
    "no delayed job started early": [story(lambda told: told.lines[0].update(at=BEGAN + 0.5))],
    "run again only after a death or a cut": [no_more_trouble],
    "no tenant or context was mixed up": [
        story(lambda told: told.lines[1].update(tenant="globex")),
        story(lambda told: told.lines[1].update(ambient={})),
        all_events(lambda events: events[6]["result"].update(tenant="globex")),
    ],
    "watchers saw all, in order, to the end": [
        watched(lambda watch: watch.received.pop()),
        watched(lambda watch: watch.received.pop(2)),
        watched(lambda watch: watch.see(event(8, "queued", 2, 9.0))),
        watched(lambda watch: watch.see({**event(8, "queued", 2, 9.0), "job_id": "job-2"})),
    ],
    "clients were answered as promised": [
        lambda all: setattr(all, "complaints", ["500"]),
        story(lambda told: told.purchase.faults.append("200 to a stranger")),
    ],
    "the history was told all, in order": [
        story(lambda told: told.past.events.pop()),
        story(lambda told: told.past.events.reverse()),
        story(lambda told: told.past.add(event(2, "failed", 0, 1.0))),
    ],
    "no process died by itself": [lambda all: setattr(all.lives[0], "was_told", False)],
    "nothing was left over": [lambda all: setattr(all, "remains", {"watchers": 1})],
}

PLAN = Plan(seed=0, seconds=1, orders=[])


def test_a_good_story_breaks_nothing() -> None:
    assert judge(PLAN, good_evidence()).broken == set()


@pytest.mark.parametrize(
    ("sentence", "make"), [(sentence, make) for sentence, breaks in BREAKS.items() for make in breaks]
)
def test_what_an_invariant_forbids_breaks_it(sentence: str, make: Break) -> None:
    evidence = good_evidence()
    make(evidence)

    assert sentence in judge(PLAN, evidence).broken


def test_every_invariant_can_be_broken() -> None:
    assert BREAKS.keys() == {invariant.sentence for invariant in INVARIANTS}
