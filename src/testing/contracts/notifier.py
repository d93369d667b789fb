"""What every notifier promises."""

import asyncio

import pytest

from encola.application.ports import Announcement, Notifier, Subscription
from encola.domain.event import JobEvent
from encola.testing.builders import ACME, GLOBEX, a_chunk, a_job, an_event
from encola.testing.contracts.steps import hear

FIRST = an_event(seq=1)
LAST = an_event(seq=999_999)


async def publish(notifier: Notifier, *announcements: Announcement) -> None:
    """Publish the announcements one after the other."""
    for announcement in announcements:
        await notifier.publish(announcement)


async def hear_until_last(subscription: Subscription) -> list[Announcement | None]:
    """Return everything up to the last event."""
    heard: list[Announcement | None] = []
    while not heard or heard[-1] != LAST:
        heard.append(await hear(subscription))
    return heard


class NotifierContract:
    """The promise of :class:`~encola.application.ports.Notifier`. Subclass it and give ``notifier``.

    ``overflow`` is a number of announcements that no subscription's buffer can hold.
    """

    overflow = 2_000

    @pytest.fixture
    def notifier(self) -> Notifier:
        """Return a notifier without subscribers."""
        raise NotImplementedError("return a notifier")

    async def test_what_is_published_after_subscribing_is_heard_in_order(self, notifier: Notifier) -> None:
        announcements: list[Announcement] = [an_event(seq=1), a_chunk(a_job(), "ñ text"), an_event(seq=2)]
        async with notifier.subscribe(ACME, FIRST.job_id) as subscription:
            await publish(notifier, *announcements)

            assert [await hear(subscription) for _ in announcements] == announcements

    async def test_what_was_published_before_subscribing_is_not_heard(self, notifier: Notifier) -> None:
        await publish(notifier, FIRST)
        async with notifier.subscribe(ACME, FIRST.job_id) as subscription:
            await publish(notifier, LAST)

            assert await hear(subscription) == LAST

    async def test_every_subscriber_of_a_job_hears_everything(self, notifier: Notifier) -> None:
        async with (
            notifier.subscribe(ACME, FIRST.job_id) as one,
            notifier.subscribe(ACME, FIRST.job_id) as other,
        ):
            await publish(notifier, FIRST, LAST)

            for subscription in (one, other):
                assert [await hear(subscription) for _ in range(2)] == [FIRST, LAST]

    async def test_a_waiting_subscriber_is_woken(self, notifier: Notifier) -> None:
        async with notifier.subscribe(ACME, FIRST.job_id) as subscription:
            waiting = asyncio.create_task(hear(subscription))
            await asyncio.sleep(0)

            await publish(notifier, FIRST)

            assert await waiting == FIRST

    async def test_other_jobs_are_not_heard(self, notifier: Notifier) -> None:
        async with notifier.subscribe(ACME, FIRST.job_id) as subscription:
            await publish(notifier, an_event(2), LAST)

            assert await hear(subscription) == LAST

    async def test_another_tenant_hears_nothing(self, notifier: Notifier) -> None:
        async with notifier.subscribe(GLOBEX, FIRST.job_id) as subscription:
            await publish(notifier, FIRST, a_chunk(a_job(), "secret"))
            theirs = an_event(tenant=GLOBEX)
            await publish(notifier, theirs)

            assert await hear(subscription) == theirs

    async def test_publishing_without_subscribers_does_nothing(self, notifier: Notifier) -> None:
        await publish(notifier, *(an_event(number) for number in range(100)))

    async def test_a_slow_subscriber_is_told_that_it_lost_some(self, notifier: Notifier) -> None:
        async with notifier.subscribe(ACME, FIRST.job_id) as slow:
            await publish(notifier, *self._too_many(), LAST)

            heard = await hear_until_last(slow)

        assert None in heard
        assert len(heard) < self.overflow
        self._assert_gaps_are_told(heard)

    async def test_after_a_loss_a_subscriber_hears_what_follows(self, notifier: Notifier) -> None:
        async with notifier.subscribe(ACME, FIRST.job_id) as slow:
            await publish(notifier, *self._too_many(), LAST)
            await hear_until_last(slow)

            await publish(notifier, FIRST)

            assert await hear(slow) == FIRST

    async def test_a_slow_subscriber_costs_the_others_nothing(self, notifier: Notifier) -> None:
        async with (
            notifier.subscribe(ACME, FIRST.job_id),
            notifier.subscribe(ACME, FIRST.job_id) as quick,
        ):
            for event in self._too_many():
                await notifier.publish(event)
                assert await hear(quick) == event

    async def test_publishing_never_waits_for_a_subscriber(self, notifier: Notifier) -> None:
        async with notifier.subscribe(ACME, FIRST.job_id), asyncio.timeout(30):
            await publish(notifier, *self._too_many())

    async def test_giving_up_to_wait_loses_nothing(self, notifier: Notifier) -> None:
        async with notifier.subscribe(ACME, FIRST.job_id) as subscription:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await subscription.receive()

            await publish(notifier, FIRST)

            assert await hear(subscription) == FIRST

    async def test_one_that_leaves_takes_nothing_from_those_who_stay(self, notifier: Notifier) -> None:
        async with notifier.subscribe(ACME, FIRST.job_id) as stays:
            async with notifier.subscribe(ACME, FIRST.job_id):
                pass
            await publish(notifier, FIRST)

            assert await hear(stays) == FIRST

    def _too_many(self) -> list[JobEvent]:
        return [an_event(seq=seq) for seq in range(1, self.overflow + 1)]

    def _assert_gaps_are_told(self, heard: list[Announcement | None]) -> None:
        expected = 1
        for announcement in heard[:-1]:
            if announcement is None:
                expected = 0
            elif isinstance(announcement, JobEvent):
                assert expected in (0, announcement.seq)
                expected = announcement.seq + 1
