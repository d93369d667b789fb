"""One run: plan, load and faults side by side, healing, quiet, judgement."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tests.chaos.crash_marks import crashes_in
from tests.chaos.evidence import Evidence, Story, gauges, list_jobs, live_jobs, read_again, tell_stories
from tests.chaos.faults import Fault, inject
from tests.chaos.front import Front
from tests.chaos.load import Load
from tests.chaos.plan import Plan
from tests.chaos.report import Outcome, judge
from tests.chaos.stack import Stack
from tests.chaos.troubles import Troubles
from tests.chaos.waiting import becomes

POLL_SECONDS = 0.3

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long things may take after the last fault, in seconds.

    ``jobs`` is until the last job has ended, ``watchers`` until then each watcher has heard of it,
    ``history`` until the history service was told everything, and ``remains`` until nothing is left.
    """

    jobs: float = 60.0
    watchers: float = 30.0
    history: float = 90.0
    remains: float = 15.0


PATIENT = Patience()


async def run(
    stack: Stack,
    plan: Plan,
    kinds: Mapping[str, Fault],
    *,
    history_is_down: bool = False,
    ends_with_faults: bool = False,
    patience: Patience = PATIENT,
    say: Say = lambda text: None,
) -> Outcome:
    """Carry out the plan on a stack that runs, and judge what came of it.

    With ``history_is_down`` the history service only comes up when everything else is over. With
    ``ends_with_faults`` no order is begun after the last fault, so that the plan may hold too many.
    """
    troubles = Troubles()
    if not history_is_down:
        await stack.history.start()
    async with Front(stack.urls) as front, _noting_stalls(troubles):
        load = Load(front, plan.orders)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(load.run())
                await inject(stack, kinds, plan.faults, troubles)
                if ends_with_faults:
                    load.stop()
            say("all is submitted, all faults are over")
            await stack.heal()
            await _until_quiet(front, patience.jobs)
        finally:
            await load.end(patience.watchers)
        say("all is quiet")
        return judge(plan, await _gather(stack, front, load, troubles, patience))


async def _until_quiet(front: Front, seconds: float) -> None:
    async def is_quiet() -> bool:
        return await live_jobs(front) == 0

    await becomes(is_quiet, seconds, POLL_SECONDS)


async def _gather(stack: Stack, front: Front, load: Load, troubles: Troubles, patience: Patience) -> Evidence:
    stories = await tell_stories(front, load.purchases, stack.effects)
    await _until_told(stack, stories, patience.history)
    await asyncio.sleep(stack.timings.lease + 1.0)
    await read_again(front, stories)
    return Evidence(
        stories=stories,
        unaccepted=[purchase for purchase in load.purchases if purchase.job_id is None],
        troubles=troubles.all,
        lives=[life for process in stack.processes for life in process.lives],
        crashes=crashes_in(stack.crashes),
        listed=await list_jobs(front),
        remains=await _remains(stack, patience.remains),
        sent=stack.sent,
        complaints=[*front.surprises, *stack.complaints],
    )


async def _until_told(stack: Stack, stories: Sequence[Story], seconds: float) -> None:
    """Wait for the history service to hear everything, and note in each story what it heard."""

    async def is_told() -> bool:
        for story in stories:
            story.past = stack.history.told_of(story.order.tenant, story.job_id)
        return all(len(story.past.events) >= len(story.events) for story in stories)

    await becomes(is_told, seconds, POLL_SECONDS)


async def _remains(stack: Stack, seconds: float) -> dict[str, int]:
    found: dict[str, int] = {}

    async def is_nothing() -> bool:
        found["watchers"] = await gauges(stack.urls, "encola_watchers")
        found["running jobs"] = await gauges(stack.urls, "encola_jobs_running")
        found.update(await stack.remains())
        return not any(found.values())

    await becomes(is_nothing, seconds, POLL_SECONDS)
    return found


@asynccontextmanager
async def _noting_stalls(troubles: Troubles) -> AsyncIterator[None]:
    task = asyncio.create_task(troubles.note_stalls())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
