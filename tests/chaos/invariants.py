"""What must hold of every job, whatever went wrong."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tests.chaos.evidence import Evidence, Story, instant_of
from tests.chaos.troubles import Trouble, as_troubles

TERMINAL = frozenset({"completed", "failed", "cancelled", "expired"})
FOLLOWERS = {
    "scheduled": {"queued", "cancelled", "expired"},
    "queued": {"processing", "cancelled", "expired"},
    "processing": {"processing", "queued", "retrying", "completed", "failed", "cancelled"},
    "retrying": {"processing", "cancelled", "expired"},
}
LOSSES_UNTIL_POISONED = 4
SLACK_SECONDS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One thing that does not hold; of one job, or of the whole."""

    sentence: str
    story: Story | None = None


Violations = Iterator[Violation]


@dataclass(frozen=True, slots=True, kw_only=True)
class Invariant:
    """A sentence, and what finds where it is not true."""

    sentence: str
    find: Callable[[Evidence], Violations]


def of_each(find: Callable[[Story], Iterator[str]]) -> Callable[[Evidence], Violations]:
    """Return the search of one job after the other."""

    def find_all(evidence: Evidence) -> Violations:
        for story in evidence.stories:
            for sentence in find(story):
                yield Violation(sentence=sentence, story=story)

    return find_all


def lost(evidence: Evidence) -> Violations:
    for story in evidence.stories:
        if story.state is None:
            yield Violation(sentence="the API does not know the job", story=story)
        elif story.state["status"] not in TERMINAL:
            yield Violation(sentence=f"the job is still {story.state['status']}", story=story)
    for purchase in evidence.unaccepted:
        yield Violation(sentence=f"{purchase.order.key} was never accepted: {purchase.faults}")


def kept_twice(evidence: Evidence) -> Violations:
    accepted = {(story.order.tenant, story.job_id) for story in evidence.stories}
    listed = Counter((tenant, job_id) for tenant, ids in evidence.listed.items() for job_id in ids)
    for tenant, job_id in sorted(listed.keys() - accepted):
        yield Violation(sentence=f"{tenant} has the job {job_id}, which nobody was given")
    for tenant, job_id in sorted(accepted - listed.keys()):
        yield Violation(sentence=f"{tenant}'s list lacks the job {job_id}")
    for (tenant, job_id), count in listed.items():
        if count > 1:
            yield Violation(sentence=f"{tenant}'s list shows {job_id} {count} times")


def ends_other_than_once(story: Story) -> Iterator[str]:
    ends = [event["seq"] for event in story.events if event["final"]]
    if len(ends) != 1 or ends != [story.events[-1]["seq"]]:
        yield f"the job has {len(ends)} terminal events of {len(story.events)}: {ends}"
    if story.events and story.state is not None:
        shown = (story.state["status"], story.state["seq"], story.state["attempt"])
        last = story.events[-1]
        if shown != (last["status"], last["seq"], last["attempt"]):
            yield f"the job is shown as {shown}, its last event is {last}"
    if not story.is_settled:
        yield "the ended job was not the same some time later"


def gaps(story: Story) -> Iterator[str]:
    numbers = [event["seq"] for event in story.events]
    if not numbers or numbers != list(range(1, len(numbers) + 1)):
        yield f"the events are numbered {numbers}"
    if len({event["epoch"] for event in story.events}) > 1:
        yield "the stream changed its epoch"


def illegal_changes(story: Story) -> Iterator[str]:
    statuses = [event["status"] for event in story.events]
    if statuses and statuses[0] not in ("queued", "scheduled"):
        yield f"the job began as {statuses[0]}"
    for before, after in pairwise(statuses):
        if after not in FOLLOWERS.get(before, set()):
            yield f"{before} became {after}"


def stale_writes(story: Story) -> Iterator[str]:
    attempts = [event["attempt"] for event in story.events]
    if attempts != sorted(attempts):
        yield f"the attempts go back: {attempts}"
    claims = Counter(attempt for attempt, _ in claims_of(story))
    if sorted(claims) != list(range(1, len(claims) + 1)) or set(claims.values()) > {1}:
        yield f"the claims are {dict(claims)}"
    for event in story.events:
        progress = event.get("progress")
        if progress and progress["message"] != f"attempt {event['attempt']}":
            yield f"attempt {event['attempt']} announced what {progress['message']!r} wrote"
        if event["status"] == "completed" and event["result"]["attempt"] != event["attempt"]:
            yield f"the result of attempt {event['attempt']} is that of {event['result']['attempt']}"


