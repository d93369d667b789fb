"""Listing and counting."""

import base64
import json
from typing import Any

import pytest
from house import House

from encola.application.job_context import JobContext
from encola.application.ports import JobFilter
from encola.domain.context import TenantId
from encola.domain.errors import InvalidCursor, JobNotFound
from encola.domain.job import Job, JobStatus
from encola.domain.json_value import JSON
from encola.testing.builders import ACME, GLOBEX

ALL = JobFilter()


async def work(ctx: JobContext, params: JSON) -> JSON:
    return params


def spelt(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


@pytest.fixture
async def jobs(house: House) -> list[Job]:
    house.handle(work)
    mine = [await house.submit(n, tags=("even",) if n % 2 == 0 else ()) for n in range(7)]
    await house.submit("theirs", tenant=GLOBEX)
    return mine


async def walk(house: House, tenant: TenantId, job_filter: JobFilter, limit: int) -> list[list[str]]:
    pages = [await house.list_jobs(tenant, job_filter, limit=limit)]
    while pages[-1].next_cursor is not None:
        pages.append(await house.list_jobs(tenant, job_filter, cursor=pages[-1].next_cursor, limit=limit))
    return [[job.id for job in page.jobs] for page in pages]


@pytest.mark.parametrize("limit", [1, 2, 3, 6, 7, 8])
async def test_a_walk_over_pages_sees_each_job_once_newest_first(
    house: House, jobs: list[Job], limit: int
) -> None:
    pages = await walk(house, ACME, ALL, limit)

    assert [job_id for page in pages for job_id in page] == [job.id for job in reversed(jobs)]
    assert all(len(page) == limit for page in pages[:-1])
    assert pages[-1]


async def test_a_page_has_at_most_a_hundred_jobs(house: House) -> None:
    house.handle(work)
    for n in range(101):
        await house.submit(n)

    page = await house.list_jobs(ACME, ALL, limit=1_000_000)

    assert len(page.jobs) == 100
    assert page.next_cursor is not None


async def test_no_jobs_are_one_empty_page(house: House) -> None:
    page = await house.list_jobs(ACME, ALL)

    assert (list(page.jobs), page.next_cursor) == ([], None)


async def test_jobs_that_come_during_a_walk_do_not_disturb_it(house: House, jobs: list[Job]) -> None:
    first = await house.list_jobs(ACME, ALL, limit=3)
    await house.submit("new")
    second = await house.list_jobs(ACME, ALL, cursor=first.next_cursor, limit=10)

    assert [job.id for job in [*first.jobs, *second.jobs]] == [job.id for job in reversed(jobs)]


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "?",
        "ñ",
        "AAAA",
        "a" * 401,
        spelt([]),
        spelt(1),
        spelt({"a": 1}),
        spelt([1, "x"]),
        spelt(["1", "x", "y"]),
        spelt([None, "x", "y"]),
        spelt([10**30, "x", "y"]),
        spelt([1e308, "x", "y"]),
        spelt([float("nan"), "x", "y"]),
        base64.urlsafe_b64encode(b"[" * 20_000).decode(),
    ],
)
async def test_a_cursor_that_we_did_not_give_is_refused(house: House, jobs: list[Job], cursor: str) -> None:
    with pytest.raises(InvalidCursor):
        await house.list_jobs(ACME, ALL, cursor=cursor)


async def test_a_cursor_of_another_question_is_refused(house: House, jobs: list[Job]) -> None:
    cursor = (await house.list_jobs(ACME, ALL, limit=2)).next_cursor
    others = [
        JobFilter(tags=("even",)),
        JobFilter(statuses=(JobStatus.QUEUED,)),
        JobFilter(types=("work",)),
        JobFilter(text="a"),
        JobFilter(created_after=jobs[0].created_at),
        JobFilter(created_before=jobs[0].created_at),
    ]

    for other in others:
        with pytest.raises(InvalidCursor, match="other filters"):
            await house.list_jobs(ACME, other, cursor=cursor)


async def test_a_cursor_of_another_tenant_is_refused(house: House, jobs: list[Job]) -> None:
    cursor = (await house.list_jobs(ACME, ALL, limit=2)).next_cursor

    with pytest.raises(InvalidCursor):
        await house.list_jobs(GLOBEX, ALL, cursor=cursor)


async def test_a_filter_holds_on_every_page(house: House, jobs: list[Job]) -> None:
    pages = await walk(house, ACME, JobFilter(tags=("even",), statuses=(JobStatus.QUEUED,)), 2)

    assert [len(page) for page in pages] == [2, 2]


async def test_counts_are_one_tenants_own(house: House, jobs: list[Job]) -> None:
    await house.cancel_job(ACME, jobs[0].id)

    assert {(count.status, count.count) for count in await house.count_jobs(ACME)} == {
        ("queued", 6),
        ("cancelled", 1),
    }
    assert [count.count for count in await house.count_jobs(GLOBEX)] == [1]


async def test_a_foreign_job_looks_like_one_that_does_not_exist(house: House, jobs: list[Job]) -> None:
    unknown = jobs[0].id[:-4] + "0000"

    assert await house.get_job(ACME, jobs[0].id) == jobs[0]
    refusals = []
    for tenant, job_id in [(GLOBEX, jobs[0].id), (ACME, unknown), (ACME, "../etc"), (ACME, "")]:
        with pytest.raises(JobNotFound) as refused:
            await house.get_job(tenant, job_id)
        refusals.append((type(refused.value), str(refused.value)))
    assert len(set(refusals)) == 1
