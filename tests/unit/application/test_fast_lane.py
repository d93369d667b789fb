"""New jobs pass by the board while nobody waits there, and never otherwise."""

from datetime import timedelta

import pytest
from house import House

from encola.application.job_context import JobContext
from encola.domain.json_value import JSON

SECOND = timedelta(seconds=1)


@pytest.fixture
def house(house: House) -> House:
    async def work(ctx: JobContext, params: JSON) -> None:
        return None

    house.handle(work)
    return house


async def a_clear_lane(house: House) -> None:
    """Let the dispatcher find the board empty."""
    assert await house.dispatch_jobs() == 0
    assert house.fast_lane.is_clear


async def test_a_new_job_goes_straight_to_the_queue(house: House) -> None:
    await a_clear_lane(house)

    job = (await house.ask({"a": 1})).job

    assert (await house.queue.receive()).id == job.id
    assert await house.dispatch_jobs() == 0


async def test_a_job_whose_message_is_lost_is_given_again_after_patience(house: House) -> None:
    await a_clear_lane(house)
    job = (await house.ask({"a": 1})).job
    await house.queue.receive()

    await house.clock.advance(house.fast_lane.patience - SECOND)
    assert await house.dispatch_jobs() == 0
    await house.clock.advance(SECOND)
    assert await house.dispatch_jobs() == 1
    assert (await house.queue.receive()).id == job.id


async def test_when_the_queue_is_full_new_jobs_wait_on_the_board_and_behind_each_other(house: House) -> None:
    await a_clear_lane(house)
    room = house.queue.capacity()
    accepted = [(await house.ask({"number": number})).job.id for number in range(room + 3)]
    assert not house.fast_lane.is_clear

    received = [(await house.queue.receive()).id for _ in range(room)]
    late = (await house.ask({"number": "late"})).job.id
    assert house.queue.capacity() == room
    while await house.dispatch_jobs():
        received += [(await house.queue.receive()).id for _ in range(room - house.queue.capacity())]

    assert received == [*accepted, late]


async def test_every_promised_place_is_given_back(house: House) -> None:
    await a_clear_lane(house)

    first = await house.ask({"a": 1}, idempotency_key="k")
    again = await house.ask({"a": 1}, idempotency_key="k")

    assert again.replayed
    assert again.job.id == first.job.id
    assert house.fast_lane.promised == 0
    assert house.fast_lane.room == house.queue.capacity()
