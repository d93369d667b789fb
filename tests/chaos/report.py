"""The table that a run prints."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.chaos.evidence import Evidence
from tests.chaos.invariants import INVARIANTS, Violation
from tests.chaos.plan import Plan

STORIES_SHOWN = 3
SENTENCES_SHOWN = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a run came to: the evidence, and whatever in it must not be, by invariant."""

    plan: Plan
    evidence: Evidence
    violations: Mapping[str, Sequence[Violation]]

    @property
    def is_clean(self) -> bool:
        """Tell whether every invariant holds."""
        return not any(self.violations.values())

    @property
    def broken(self) -> set[str]:
        """Return the sentences that are not true."""
        return {sentence for sentence, found in self.violations.items() if found}


def judge(plan: Plan, evidence: Evidence) -> Outcome:
    """Hold the evidence against every invariant."""
    violations = {invariant.sentence: list(invariant.find(evidence)) for invariant in INVARIANTS}
    return Outcome(plan=plan, evidence=evidence, violations=violations)


def table(outcome: Outcome) -> str:
    """Return the numbers and the invariants, and of what does not hold some stories."""
    lines = [*_numbers(outcome), "", *_invariants(outcome)]
    if not outcome.is_clean:
        lines += ["", *_stories(outcome)]
    return "\n".join(lines)


def _numbers(outcome: Outcome) -> list[str]:
    evidence = outcome.evidence
    statuses = Counter(story.state["status"] if story.state else "unknown" for story in evidence.stories)
    codes = Counter(
        story.state["error_info"]["code"]
        for story in evidence.stories
        if story.state and story.state["error_info"] and story.state["status"] == "failed"
    )
    starts = Counter(len(story.starts) for story in evidence.stories)
    watches = [story.watch for story in evidence.stories if story.watch is not None]
    rows = {
        "seed": str(outcome.plan.seed),
        "jobs accepted": str(len(evidence.stories)),
        "ended": _counted(statuses),
        "failed": _counted(codes) or "none",
        "starts per job": _counted(starts),
        "events": str(sum(len(story.events) for story in evidence.stories)),
        "watchers": f"{len(watches)} with {sum(watch.connections for watch in watches)} connections",
        "told to the history": _told(evidence),
        "faults": _counted(Counter(trouble.kind for trouble in evidence.troubles)) or "none",
        "sent besides": _counted(Counter(evidence.sent)) or "nothing",
        "crash points hit": _counted(Counter(evidence.crashes.values())) or "none",
        "processes": str(len(evidence.lives)),
    }
    width = max(map(len, rows))
    return [f"{name:<{width}}  {value}" for name, value in rows.items()]


def _told(evidence: Evidence) -> str:
    events = sum(len(story.past.events) for story in evidence.stories)
    repeats = sum(story.past.repeats for story in evidence.stories)
    return f"{events} events, {repeats} of them again"


def _counted(counter: Counter[str] | Counter[int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counter.items()))


def _invariants(outcome: Outcome) -> list[str]:
    width = max(len(sentence) for sentence in outcome.violations)
    return [f"{sentence:<{width}}  {len(found):>5}" for sentence, found in outcome.violations.items()]


def _stories(outcome: Outcome) -> list[str]:
    lines: list[str] = []
    told: set[str] = set()
    for sentence, found in outcome.violations.items():
        if found:
            lines.append(f"NOT TRUE: {sentence}")
            lines += [f"  {_about(violation)}" for violation in found[:SENTENCES_SHOWN]]
        for violation in found[:STORIES_SHOWN]:
            if violation.story is not None and violation.story.job_id not in told:
                told.add(violation.story.job_id)
                lines.append(violation.story.told())
    return [*lines, "troubles:", *(f"  {trouble}" for trouble in outcome.evidence.troubles)]


def _about(violation: Violation) -> str:
    about = f"{violation.story.job_id}: " if violation.story else ""
    return f"{about}{violation.sentence}"
