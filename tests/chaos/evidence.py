"""What is known when all is quiet again: of each job from every side, and of what is left over."""

import asyncio
import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

from tests.chaos.front import Front, GaveUp
from tests.chaos.history import Past
from tests.chaos.load import Purchase
from tests.chaos.plan import TENANTS, Order
from tests.chaos.processes import Life
from tests.chaos.troubles import Trouble
from tests.chaos.watchers import Watch

AT_ONCE = 16
NOT_MODIFIED = 304
PAGE = 100

Event = dict[str, Any]
Line = dict[str, Any]


def instant_of(event: Event) -> float:
    """Return when an event happened, in seconds since 1970."""
    return datetime.fromisoformat(event["ts"]).timestamp()


@dataclass(slots=True, kw_only=True)
class Story:
    """Everything that is known of one job.

    :ivar state: what the API says it is at the end; ``None`` if it knows no such job
    :ivar events: what the API says has happened
    :ivar is_settled: some time later the API still said the same
    :ivar lines: what its handlers recorded themselves, by time
    :ivar past: what the history service was told
    """

    purchase: Purchase
    job_id: str
    state: dict[str, Any] | None = None
    events: list[Event] = field(default_factory=list)
    is_settled: bool = False
    lines: list[Line] = field(default_factory=list)
    past: Past = field(default_factory=Past)

    @property
    def order(self) -> Order:
        """Return what was asked for."""
        return self.purchase.order

    @property
    def watch(self) -> Watch | None:
        """Return what its watcher saw, if it had one."""
        return self.purchase.watch

    @property
    def starts(self) -> list[Line]:
        """Return the recorded starts of handlers."""
        return [line for line in self.lines if line["phase"] != "end"]

    @property
    def ends(self) -> list[Line]:
        """Return the recorded ends of handlers."""
        return [line for line in self.lines if line["phase"] == "end"]

    def told(self) -> str:
        """Return the whole story, a line for each thing."""
        chapters = [
            f"job {self.job_id}: {self.order}",
            f"  accepted at {self.purchase.accepted_at}, cancel answered with {self.purchase.cancel_status}",
            f"  state {json.dumps(self.state)}",
            *(f"  event {json.dumps(event)}" for event in self.events),
            *(f"  handler {json.dumps(line)}" for line in self.lines),
            f"  history {[(event['seq'], event['status']) for event in self.past.events]}",
        ]
        if self.watch is not None:
            seen = [(event["seq"], event["status"]) for event in self.watch.received]
            chapters.append(f"  {self.watch.channel}, {self.watch.connections} connections: {seen}")
        return "\n".join(chapters)


@dataclass(slots=True, kw_only=True)
class Evidence:
    """The whole run.

    :ivar crashes: the marked points at which processes died
    :ivar listed: the ids that each tenant is shown in its list of jobs
    :ivar remains: how much is left of what should be gone, by name
    :ivar sent: how many messages were sent by others than the processes, by kind
    :ivar complaints: whatever else should not have been, as sentences
    """

    stories: Sequence[Story]
    unaccepted: Sequence[Purchase] = ()
    troubles: Sequence[Trouble] = ()
    lives: Sequence[Life] = ()
    crashes: Mapping[int, str] = field(default_factory=dict)
    listed: Mapping[str, Sequence[str]] = field(default_factory=dict)
    remains: Mapping[str, int] = field(default_factory=dict)
    complaints: Sequence[str] = ()
    sent: Mapping[str, int] = field(default_factory=dict)


def read_effects(folder: Path) -> dict[str, list[Line]]:
    """Return the lines of all workers by job, by time; a line cut off by a death is left out."""
    lines: defaultdict[str, list[Line]] = defaultdict(list)
    for file in folder.glob("*.jsonl"):
        for text in file.read_text().splitlines(keepends=True):
            if text.endswith("\n"):
                line = json.loads(text)
                lines[line["job"]].append(line)
    for of_job in lines.values():
        of_job.sort(key=lambda line: line["at"])
    return dict(lines)


async def tell_stories(front: Front, purchases: Sequence[Purchase], effects: Path) -> list[Story]:
    """Read everything about every accepted job."""
    lines = read_effects(effects)
    places = asyncio.Semaphore(AT_ONCE)

    async def tell(purchase: Purchase, job_id: str) -> Story:
        story = Story(purchase=purchase, job_id=job_id, lines=lines.get(job_id, []))
        async with places:
            await _read(front, story)
        return story

    accepted = [(one, one.job_id) for one in purchases if one.job_id is not None]
    return list(await asyncio.gather(*(tell(purchase, job_id) for purchase, job_id in accepted)))


async def read_again(front: Front, stories: Sequence[Story]) -> None:
    """Ask for every job once more: what has ended must be as it was."""
    places = asyncio.Semaphore(AT_ONCE)

    async def ask(story: Story) -> None:
        if story.state is not None:
            tag = f'"{story.state["epoch"]}-{story.state["seq"]}"'
            async with places:
                answer = await _get(front, story, "", {"If-None-Match": tag})
            story.is_settled = answer is not None and answer.status_code == NOT_MODIFIED

    await asyncio.gather(*(ask(story) for story in stories))


async def list_jobs(front: Front) -> dict[str, list[str]]:
    """Return the ids of each tenant's jobs, as its list shows them."""
    return {tenant: await _list_of(front, tenant) for tenant in TENANTS}


async def live_jobs(front: Front) -> int:
    """Return how many jobs have not ended, over all tenants."""
    live = 0
    for tenant in TENANTS:
        answer = await front.ask("GET", "/api/metrics", tenant=tenant)
        counts = answer.json()["jobs"]
        live += sum(counts[status] for status in ("scheduled", "queued", "processing", "retrying"))
    return live


async def gauges(urls: Sequence[str], name: str) -> int:
    """Return the sum of a gauge over the processes that answer HTTP."""
    total = 0.0
    async with httpx.AsyncClient(timeout=5) as client:
        for url in urls:
            text = (await client.get(f"{url}/metrics")).text
            total += sum(map(float, re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", text, re.MULTILINE)))
    return int(total)


async def _read(front: Front, story: Story) -> None:
    state = await _get(front, story, "")
    if state is None or state.status_code != 200:
        return
    story.state = state.json()
    events = await _get(front, story, "/events")
    if events is not None and events.status_code == 200:
        story.events = events.json()["events"]


async def _get(
    front: Front, story: Story, path: str, headers: Mapping[str, str] | None = None
) -> httpx.Response | None:
    try:
        return await front.ask(
            "GET",
            f"/api/jobs/{story.job_id}{path}",
            tenant=story.order.tenant,
            start=story.order.number,
            headers={"Accept": "application/json", **(headers or {})},
        )
    except GaveUp:
        return None


async def _list_of(front: Front, tenant: str) -> list[str]:
    ids: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        answer = await front.ask("GET", "/api/jobs", tenant=tenant, params={"limit": PAGE, **cursor})
        page = answer.json()
        ids += [job["job_id"] for job in page["jobs"]]
        if page["next_cursor"] is None:
            return ids
        cursor = {"cursor": page["next_cursor"]}
