"""What every job catalog promises."""

from dataclasses import replace
from typing import Any

import pytest

from encola.application.ports import JobCount, JobFilter, PageStart
from encola.domain.context import JobId, TenantId
from encola.domain.job import Job, JobError, JobStatus
from encola.domain.json_value import JSON
from encola.testing.builders import ACME, GLOBEX, LEASE, a_job, a_life, after, an_id
from encola.testing.contracts.steps import keep, keep_running
from encola.testing.stores import Stores

ALL = JobFilter()


def a_job_at(second: float, number: int, **fields: Any) -> Job:
    """Return a job that was created so many seconds after noon."""
    return a_job(number, created_at=after(second), updated_at=after(second), **fields)


def start_after(job: Job) -> PageStart:
    """Return the place that follows the job."""
    return PageStart(created_at=job.created_at, job_id=job.id)


async def listed(stores: Stores, job_filter: JobFilter = ALL, tenant: TenantId = ACME) -> list[JobId]:
    """Return the ids of a tenant's jobs that fit."""
    jobs = await stores.catalog.list(tenant, job_filter, start=None, limit=100)
    return [job.id for job in jobs]


class JobCatalogContract:
    """The promise of :class:`~encola.application.ports.JobCatalog`. Subclass it and give ``stores``."""

    @pytest.fixture
    def stores(self) -> Stores:
        """Return empty stores."""
        raise NotImplementedError("return empty stores")

    async def test_jobs_are_listed_as_they_are_now(self, stores: Stores) -> None:
        job = await keep(stores, *a_life(a_job(params={"a": 0})))

        assert list(await stores.catalog.list(ACME, ALL, start=None, limit=10)) == [job]

    async def test_the_newest_come_first_and_of_one_instant_the_highest_id(self, stores: Stores) -> None:
        for second, number in [(1, 5), (3, 1), (2, 4), (2, 9)]:
            await stores.jobs.add(a_job_at(second, number))

        assert await listed(stores) == [an_id(1), an_id(9), an_id(4), an_id(5)]

    async def test_a_page_holds_the_limit_and_follows_its_start(self, stores: Stores) -> None:
        jobs = [await stores.jobs.add(a_job_at(number // 2, number)) for number in range(6)]

        page = await stores.catalog.list(ACME, ALL, start=start_after(jobs[4]), limit=2)

        assert [job.id for job in page] == [an_id(3), an_id(2)]

    async def test_a_start_need_not_be_there_any_more(self, stores: Stores) -> None:
        await stores.jobs.add(a_job_at(1, 1))

        page = await stores.catalog.list(ACME, ALL, start=start_after(a_job_at(2, 0)), limit=2)

        assert [job.id for job in page] == [an_id(1)]

    async def test_a_walk_sees_every_old_job_once_while_others_come(self, stores: Stores) -> None:
        old = [(await stores.jobs.add(a_job_at(number // 3, number))).id for number in range(20)]
        seen: list[JobId] = []
        start = None

        while page := await stores.catalog.list(ACME, ALL, start=start, limit=3):
            seen += [job.id for job in page]
            start = start_after(page[-1])
            await stores.jobs.add(a_job_at(100 + len(seen), 100 + len(seen)))

        assert seen == sorted(old, reverse=True)

    async def test_a_status_filter_names_any_of_several(self, stores: Stores) -> None:
        await stores.jobs.add(a_job(1))
        await keep_running(stores, a_job(2))
        await keep(stores, *a_life(a_job(3)))
        wanted = JobFilter(statuses=(JobStatus.QUEUED, JobStatus.COMPLETED))

        assert await listed(stores, wanted) == [an_id(3), an_id(1)]

    async def test_a_type_filter_names_any_of_several(self, stores: Stores) -> None:
        for number, job_type in enumerate(["a", "b", "c", "A"]):
            await stores.jobs.add(a_job(number, type=job_type))

        assert await listed(stores, JobFilter(types=("a", "c"))) == [an_id(2), an_id(0)]

    async def test_all_tags_of_a_filter_must_be_there(self, stores: Stores) -> None:
        for number, tags in enumerate([("x",), ("y", "x"), ("xy",), (), ("y", "z")]):
            await stores.jobs.add(a_job(number, tags=tags))

        assert await listed(stores, JobFilter(tags=("x",))) == [an_id(1), an_id(0)]
        assert await listed(stores, JobFilter(tags=("x", "y"))) == [an_id(1)]
        assert await listed(stores, JobFilter(tags=("",))) == []

    @pytest.mark.parametrize("tag", ["%", "_", "a,b", '"', "'", "\\", "[", "ñ", 'x","y'])
    async def test_a_tag_is_meant_as_it_is_spelt(self, stores: Stores, tag: str) -> None:
        await stores.jobs.add(a_job(1, tags=("plain", tag)))
        await stores.jobs.add(a_job(2, tags=("x", "y", "a", "b")))

        assert await listed(stores, JobFilter(tags=(tag,))) == [an_id(1)]

    async def test_bounds_of_time_include_below_and_exclude_above(self, stores: Stores) -> None:
        for number in range(5):
            await stores.jobs.add(a_job_at(number, number))
        between = JobFilter(created_after=after(1), created_before=after(3))

        assert await listed(stores, between) == [an_id(2), an_id(1)]
        assert await listed(stores, JobFilter(created_after=after(3.000001))) == [an_id(4)]
        assert await listed(stores, JobFilter(created_before=after(0))) == []

    async def test_all_that_a_filter_sets_must_hold(self, stores: Stores) -> None:
        fitting: dict[str, Any] = {"type": "a", "tags": ("x",), "params": "needle"}
        await stores.jobs.add(a_job(1, **fitting))
        others: list[dict[str, Any]] = [{"type": "b"}, {"tags": ()}, {"params": "hay"}]
        for number, other in enumerate(others, start=2):
            await stores.jobs.add(a_job(number, **(fitting | other)))
        wanted = JobFilter(statuses=(JobStatus.QUEUED,), types=("a",), tags=("x",), text="needle")

        assert await listed(stores, wanted) == [an_id(1)]

    async def test_a_filter_holds_on_every_page(self, stores: Stores) -> None:
        jobs = [await stores.jobs.add(a_job_at(n, n, type="ab"[n % 2])) for n in range(8)]

        page = await stores.catalog.list(ACME, JobFilter(types=("a",)), start=start_after(jobs[6]), limit=2)

        assert [job.id for job in page] == [an_id(4), an_id(2)]

    @pytest.mark.parametrize(
        "fields",
        [
            {"type": "the-needle-job"},
            {"params": "needle"},
            {"params": {"deep": [1, {"er": "a needle, here"}]}},
            {"tags": ("a", "needle")},
            {"error": JobError(code="flaw", message="It met a needle.")},
        ],
        ids=["type", "params", "deep params", "tags", "error"],
    )
    async def test_text_is_found_where_people_look(self, stores: Stores, fields: dict[str, Any]) -> None:
        await stores.jobs.add(a_job(1, **fields))
        await stores.jobs.add(a_job(2, params="hay", tags=("stack",)))

        assert await listed(stores, JobFilter(text="needle")) == [an_id(1)]

    async def test_text_is_found_in_the_id(self, stores: Stores) -> None:
        await stores.jobs.add(a_job(0xABC))
        await stores.jobs.add(a_job(0xDEF))

        assert await listed(stores, JobFilter(text=an_id(0xABC))) == [an_id(0xABC)]
        assert await listed(stores, JobFilter(text="000DEF")) == [an_id(0xDEF)]

    async def test_text_of_an_error_is_found_once_the_job_has_failed(self, stores: Stores) -> None:
        job = await keep_running(stores, a_job(1))
        wanted = JobFilter(text="haystack burnt")
        assert await listed(stores, wanted) == []

        await stores.jobs.save(job.failed(JobError(code="x", message="The haystack burnt."), after(2), 0))

        assert await listed(stores, wanted) == [an_id(1)]

    async def test_the_case_of_ascii_letters_does_not_matter(self, stores: Stores) -> None:
        await stores.jobs.add(a_job(1, params="A Needle"))

        assert await listed(stores, JobFilter(text="nEEDLE")) == [an_id(1)]

    @pytest.mark.parametrize(
        "text", ["%", "_", "100%", "a_b", "'", '"', 'say "hi"', "\\", "\\n", "*", "?", "[", "ñandú ✓", "; --"]
    )
    async def test_every_character_of_a_text_means_itself(self, stores: Stores, text: str) -> None:
        params: JSON = {"text": f"before {text} after"}
        await stores.jobs.add(a_job(1, params=params))
        await stores.jobs.add(a_job(2, params="axb 1000 say hi n nandu"))

        assert an_id(1) in await listed(stores, JobFilter(text=text))
        assert await listed(stores, JobFilter(text=f"before {text} after")) == [an_id(1)]

    async def test_a_wildcard_finds_nothing_but_itself(self, stores: Stores) -> None:
        await stores.jobs.add(a_job(1, params="a1b"))

        for text in ("a%b", "a_b", "a?b", "a*b", "a.b"):
            assert await listed(stores, JobFilter(text=text)) == []

    async def test_counts_are_by_status_type_and_queue(self, stores: Stores) -> None:
        await stores.jobs.add(a_job(1))
        await stores.jobs.add(a_job(2))
        await stores.jobs.add(a_job(3, queue="query_tasks"))
        await stores.jobs.add(a_job(4, type="other"))
        await keep_running(stores, a_job(5))

        counts = await stores.catalog.counts(ACME)

        usual = JobCount(status=JobStatus.QUEUED, type="report", queue="agent_tasks", count=1)
        expected = {
            replace(usual, count=2),
            replace(usual, queue="query_tasks"),
            replace(usual, type="other"),
            replace(usual, status=JobStatus.PROCESSING),
        }
        assert len(counts) == len(expected)
        assert set(counts) == expected

    async def test_groups_of_none_are_left_out_of_counts(self, stores: Stores) -> None:
        assert list(await stores.catalog.counts(ACME)) == []
        await stores.jobs.add(a_job())
        await stores.jobs.save(a_job().claimed(after(1), LEASE))

        assert [group.status for group in await stores.catalog.counts(ACME)] == [JobStatus.PROCESSING]

    async def test_a_tenant_sees_only_its_own(self, stores: Stores) -> None:
        await stores.jobs.add(a_job(1, params="needle"))

        assert await listed(stores, tenant=GLOBEX) == []
        assert await listed(stores, JobFilter(text="needle"), GLOBEX) == []
        assert list(await stores.catalog.counts(GLOBEX)) == []

    async def test_the_owner_of_a_job_can_be_asked_for(self, stores: Stores) -> None:
        await stores.jobs.add(a_job(1))
        await stores.jobs.add(a_job(2, tenant=GLOBEX))

        owners = [await stores.catalog.owner_of(an_id(number)) for number in (1, 2, 3)]

        assert owners == [ACME, GLOBEX, None]
        assert await stores.catalog.owner_of(JobId("nonsense")) is None
