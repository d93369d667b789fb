"""What every carrier of stop signals promises."""

import asyncio
from dataclasses import replace

import pytest

from encola.application.ports import Lease, StopSignals
from encola.testing.builders import ACME, GLOBEX, an_id
from encola.testing.contracts import steps

LEASE = Lease(tenant_id=ACME, job_id=an_id(1), attempt=1)
LAST = Lease(tenant_id=ACME, job_id=an_id(999_999), attempt=1)


async def receive(stops: StopSignals) -> Lease:
    """Return the next signal, or fail the test when none comes."""
    async with asyncio.timeout(steps.PATIENCE):
        return await stops.receive()


class StopSignalsContract:
    """The promise of :class:`~encola.application.ports.StopSignals`. Subclass it and give ``stops``.

    Signals may be lost, but not while nothing is wrong and somebody keeps up. ``overflow`` is a number
    of signals that are more than are held for a receiver.
    """

    overflow = 11_000

    @pytest.fixture
    def stops(self) -> StopSignals:
        """Return what carries signals to its own process, among others."""
        raise NotImplementedError("return what carries stop signals")

    async def test_what_is_sent_is_received_in_order(self, stops: StopSignals) -> None:
        leases = [replace(LEASE, attempt=attempt) for attempt in range(1, 11)]
        for lease in leases:
            await stops.send(lease)

        assert [await receive(stops) for _ in leases] == leases

    async def test_a_signal_names_the_tenant_the_job_and_the_attempt(self, stops: StopSignals) -> None:
        leases = {LEASE, replace(LEASE, tenant_id=GLOBEX), replace(LEASE, attempt=12), LAST}
        for lease in leases:
            await stops.send(lease)

        assert {await receive(stops) for _ in leases} == leases

    async def test_a_waiting_receiver_is_woken(self, stops: StopSignals) -> None:
        waiting = asyncio.create_task(receive(stops))
        await asyncio.sleep(0)

        await stops.send(LEASE)

        assert await waiting == LEASE

    async def test_giving_up_to_wait_loses_nothing(self, stops: StopSignals) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await stops.receive()

        await stops.send(LEASE)

        assert await receive(stops) == LEASE

    async def test_the_latest_signal_is_heard_when_nobody_kept_up(self, stops: StopSignals) -> None:
        async with asyncio.timeout(60):
            for number in range(self.overflow):
                await stops.send(replace(LEASE, attempt=number))
            await stops.send(LAST)

        received = [await receive(stops)]
        while received[-1] != LAST:
            received.append(await receive(stops))

        assert len(received) <= self.overflow

    async def test_signals_are_received_after_some_were_lost(self, stops: StopSignals) -> None:
        for number in range(self.overflow):
            await stops.send(replace(LEASE, attempt=number))
        await stops.send(LAST)
        while await receive(stops) != LAST:
            pass

        await stops.send(LEASE)

        assert await receive(stops) == LEASE
