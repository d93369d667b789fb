"""What every job store promises."""

import asyncio
import json
from dataclasses import replace
from datetime import timedelta

import pytest

from encola.application.ports import IdempotencyKey
from encola.domain.context import ExecutionContext, JobId
from encola.domain.errors import JobChanged, JobNotFound
from encola.domain.event import announce
from encola.domain.job import Job, JobStatus
from encola.domain.json_value import JSON
from encola.testing.builders import (
    ACME,
    GLOBEX,
    LEASE,
    NOON,
    a_full_job,
    a_job,
    a_life,
    a_long_life,
    after,
    an_id,
)
from encola.testing.contracts.steps import ear, hear, keep, keep_running
from encola.testing.stores import Stores

FALSY: list[JSON] = [0, 0.0, "", [], {}, None, False]


def a_key(text: str = "key", *, hours: float = 24) -> IdempotencyKey:
    """Return a key that expires so many hours after noon."""
    return IdempotencyKey(text=text, expires_at=NOON + timedelta(hours=hours))


def of_globex(job: Job) -> Job:
    """Return the job as another tenant would pretend to own it."""
    return replace(job, context=ExecutionContext(tenant_id=GLOBEX))


class JobStoreContract:
    """The promise of :class:`~encola.application.ports.JobStore`. Subclass it and give ``stores``."""

    @pytest.fixture
    def stores(self) -> Stores:
        """Return empty stores."""
        raise NotImplementedError("return empty stores")

    async def test_an_added_job_is_read_back_as_it_was(self, stores: Stores) -> None:
        job = a_full_job()

        added = await stores.jobs.add(job)

        assert added == job
        assert await stores.jobs.get(ACME, job.id) == job

    @pytest.mark.parametrize("value", FALSY, ids=repr)
    async def test_a_falsy_value_survives_as_params_and_as_result(self, stores: Stores, value: JSON) -> None:
        job = await keep(stores, *a_life(a_job(params=value), result=value))

        stored = await stores.jobs.get(ACME, job.id)
        event = (await stores.jobs.events(ACME, job.id))[-1]
        spelt = json.dumps(value)  # == would take 0 for False
        assert [json.dumps(kept) for kept in (stored.params, stored.result)] == [spelt, spelt]
        assert "result" in event.payload
        assert json.dumps(event.result) == spelt

    async def test_adding_keeps_the_first_event(self, stores: Stores) -> None:
        job = await stores.jobs.add(a_job())

        assert await stores.jobs.events(ACME, job.id) == [announce(job)]

    async def test_the_same_job_twice_is_kept_once(self, stores: Stores) -> None:
        await stores.jobs.add(a_job())

        assert await stores.jobs.add(a_job()) == a_job()
        assert len(await stores.jobs.events(ACME, a_job().id)) == 1

    async def test_adding_a_job_that_went_on_returns_it_as_it_is_now(self, stores: Stores) -> None:
        now = await keep(stores, *a_life(a_job()))

        assert await stores.jobs.add(a_job()) == now
        assert await stores.jobs.get(ACME, now.id) == now

    async def test_an_id_that_another_tenant_uses_stays_that_tenants(self, stores: Stores) -> None:
        ours = await keep_running(stores, a_job())

        theirs = await stores.jobs.add(a_job(tenant=GLOBEX))

        assert theirs == a_job(tenant=GLOBEX)
        assert await stores.jobs.get(ACME, ours.id) == ours

    async def test_a_key_used_again_returns_the_first_job_as_it_is_now(self, stores: Stores) -> None:
        await stores.jobs.add(a_job(1), a_key())
        claimed = a_job(1).claimed(after(1), LEASE)
        await stores.jobs.save(claimed)

        assert await stores.jobs.add(a_job(2, created_at=after(5)), a_key()) == claimed
        with pytest.raises(JobNotFound):
            await stores.jobs.get(ACME, an_id(2))

    async def test_a_replayed_key_leaves_no_work_behind(self, stores: Stores) -> None:
        await stores.jobs.add(a_job(1), a_key())

        await stores.jobs.add(a_job(2), a_key())

        due = await stores.board.take_due(after(9), again_at=after(99), limit=10)
        assert [job.id for job in due] == [an_id(1)]
        assert [entry.event.job_id for entry in await stores.feed.read("x", limit=10)] == [an_id(1)]

    async def test_an_expired_key_names_the_new_job(self, stores: Stores) -> None:
        await stores.jobs.add(a_job(1), a_key(hours=1))
        later = a_job(2, created_at=NOON + timedelta(hours=2))

        assert await stores.jobs.add(later, a_key(hours=3)) == later
        assert (await stores.jobs.add(replace(later, id=an_id(3)), a_key(hours=3))).id == later.id

    async def test_a_key_holds_until_it_expires(self, stores: Stores) -> None:
        await stores.jobs.add(a_job(1), a_key(hours=1))
        later = a_job(2, created_at=NOON + timedelta(minutes=59))

        assert (await stores.jobs.add(later, a_key(hours=2))).id == an_id(1)

    async def test_different_keys_are_different_requests(self, stores: Stores) -> None:
        keys = ["a", "A", "a ", "ä", "a%", "a_", "'; --"]

        kept = [await stores.jobs.add(a_job(number), a_key(text)) for number, text in enumerate(keys)]

        assert [job.id for job in kept] == [an_id(number) for number in range(len(keys))]

    async def test_another_tenants_key_is_another_key(self, stores: Stores) -> None:
        await stores.jobs.add(a_job(1), a_key())

        theirs = await stores.jobs.add(a_job(2, tenant=GLOBEX), a_key())

        assert (theirs.id, theirs.tenant_id) == (an_id(2), GLOBEX)

    async def test_of_twenty_adds_under_one_key_exactly_one_is_kept(self, stores: Stores) -> None:
        jobs = [a_job(number) for number in range(20)]

        kept = await asyncio.gather(*(stores.jobs.add(job, a_key()) for job in jobs))

        assert len({job.id for job in kept}) == 1
        assert sum(group.count for group in await stores.catalog.counts(ACME)) == 1

    @pytest.mark.parametrize("job_id", [an_id(9), "", "nonsense", "' OR 1=1; --", "ñ"])
    async def test_an_unknown_job_is_not_found(self, stores: Stores, job_id: str) -> None:
        await stores.jobs.add(a_job())

        with pytest.raises(JobNotFound):
            await stores.jobs.get(ACME, JobId(job_id))
        with pytest.raises(JobNotFound):
            await stores.jobs.events(ACME, JobId(job_id))

    async def test_an_unknown_job_cannot_be_saved(self, stores: Stores) -> None:
        with pytest.raises(JobNotFound):
            await stores.jobs.save(a_job().claimed(after(1), LEASE))
        with pytest.raises(JobNotFound):
            await stores.jobs.get(ACME, a_job().id)

    async def test_a_job_of_another_tenant_does_not_exist(self, stores: Stores) -> None:
        job = await keep_running(stores, a_job())
        forged = of_globex(job).cancelled(after(2))

        with pytest.raises(JobNotFound):
            await stores.jobs.get(GLOBEX, job.id)
        with pytest.raises(JobNotFound):
            await stores.jobs.events(GLOBEX, job.id)
        with pytest.raises(JobNotFound):
            await stores.jobs.save(forged)
        assert await stores.jobs.get(ACME, job.id) == job

    async def test_a_saved_version_replaces_the_one_before(self, stores: Stores) -> None:
        first, *following = a_life(a_job())
        await stores.jobs.add(first)

        for job in following:
            await stores.jobs.save(job)
            assert await stores.jobs.get(ACME, job.id) == job

    async def test_a_stale_save_writes_nothing(self, stores: Stores) -> None:
        job = await keep_running(stores, a_job())

        with pytest.raises(JobChanged):
            await stores.jobs.save(a_job().cancelled(after(2)))
        assert await stores.jobs.get(ACME, job.id) == job
        assert len(await stores.jobs.events(ACME, job.id)) == 2
        assert len(await stores.feed.read("x", limit=10)) == 2

    async def test_a_save_that_leaves_out_a_version_writes_nothing(self, stores: Stores) -> None:
        job = await keep_running(stores, a_job())
        beyond = replace(job.cancelled(after(2)), seq=job.seq + 2)

        with pytest.raises(JobChanged):
            await stores.jobs.save(beyond)
        assert await stores.jobs.get(ACME, job.id) == job

    async def test_of_fifty_saves_of_one_version_exactly_one_wins(self, stores: Stores) -> None:
        job = await keep_running(stores, a_job())
        # All fifty decided on the same reading; only the writes race.
        following = [job.completed(number, after(2)) for number in range(50)]

        outcomes = await asyncio.gather(*map(stores.jobs.save, following), return_exceptions=True)

        winners = [number for number, outcome in enumerate(outcomes) if outcome is None]
        assert len(winners) == 1
        assert [outcome for outcome in outcomes if not isinstance(outcome, JobChanged)] == [None]
        assert (await stores.jobs.get(ACME, job.id)).result == winners[0]
        assert len(await stores.jobs.events(ACME, job.id)) == 3

    async def test_a_lower_attempt_never_writes(self, stores: Stores) -> None:
        first = a_job().claimed(after(1), LEASE)
        second = first.handed_back(after(2)).claimed(after(3), LEASE)
        await keep(stores, a_job(), first, first.handed_back(after(2)), second)
        late = replace(first.completed("late", after(4)), seq=second.seq + 1)

        with pytest.raises(JobChanged):
            await stores.jobs.save(late)
        assert await stores.jobs.get(ACME, second.id) == second
        assert len(await stores.jobs.events(ACME, second.id)) == second.seq

    async def test_the_store_never_decides_what_a_job_may_become(self, stores: Stores) -> None:
        ended = await keep(stores, *a_life(a_job()))
        revived = replace(ended, status=JobStatus.PROCESSING, seq=ended.seq + 1)

        await stores.jobs.save(revived)

        assert await stores.jobs.get(ACME, ended.id) == revived

    async def test_the_store_shares_no_object_with_its_callers(self, stores: Stores) -> None:
        params: dict[str, JSON] = {"list": [1]}
        added = await stores.jobs.add(a_job(params=params))

        params["list"] = "changed"
        assert isinstance(added.params, dict)
        added.params["list"] = "changed too"

        assert (await stores.jobs.get(ACME, added.id)).params == {"list": [1]}

    async def test_events_have_no_gap_and_the_last_is_the_state(self, stores: Stores) -> None:
        life = a_life(a_job())
        await keep(stores, *life)

        events = await stores.jobs.events(ACME, life[0].id)

        assert events == [announce(job) for job in life]
        assert [event.seq for event in events] == [1, 2, 3, 4]
        assert events[-1] == announce(await stores.jobs.get(ACME, life[0].id))

    async def test_events_begin_after_the_given_one_and_end_at_the_limit(self, stores: Stores) -> None:
        job = await keep(stores, *a_life(a_job()))

        async def seqs(after: int, limit: int) -> list[int]:
            events = await stores.jobs.events(ACME, job.id, after=after, limit=limit)
            return [event.seq for event in events]

        assert await seqs(0, 2) == [1, 2]
        assert await seqs(1, 2) == [2, 3]
        assert await seqs(3, 2) == [4]
        assert await seqs(4, 2) == []
        assert await seqs(99, 2) == []

    async def test_of_a_long_life_the_latest_thousand_events_are_kept(self, stores: Stores) -> None:
        job = await keep(stores, *a_long_life(a_job(), versions=1_050))

        events = await stores.jobs.events(ACME, job.id, limit=2_000)

        assert len(events) >= 1_000
        assert [event.seq for event in events] == list(range(events[0].seq, job.seq + 1))
        assert events[-1] == announce(job)

    async def test_jobs_that_change_at_once_keep_their_own_events(self, stores: Stores) -> None:
        lives = [a_life(a_job(number)) for number in range(8)]

        await asyncio.gather(*(keep(stores, *life) for life in lives))

        for life in lives:
            assert await stores.jobs.events(ACME, life[0].id) == [announce(job) for job in life]

    async def test_every_write_is_announced_in_order(self, stores: Stores) -> None:
        life = a_life(a_job())
        async with ear(stores, life[0]) as announcements:
            await keep(stores, *life)

            assert [await hear(announcements) for _ in life] == [announce(job) for job in life]

    async def test_what_is_announced_is_written(self, stores: Stores) -> None:
        life = a_life(a_job())
        async with ear(stores, life[0]) as announcements:
            writing = asyncio.create_task(keep(stores, *life))
            for job in life:
                await hear(announcements)
                assert (await stores.jobs.get(ACME, job.id)).seq >= job.seq
            await writing

    async def test_what_is_not_written_is_not_announced(self, stores: Stores) -> None:
        job = await keep_running(stores, a_job())
        async with ear(stores, job) as announcements:
            with pytest.raises(JobChanged):
                await stores.jobs.save(a_job().cancelled(after(2)))
            await stores.jobs.add(a_job())
            await stores.jobs.save(job.completed(1, after(3)))

            assert await hear(announcements) == announce(job.completed(1, after(3)))
