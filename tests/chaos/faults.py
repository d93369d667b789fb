"""What can go wrong with processes and with the service that they tell."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from tests.chaos.plan import FaultRange, PlannedFault
from tests.chaos.processes import EncolaProcess
from tests.chaos.stack import Stack
from tests.chaos.troubles import Troubles

Run = Callable[[Stack, PlannedFault, Troubles], Awaitable[None]]
MORE_THAN_DRAIN = 20.0  # what the deployment guide has orchestrators wait


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One kind of fault. ``run`` makes it, waits ``lasts`` seconds, and takes it away again."""

    run: Run
    range: FaultRange


async def _kill(process: EncolaProcess, fault: PlannedFault, troubles: Troubles) -> None:
    async with process.lock:
        with troubles.happening(fault.kind, process):
            process.kill()
            await asyncio.sleep(fault.lasts)
            process.start()


async def _pause(process: EncolaProcess, fault: PlannedFault, troubles: Troubles) -> None:
    async with process.lock:
        with troubles.happening(fault.kind, process):
            process.pause()
            await asyncio.sleep(fault.lasts)
            process.resume()


async def _roll(stack: Stack, processes: Sequence[EncolaProcess], troubles: Troubles) -> None:
    for process in processes:
        async with process.lock:
            with troubles.happening("asked to end", process):
                obeyed = await process.end(stack.timings.drain + MORE_THAN_DRAIN)
            if not obeyed:
                stack.complaints.append(f"{process.name} did not end when it was asked to")
            process.start()


def _one_of(processes: Sequence[EncolaProcess], fault: PlannedFault) -> EncolaProcess:
    return processes[fault.victim % len(processes)]


async def _kill_worker(stack: Stack, fault: PlannedFault, troubles: Troubles) -> None:
    await _kill(_one_of(stack.workers, fault), fault, troubles)


async def _kill_api(stack: Stack, fault: PlannedFault, troubles: Troubles) -> None:
    await _kill(_one_of(stack.apis, fault), fault, troubles)


async def _pause_worker(stack: Stack, fault: PlannedFault, troubles: Troubles) -> None:
    await _pause(_one_of(stack.workers, fault), fault, troubles)


async def _pause_api(stack: Stack, fault: PlannedFault, troubles: Troubles) -> None:
    await _pause(_one_of(stack.apis, fault), fault, troubles)


async def _roll_workers(stack: Stack, fault: PlannedFault, troubles: Troubles) -> None:
    await _roll(stack, stack.workers, troubles)


async def _roll_api(stack: Stack, fault: PlannedFault, troubles: Troubles) -> None:
    await _roll(stack, [_one_of(stack.apis, fault)], troubles)


async def _history_away(stack: Stack, fault: PlannedFault, troubles: Troubles) -> None:
    await stack.history.stop()
    try:
        await asyncio.sleep(fault.lasts)
    finally:
        await stack.history.start()


PROCESS_FAULTS: Mapping[str, Fault] = {
    "kill_worker": Fault(run=_kill_worker, range=FaultRange(weight=3, shortest=0, longest=2)),
    "kill_api": Fault(run=_kill_api, range=FaultRange(weight=2, shortest=0, longest=2)),
    "pause_worker": Fault(run=_pause_worker, range=FaultRange(weight=3, shortest=0.5, longest=8)),
    "pause_api": Fault(run=_pause_api, range=FaultRange(weight=1, shortest=0.5, longest=5)),
    "roll_workers": Fault(run=_roll_workers, range=FaultRange()),
    "roll_api": Fault(run=_roll_api, range=FaultRange()),
    "history_away": Fault(run=_history_away, range=FaultRange(shortest=2, longest=15)),
}


async def inject(
    stack: Stack, kinds: Mapping[str, Fault], planned: Sequence[PlannedFault], troubles: Troubles
) -> None:
    """Let everything that is planned go wrong at its time, and return when it is right again."""
    began = asyncio.get_running_loop().time()

    async def wait_and_run(fault: PlannedFault) -> None:
        await asyncio.sleep(began + fault.at - asyncio.get_running_loop().time())
        await kinds[fault.kind].run(stack, fault, troubles)

    async with asyncio.TaskGroup() as group:
        for fault in planned:
            group.create_task(wait_and_run(fault))