def claims_of(story: Story) -> Iterator[tuple[int, float]]:
    """Yield the attempts that were begun, and when."""
    before = ""
    for event in story.events:
        if event["status"] == "processing" and before != "processing":
            yield event["attempt"], instant_of(event)
        before = event["status"]


def runs_unclaimed(story: Story) -> Iterator[str]:
    claimed = {attempt for attempt, _ in claims_of(story)}
    starts = Counter(line["attempt"] for line in story.starts)
    for attempt, count in starts.items():
        if attempt not in claimed:
            yield f"a handler ran as attempt {attempt}, which nobody claimed"
        if count > 1:
            yield f"{count} handlers ran as attempt {attempt}"


def cancels_unheard(story: Story) -> Iterator[str]:
    statuses = [event["status"] for event in story.events]
    was_cancelled = statuses[-1:] == ["cancelled"]
    if was_cancelled and "processing" not in statuses and story.starts:
        yield "a job that was cancelled while it waited ran"
    if (story.purchase.cancel_status == 200) is not was_cancelled:
        yield f"the cancel was answered {story.purchase.cancel_status}, the job is {statuses[-1:]}"


def wrong_effects(story: Story) -> Iterator[str]:
    completions = [event for event in story.events if event["status"] == "completed"]
    if len(completions) > 1:
        yield f"the job completed {len(completions)} times"
    for event in completions:
        wanted = (event["attempt"], event["result"]["pid"])
        made = [line for line in story.ends if (line["attempt"], line["pid"]) == wanted]
        if len(made) != 1:
            yield f"attempt {wanted[0]} completed, and its handler recorded {len(made)} ends"


def wrong_outcomes(story: Story) -> Iterator[str]:
    if not story.events or not story.events[-1]["final"]:
        return
    last = story.events[-1]
    outcome = f"{last['status']}:{last.get('error_info', {}).get('code', '')}"
    allowed = {
        "broken": {"failed:never"},
        "hanging": {"failed:timeout"},
        "poison": {"failed:poisoned"},
    }.get(story.order.type, {"completed:"})
    if losses_of(story) >= LOSSES_UNTIL_POISONED:
        allowed = {"failed:poisoned"}
    if story.order.cancel_after is not None:
        allowed |= {"cancelled:cancelled"}
    if outcome not in allowed:
        yield f"a job of type {story.order.type} ended as {outcome}"
    if story.order.type == "flaky" and last["status"] == "completed":
        failures = story.order.params["failures"]
        if last["attempt"] <= failures:
            yield f"attempt {last['attempt']} completed, which was to fail"


def losses_of(story: Story) -> int:
    """Return how many workers the job lost."""
    return sum(_code(event) in ("worker_lost", "poisoned") for event in story.events)


def _code(event: dict[str, object]) -> str:
    info = event.get("error_info")
    return str(info["code"]) if isinstance(info, dict) else ""


def early_starts(story: Story) -> Iterator[str]:
    if story.order.delay is None or not story.events or not story.starts:
        return
    due_at = instant_of(story.events[0]) + story.order.delay
    if story.starts[0]["at"] < due_at - 0.01:
        yield f"the job started {due_at - story.starts[0]['at']:.3f} s before it was due"


def unexplained_repeats(evidence: Evidence) -> Violations:
    troubles = [*evidence.troubles, *as_troubles(evidence.lives)]
    for story in evidence.stories:
        for sentence in _repeats(story, troubles):
            yield Violation(sentence=sentence, story=story)


def _repeats(story: Story, troubles: Sequence[Trouble]) -> Iterator[str]:
    """Yield the attempts that ended without a word of their handler while nothing was wrong."""
    pids = {line["attempt"]: line["pid"] for line in story.starts}
    claimed_at = dict(claims_of(story))
    for event in story.events:
        was_lost = event["status"] in ("retrying", "failed") and _code(event) in ("worker_lost", "poisoned")
        was_handed_back = event["status"] == "queued" and event["attempt"] > 0
        if not was_lost and not was_handed_back:
            continue
        attempt = event["attempt"]
        since = claimed_at.get(attempt, instant_of(event)) - SLACK_SECONDS
        until = instant_of(event) + SLACK_SECONDS
        if not any(trouble.hits(pids.get(attempt), since, until) for trouble in troubles):
            yield f"attempt {attempt} ended {_code(event) or 'handed back'} though nothing was wrong"


