"""What every keeper of partial output promises."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from encola.domain.errors import JobChanged, JobNotFound, TooLarge
from encola.domain.job import Job
from encola.domain.output import OutputChunk
from encola.testing.builders import ACME, GLOBEX, LEASE, a_chunk, a_job, a_life, after
from encola.testing.contracts.steps import ear, hear, keep, keep_running
from encola.testing.stores import Stores

MEBIBYTE = 1024 * 1024


async def texts(stores: Stores, job: Job) -> dict[str, str]:
    """Return the text of each output of the job."""
    chunks = await stores.outputs.read(job.tenant_id, job.id)
    assert all(chunk.offset == 0 for chunk in chunks)
    return {chunk.name: chunk.text for chunk in chunks}


async def write(stores: Stores, chunks: Sequence[OutputChunk]) -> None:
    """Append the chunks one after the other."""
    for chunk in chunks:
        await stores.outputs.append(chunk)


class JobOutputsContract:
    """The promise of :class:`~encola.application.ports.JobOutputs`. Subclass it and give ``stores``.

    Each output holds 1 MiB at most.
    """

    @pytest.fixture
    def stores(self) -> Stores:
        """Return empty stores."""
        raise NotImplementedError("return empty stores")

    @pytest.fixture
    async def job(self, stores: Stores) -> Job:
        """Return a job that runs under its first attempt."""
        return await keep_running(stores, a_job())

    async def test_pieces_are_read_as_one(self, stores: Stores, job: Job) -> None:
        await write(stores, [a_chunk(job, "to be"), a_chunk(job, " or not", offset=5)])

        assert list(await stores.outputs.read(ACME, job.id)) == [a_chunk(job, "to be or not")]

    async def test_each_name_is_an_output_of_its_own(self, stores: Stores, job: Job) -> None:
        await write(stores, [a_chunk(job, "a", name="x"), a_chunk(job, "b", name="y")])

        assert await texts(stores, job) == {"x": "a", "y": "b"}

    async def test_offsets_count_utf8_bytes(self, stores: Stores, job: Job) -> None:
        await stores.outputs.append(a_chunk(job, "añ✓😀"))

        with pytest.raises(JobChanged):
            await stores.outputs.append(a_chunk(job, "wrong", offset=4))
        await stores.outputs.append(a_chunk(job, "!", offset=10))

        assert await texts(stores, job) == {"answer": "añ✓😀!"}

    @pytest.mark.parametrize("offset", [0, 3, 6, 99])
    async def test_a_piece_that_does_not_begin_at_the_end_writes_nothing(
        self, stores: Stores, job: Job, offset: int
    ) -> None:
        await stores.outputs.append(a_chunk(job, "12345"))

        with pytest.raises(JobChanged):
            await stores.outputs.append(a_chunk(job, "x", offset=offset))
        assert await texts(stores, job) == {"answer": "12345"}

    async def test_a_first_piece_begins_at_zero(self, stores: Stores, job: Job) -> None:
        with pytest.raises(JobChanged):
            await stores.outputs.append(a_chunk(job, "x", offset=1))
        assert await texts(stores, job) == {}

    async def test_of_twenty_pieces_for_one_place_exactly_one_is_kept(self, stores: Stores, job: Job) -> None:
        pieces = [a_chunk(job, f"piece {number}") for number in range(20)]

        outcomes = await asyncio.gather(*map(stores.outputs.append, pieces), return_exceptions=True)

        assert outcomes.count(None) == 1
        assert await texts(stores, job) == {"answer": pieces[outcomes.index(None)].text}

    async def test_a_new_attempt_drops_what_earlier_ones_wrote(self, stores: Stores, job: Job) -> None:
        await write(stores, [a_chunk(job, "old"), a_chunk(job, "older", name="notes")])
        second = await self._second_attempt(stores, job)

        await stores.outputs.append(a_chunk(second, "new"))

        assert list(await stores.outputs.read(ACME, job.id)) == [a_chunk(second, "new")]

    async def test_a_refused_first_piece_drops_nothing(self, stores: Stores, job: Job) -> None:
        await stores.outputs.append(a_chunk(job, "old"))
        second = await self._second_attempt(stores, job)

        with pytest.raises(JobChanged):
            await stores.outputs.append(a_chunk(second, "new", offset=3))
        assert await texts(stores, job) == {"answer": "old"}

    async def test_a_fenced_attempt_writes_nothing(self, stores: Stores, job: Job) -> None:
        await stores.outputs.append(a_chunk(job, "old"))
        second = await self._second_attempt(stores, job)

        with pytest.raises(JobChanged):
            await stores.outputs.append(a_chunk(job, " late", offset=3))
        await stores.outputs.append(a_chunk(second, "new"))
        with pytest.raises(JobChanged):
            await stores.outputs.append(a_chunk(job, " late", offset=3))
        assert await texts(stores, job) == {"answer": "new"}

    async def test_an_attempt_that_is_yet_to_come_writes_nothing(self, stores: Stores, job: Job) -> None:
        with pytest.raises(JobChanged):
            await stores.outputs.append(replace(a_chunk(job, "x"), attempt=job.attempt + 1))
        assert await texts(stores, job) == {}

    async def test_a_job_that_does_not_run_takes_no_output(self, stores: Stores, job: Job) -> None:
        waiting = await keep(stores, a_job(2))
        ended = await keep(stores, *a_life(a_job(3)))
        await stores.jobs.save(job.handed_back(after(2)))

        for idle in (waiting, ended, job):
            with pytest.raises(JobChanged):
                await stores.outputs.append(a_chunk(idle, "x"))
            assert await texts(stores, idle) == {}

    async def test_the_output_of_a_job_that_ended_stays(self, stores: Stores, job: Job) -> None:
        await stores.outputs.append(a_chunk(job, "text"))

        await stores.jobs.save(job.completed(1, after(2)))

        assert await texts(stores, job) == {"answer": "text"}

    async def test_an_unknown_job_takes_no_output(self, stores: Stores) -> None:
        with pytest.raises(JobNotFound):
            await stores.outputs.append(a_chunk(a_job(9), "x"))
        assert list(await stores.outputs.read(ACME, a_job(9).id)) == []

    async def test_another_tenant_neither_writes_nor_reads(self, stores: Stores, job: Job) -> None:
        await stores.outputs.append(a_chunk(job, "ours"))

        with pytest.raises(JobNotFound):
            await stores.outputs.append(replace(a_chunk(job, "x", offset=4), tenant_id=GLOBEX))
        assert list(await stores.outputs.read(GLOBEX, job.id)) == []
        assert await texts(stores, job) == {"answer": "ours"}

    async def test_an_output_holds_one_mebibyte_and_no_more(self, stores: Stores, job: Job) -> None:
        half = "ñ" * (MEBIBYTE // 4)
        await write(stores, [a_chunk(job, half), a_chunk(job, half, offset=MEBIBYTE // 2)])

        with pytest.raises(TooLarge):
            await stores.outputs.append(a_chunk(job, "x", offset=MEBIBYTE))
        assert await texts(stores, job) == {"answer": half + half}
        await stores.outputs.append(a_chunk(job, "x", name="notes"))

    async def test_each_piece_is_announced_as_it_is_kept(self, stores: Stores, job: Job) -> None:
        pieces = [a_chunk(job, "one "), a_chunk(job, "two", offset=4), a_chunk(job, "n", name="notes")]
        async with ear(stores, job) as announcements:
            await write(stores, pieces)

            assert [await hear(announcements) for _ in pieces] == pieces

    async def test_a_refused_piece_is_not_announced(self, stores: Stores, job: Job) -> None:
        async with ear(stores, job) as announcements:
            with pytest.raises(JobChanged):
                await stores.outputs.append(a_chunk(job, "x", offset=7))
            await stores.outputs.append(a_chunk(job, "kept"))

            assert await hear(announcements) == a_chunk(job, "kept")

    async def _second_attempt(self, stores: Stores, job: Job) -> Job:
        waiting = job.handed_back(after(2))
        second = waiting.claimed(after(3), LEASE)
        await stores.jobs.save(waiting)
        await stores.jobs.save(second)
        return second
