"""The contract of stop signals is worth what it catches."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from encola.adapters.memory import InProcessStopSignals
from encola.adapters.memory.stop_signals import KEPT
from encola.application.ports import Lease
from encola.testing.builders import ACME
from encola.testing.contracts import StopSignalsContract

CONTRACT = StopSignalsContract()


class StopsThatForgetTheAttempt(InProcessStopSignals):
    async def send(self, lease: Lease) -> None:
        await super().send(replace(lease, attempt=1))


class StopsThatIgnoreTenants(InProcessStopSignals):
    async def send(self, lease: Lease) -> None:
        await super().send(replace(lease, tenant_id=ACME))


class StopsThatTakeTheLatestFirst(InProcessStopSignals):
    async def receive(self) -> Lease:
        self._signals.rotate(1)
        return await super().receive()


class StopsThatNeverWake(InProcessStopSignals):
    async def send(self, lease: Lease) -> None:
        self._signals.append(lease)


class StopsThatLoseTheLatest(InProcessStopSignals):
    async def send(self, lease: Lease) -> None:
        if len(self._signals) < KEPT:
            await super().send(lease)


class StopsThatHoldEverything(InProcessStopSignals):
    def __init__(self) -> None:
        super().__init__()
        self._signals = type(self._signals)()


@pytest.mark.parametrize(
    ("broken", "contract_test"),
    [
        (StopsThatForgetTheAttempt, CONTRACT.test_what_is_sent_is_received_in_order),
        (StopsThatForgetTheAttempt, CONTRACT.test_a_signal_names_the_tenant_the_job_and_the_attempt),
        (StopsThatIgnoreTenants, CONTRACT.test_a_signal_names_the_tenant_the_job_and_the_attempt),
        (StopsThatTakeTheLatestFirst, CONTRACT.test_what_is_sent_is_received_in_order),
        (StopsThatNeverWake, CONTRACT.test_a_waiting_receiver_is_woken),
        (StopsThatLoseTheLatest, CONTRACT.test_the_latest_signal_is_heard_when_nobody_kept_up),
        (StopsThatHoldEverything, CONTRACT.test_the_latest_signal_is_heard_when_nobody_kept_up),
    ],
    ids=lambda value: value.__name__,
)
async def test_broken_stop_signals_are_caught(
    broken: type[InProcessStopSignals], contract_test: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("encola.testing.contracts.steps.PATIENCE", 0.05)

    with pytest.raises((AssertionError, TimeoutError)):
        await contract_test(broken())  # type: ignore[misc]