def mixed_contexts(story: Story) -> Iterator[str]:
    wanted = story.order.context
    for line in story.lines:
        seen = {
            "tenant_id": line["tenant"],
            "agent_id": line["agent"],
            "conversation_id": line["conversation"],
        }
        if not seen.items() <= wanted.items() or line["ambient"] != wanted:
            yield f"the handler found itself in {seen} and {line['ambient']} instead of {wanted}"
    for event in story.events:
        if event["job_id"] != story.job_id:
            yield f"the stream holds an event of {event['job_id']}"
        if event["status"] == "completed" and event["result"]["tenant"] != story.order.tenant:
            yield f"the result is that of {event['result']['tenant']}"


def wrong_watching(story: Story) -> Iterator[str]:
    if story.watch is None:
        return
    yield from story.watch.faults
    if not story.watch.is_over:
        yield f"the watcher did not see the end, only {len(story.watch.received)} events"
    elif story.watch.received != story.events:
        yield "the watcher saw other events than the job has"


def wrong_answers(evidence: Evidence) -> Violations:
    for story in evidence.stories:
        for sentence in story.purchase.faults:
            yield Violation(sentence=sentence, story=story)
    for complaint in evidence.complaints:
        yield Violation(sentence=complaint)


def wrong_history(story: Story) -> Iterator[str]:
    told = [event["seq"] for event in story.past.events]
    if story.past.contradictions:
        yield f"the history was told two things of {story.past.contradictions}"
    if told != sorted(told):
        yield f"the history was told in the order {told}"
    elif story.past.events != story.events:
        yield f"the history was told {told} of {len(story.events)} events"


def unexpected_deaths(evidence: Evidence) -> Violations:
    lines = (line for story in evidence.stories for line in story.lines)
    explained = {line["pid"] for line in lines if line["phase"] == "poison"} | evidence.crashes.keys()
    for life in evidence.lives:
        if life.ended_at is not None and not life.was_told and life.pid not in explained:
            sentence = f"{life.name} (process {life.pid}) ended by itself with code {life.code}"
            yield Violation(sentence=sentence)


def leaks(evidence: Evidence) -> Violations:
    for name, count in evidence.remains.items():
        if count:
            yield Violation(sentence=f"{count} {name} are left")


INVARIANTS: Sequence[Invariant] = (
    Invariant(sentence="every accepted job ended", find=lost),
    Invariant(sentence="one key, one job", find=kept_twice),
    Invariant(sentence="each ended once, for good", find=of_each(ends_other_than_once)),
    Invariant(sentence="events are numbered without a gap", find=of_each(gaps)),
    Invariant(sentence="only allowed changes happened", find=of_each(illegal_changes)),
    Invariant(sentence="a stale attempt wrote nothing", find=of_each(stale_writes)),
    Invariant(sentence="one handler an attempt, none unclaimed", find=of_each(runs_unclaimed)),
    Invariant(sentence="cancelled before its start: never ran", find=of_each(cancels_unheard)),
    Invariant(sentence="completed exactly once", find=of_each(wrong_effects)),
    Invariant(sentence="ended as its type must", find=of_each(wrong_outcomes)),
    Invariant(sentence="no delayed job started early", find=of_each(early_starts)),
    Invariant(sentence="run again only after a death or a cut", find=unexplained_repeats),
    Invariant(sentence="no tenant or context was mixed up", find=of_each(mixed_contexts)),
    Invariant(sentence="watchers saw all, in order, to the end", find=of_each(wrong_watching)),
    Invariant(sentence="clients were answered as promised", find=wrong_answers),
    Invariant(sentence="the history was told all, in order", find=of_each(wrong_history)),
    Invariant(sentence="no process died by itself", find=unexpected_deaths),
    Invariant(sentence="nothing was left over", find=leaks),
)
