"""A contract is worth what it catches: planted bugs, each with the test that must fail on it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from encola.adapters.memory import (
    InMemoryCache,
    InMemoryJobCatalog,
    InMemoryJobFeed,
    InMemoryJobHistory,
    InMemoryJobOutputs,
    InMemoryJobStore,
    InMemoryWorkBoard,
    InProcessJobQueue,
    InProcessNotifier,
    InProcessSubscription,
    ManualClock,
    MemoryState,
)
from encola.application.ports import Announcement, Cached, IdempotencyKey, JobFilter, Lease, PageStart
from encola.domain.context import JobId, TenantId
from encola.domain.errors import JobChanged, JobNotFound
from encola.domain.event import JobEvent, announce
from encola.domain.job import Job
from encola.domain.json_value import JSON
from encola.domain.output import OutputChunk
from encola.testing import contracts
from encola.testing.builders import LEASE, a_job, after
from encola.testing.job_machine import job_machine
from encola.testing.stores import Stores

Failing = (AssertionError, pytest.fail.Exception, TimeoutError, JobChanged, JobNotFound, KeyError)


class StoreWithoutVersions(InMemoryJobStore):
    async def save(self, job: Job) -> None:
        await asyncio.sleep(0)
        self._state.get(job.tenant_id, job.id)
        await self._notifier.publish(self._state.write(job))


class StoreThatReadsThenWrites(InMemoryJobStore):
    async def save(self, job: Job) -> None:
        stored = self._state.get(job.tenant_id, job.id)
        if stored.seq != job.seq - 1 or stored.attempt > job.attempt:
            raise JobChanged
        await asyncio.sleep(0)
        await self._notifier.publish(self._state.write(job))


class StoreWithoutFence(InMemoryJobStore):
    async def save(self, job: Job) -> None:
        await asyncio.sleep(0)
        if self._state.get(job.tenant_id, job.id).seq != job.seq - 1:
            raise JobChanged
        await self._notifier.publish(self._state.write(job))


class StoreThatIgnoresTenants(InMemoryJobStore):
    async def get(self, tenant: TenantId, job_id: JobId) -> Job:
        return await super().get(self._state.owner_of(job_id) or tenant, job_id)


class StoreThatAnnouncesFirst(InMemoryJobStore):
    async def save(self, job: Job) -> None:
        await self._notifier.publish(announce(job))
        await InMemoryJobStore(self._state, InProcessNotifier()).save(job)


class StoreThatNeverAnnounces(InMemoryJobStore):
    async def save(self, job: Job) -> None:
        await InMemoryJobStore(self._state, InProcessNotifier()).save(job)


class StoreThatForgetsKeys(InMemoryJobStore):
    async def add(
        self, job: Job, key: IdempotencyKey | None = None, *, taken_until: datetime | None = None
    ) -> Job:
        return await super().add(job)


class StoreWhoseKeysNeverExpire(InMemoryJobStore):
    async def add(
        self, job: Job, key: IdempotencyKey | None = None, *, taken_until: datetime | None = None
    ) -> Job:
        forever = key and replace(key, expires_at=key.expires_at + timedelta(days=999))
        return await super().add(job, forever)


class StoreThatTakesFalsyForNothing(InMemoryJobStore):
    async def save(self, job: Job) -> None:
        await super().save(replace(job, result=job.result or None))


class StoreThatLosesAnEvent(InMemoryJobStore):
    async def events(
        self, tenant: TenantId, job_id: JobId, *, after: int = 0, limit: int = 1000
    ) -> list[JobEvent]:
        events = await super().events(tenant, job_id, after=after, limit=limit)
        return [event for event in events if event.seq != 2]


class BoardThatTakesTwice(InMemoryWorkBoard):
    async def take_due(self, now: datetime, *, again_at: datetime, limit: int) -> list[Job]:
        return await super().take_due(now, again_at=now, limit=limit)


class BoardThatReadsThenTakes(InMemoryWorkBoard):
    async def take_due(self, now: datetime, *, again_at: datetime, limit: int) -> list[Job]:
        seen = [key for key, due in self._state.due.items() if due.due_at <= now and due.free_at <= now]
        await asyncio.sleep(0)
        for key in seen[:limit]:
            self._state.due[key].free_at = again_at
        return [self._state.get(*key) for key in seen[:limit]]


class BoardWithoutOrder(InMemoryWorkBoard):
    async def take_due(self, now: datetime, *, again_at: datetime, limit: int) -> list[Job]:
        return sorted(
            await super().take_due(now, again_at=again_at, limit=limit), key=lambda job: job.id, reverse=True
        )


class BoardThatRenewsAnything(InMemoryWorkBoard):
    async def renew(self, leases: Sequence[Lease], until: datetime) -> list[Lease]:
        await super().renew(leases, until)
        return []


class BoardThatResetsEverything(InMemoryWorkBoard):
    async def reset(self, now: datetime) -> None:
        await super().reset(now)
        for key in list(self._state.checks):
            self._state.amend(replace(self._state.get(*key), check_at=now))


class BoardThatForgetsTooMuch(InMemoryWorkBoard):
    async def forget(self, finished_before: datetime, *, limit: int) -> int:
        return await super().forget(finished_before + timedelta(seconds=1), limit=limit)


class CatalogThatStartsAtAnInstant(InMemoryJobCatalog):
    async def list(
        self, tenant: TenantId, job_filter: JobFilter, *, start: PageStart | None, limit: int
    ) -> Sequence[Job]:
        earlier = start and replace(start, job_id=JobId(""))
        return await super().list(tenant, job_filter, start=earlier, limit=limit)


class CatalogWithWildcards(InMemoryJobCatalog):
    async def list(
        self, tenant: TenantId, job_filter: JobFilter, *, start: PageStart | None, limit: int
    ) -> Sequence[Job]:
        wild = replace(job_filter, text=(job_filter.text or "").split("%")[0])
        return await super().list(tenant, wild, start=start, limit=limit)


class FeedThatGoesBack(InMemoryJobFeed):
    async def acknowledge(self, consumer: str, position: int) -> None:
        self._state.consumers[consumer] = position


class FeedWithOneConsumer(InMemoryJobFeed):
    async def acknowledge(self, consumer: str, position: int) -> None:
        for name in (consumer, "slow"):
            await super().acknowledge(name, position)


class OutputsWithoutFence(InMemoryJobOutputs):
    async def append(self, chunk: OutputChunk) -> None:
        job = self._state.get(chunk.tenant_id, chunk.job_id)
        await super().append(replace(chunk, attempt=job.attempt))


class OutputsThatCountCharacters(InMemoryJobOutputs):
    async def append(self, chunk: OutputChunk) -> None:
        kept = await self.read(chunk.tenant_id, chunk.job_id)
        text = "".join(piece.text for piece in kept if piece.name == chunk.name)
        real = {len(text): len(text.encode())}.get(chunk.offset, chunk.offset)
        await super().append(replace(chunk, offset=real))


class LossySubscription(InProcessSubscription):
    def offer(self, announcement: Announcement) -> None:
        if len(self._waiting) < self._bound:
            super().offer(announcement)


class LossyNotifier(InProcessNotifier):
    @asynccontextmanager
    async def _subscribed(self, job: tuple[TenantId, JobId]) -> AsyncIterator[InProcessSubscription]:
        self._subscriptions[job] = {LossySubscription(self._buffer)}
        yield next(iter(self._subscriptions[job]))


class NotifierThatIgnoresTenants(InProcessNotifier):
    async def publish(self, announcement: Announcement) -> None:
        for (_, job_id), subscriptions in self._subscriptions.items():
            for subscription in subscriptions if job_id == announcement.job_id else ():
                subscription.offer(announcement)


def stores_with(
    jobs: type[InMemoryJobStore] = InMemoryJobStore,
    board: type[InMemoryWorkBoard] = InMemoryWorkBoard,
    catalog: type[InMemoryJobCatalog] = InMemoryJobCatalog,
    feed: type[InMemoryJobFeed] = InMemoryJobFeed,
    outputs: type[InMemoryJobOutputs] = InMemoryJobOutputs,
) -> Stores:
    """Return in-memory stores, one of them broken."""
    state, notifier = MemoryState(), InProcessNotifier()
    return Stores(
        jobs=jobs(state, notifier),
        board=board(state),
        catalog=catalog(state),
        feed=feed(state),
        outputs=outputs(state, notifier),
        notifier=notifier,
    )


STORE = contracts.JobStoreContract
BOARD = contracts.WorkBoardContract
CATALOG = contracts.JobCatalogContract
FEED = contracts.JobFeedContract

BROKEN_STORES = [
    ({"jobs": StoreWithoutVersions}, STORE().test_a_stale_save_writes_nothing),
    ({"jobs": StoreWithoutVersions}, STORE().test_of_fifty_saves_of_one_version_exactly_one_wins),
    ({"jobs": StoreWithoutVersions}, STORE().test_a_save_that_leaves_out_a_version_writes_nothing),
    ({"jobs": StoreThatReadsThenWrites}, STORE().test_of_fifty_saves_of_one_version_exactly_one_wins),
    ({"jobs": StoreWithoutFence}, STORE().test_a_lower_attempt_never_writes),
    ({"jobs": StoreThatIgnoresTenants}, STORE().test_a_job_of_another_tenant_does_not_exist),
    ({"jobs": StoreThatAnnouncesFirst}, STORE().test_what_is_not_written_is_not_announced),
    ({"jobs": StoreThatForgetsKeys}, STORE().test_a_key_used_again_returns_the_first_job_as_it_is_now),
    ({"jobs": StoreThatForgetsKeys}, STORE().test_of_twenty_adds_under_one_key_exactly_one_is_kept),
    ({"jobs": StoreWhoseKeysNeverExpire}, STORE().test_an_expired_key_names_the_new_job),
    ({"jobs": StoreThatLosesAnEvent}, STORE().test_events_have_no_gap_and_the_last_is_the_state),
    ({"board": BoardThatTakesTwice}, BOARD().test_two_callers_never_take_the_same_job),
    ({"board": BoardThatTakesTwice}, BOARD().test_a_taken_job_is_given_again_only_when_its_time_has_come),
    ({"board": BoardThatReadsThenTakes}, BOARD().test_two_callers_never_take_the_same_job),
    ({"board": BoardWithoutOrder}, BOARD().test_jobs_are_taken_by_priority_and_then_by_due_time),
    ({"board": BoardThatRenewsAnything}, BOARD().test_leases_that_no_longer_hold_are_returned),
    ({"board": BoardThatResetsEverything}, BOARD().test_a_reset_ends_every_lease_and_no_time_to_live),
    ({"board": BoardThatForgetsTooMuch}, BOARD().test_only_jobs_that_ended_before_are_forgotten),
    (
        {"catalog": CatalogThatStartsAtAnInstant},
        CATALOG().test_a_walk_sees_every_old_job_once_while_others_come,
    ),
    ({"catalog": CatalogWithWildcards}, CATALOG().test_a_wildcard_finds_nothing_but_itself),
    ({"feed": FeedThatGoesBack}, FEED().test_an_acknowledgement_never_goes_back),
    ({"feed": FeedWithOneConsumer}, FEED().test_every_consumer_has_its_own_pace),
]


def name_of(value: object) -> str:
    """Return what a case is called."""
    if isinstance(value, dict):
        return next(iter(value.values())).__name__
    return value.__name__.removeprefix("test_")


@pytest.mark.parametrize(("broken", "contract_test"), BROKEN_STORES, ids=name_of)
async def test_a_broken_store_is_caught(broken, contract_test) -> None:
    with pytest.raises(Failing):
        await contract_test(stores_with(**broken))


@pytest.mark.parametrize("value", [0, "", [], {}, False])
async def test_a_store_that_takes_falsy_for_nothing_is_caught(value: JSON) -> None:
    with pytest.raises(AssertionError):
        await STORE().test_a_falsy_value_survives_as_params_and_as_result(
            stores_with(StoreThatTakesFalsyForNothing), value
        )


async def test_a_store_that_never_announces_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("encola.testing.contracts.steps.PATIENCE", 0.05)

    with pytest.raises(TimeoutError):
        await STORE().test_every_write_is_announced_in_order(stores_with(StoreThatNeverAnnounces))


OUTPUTS = contracts.JobOutputsContract

BROKEN_OUTPUTS = [
    (OutputsWithoutFence, OUTPUTS().test_a_fenced_attempt_writes_nothing),
    (OutputsWithoutFence, OUTPUTS().test_an_attempt_that_is_yet_to_come_writes_nothing),
    (OutputsThatCountCharacters, OUTPUTS().test_offsets_count_utf8_bytes),
]


@pytest.mark.parametrize(("broken", "contract_test"), BROKEN_OUTPUTS, ids=lambda value: value.__name__)
async def test_broken_outputs_are_caught(broken, contract_test) -> None:
    stores = stores_with(outputs=broken)
    job = a_job().claimed(after(1), LEASE)
    await stores.jobs.add(a_job())
    await stores.jobs.save(job)

    with pytest.raises(Failing):
        await contract_test(stores, job)


async def test_a_notifier_that_loses_in_silence_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("encola.testing.contracts.steps.PATIENCE", 0.05)

    with pytest.raises(Failing):
        await contracts.NotifierContract().test_a_slow_subscriber_is_told_that_it_lost_some(LossyNotifier())


async def test_a_notifier_that_ignores_tenants_is_caught() -> None:
    with pytest.raises(AssertionError):
        await contracts.NotifierContract().test_another_tenant_hears_nothing(NotifierThatIgnoresTenants())


class HistoryThatKeepsTwice(InMemoryJobHistory):
    async def events(self, tenant: TenantId, job_id: JobId) -> Sequence[JobEvent]:
        events = await super().events(tenant, job_id)
        return [*events, *events]


class CacheThatTakesFalsyForNothing(InMemoryCache):
    async def get(self, tenant: TenantId, key: str) -> Cached | None:
        hit = await super().get(tenant, key)
        return hit if hit and hit.value else None


class CacheThatLeasesToAll(InMemoryCache):
    async def lease(self, tenant: TenantId, key: str, *, ttl: timedelta) -> bool:
        return True


class QueueThatKeepsWhatItRefuses(InProcessJobQueue):
    async def publish(self, job: Job) -> None:
        try:
            await super().publish(job)
        except Exception:
            self._jobs.put_nowait(self._jobs.get_nowait())
            self._window += 1
            await super().publish(job)
            raise


async def test_a_history_that_keeps_twice_is_caught() -> None:
    with pytest.raises(AssertionError):
        await contracts.JobHistoryContract().test_an_event_recorded_twice_is_kept_once(
            HistoryThatKeepsTwice()
        )


async def test_a_cache_that_takes_falsy_for_nothing_is_caught() -> None:
    with pytest.raises(AssertionError):
        await contracts.CacheContract().test_every_value_is_a_hit(
            CacheThatTakesFalsyForNothing(ManualClock()), 0
        )


async def test_a_cache_that_leases_to_all_is_caught() -> None:
    with pytest.raises(AssertionError):
        await contracts.CacheContract().test_one_of_many_gets_the_lease(CacheThatLeasesToAll(ManualClock()))


async def test_a_queue_that_keeps_what_it_refuses_is_caught() -> None:
    queue = QueueThatKeepsWhatItRefuses(window=10)

    with pytest.raises(AssertionError):
        await contracts.JobQueueContract().test_a_job_that_is_refused_reaches_nobody(queue, queue)


def opened(**broken: type) -> Callable[[], object]:
    """Return what opens broken stores for a state machine."""

    @asynccontextmanager
    async def stores() -> AsyncIterator[Stores]:
        yield stores_with(**broken)

    return stores


@pytest.mark.parametrize(
    "broken",
    [
        {"jobs": StoreWithoutVersions},
        {"jobs": StoreWithoutFence},
        {"jobs": StoreThatIgnoresTenants},
        {"jobs": StoreThatLosesAnEvent},
        {"jobs": StoreThatReadsThenWrites},
        {"board": BoardThatTakesTwice},
        {"board": BoardThatRenewsAnything},
        {"board": BoardThatResetsEverything},
    ],
    ids=name_of,
)
def test_the_machine_finds_broken_stores(broken: dict[str, type]) -> None:
    quick = settings(
        max_examples=200, deadline=None, derandomize=True, database=None, phases=[Phase.generate]
    )

    with pytest.raises(Failing):
        run_state_machine_as_test(job_machine(opened(**broken)), settings=quick)


async def test_sound_stores_pass_where_broken_ones_fail() -> None:
    for _, contract_test in BROKEN_STORES:
        await contract_test(stores_with())
