import asyncio
from collections import Counter

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from encola.adapters.http.bulkhead import Bulkhead
from encola.domain.context import TenantId

ACME, GLOBEX, INITECH = TenantId("acme"), TenantId("globex"), TenantId("initech")
PLACES = 4


def filled(tenant: TenantId = ACME, places: int = PLACES) -> Bulkhead:
    bulkhead = Bulkhead(places)
    assert all(bulkhead.take(tenant) for _ in range(places))
    return bulkhead


async def queued(bulkhead: Bulkhead, *tenants: TenantId) -> "list[asyncio.Task[bool]]":
    tasks = [asyncio.create_task(bulkhead.wait(tenant)) for tenant in tenants]
    await asyncio.sleep(0)
    return tasks


def test_a_tenant_that_is_alone_gets_all_places_and_no_more() -> None:
    bulkhead = filled()

    assert not bulkhead.take(ACME)
    assert not bulkhead.take(GLOBEX)
    assert bulkhead.in_use == PLACES


async def test_places_that_come_back_go_to_whoever_has_the_fewest() -> None:
    bulkhead = filled(ACME)
    waiting = await queued(bulkhead, ACME, ACME, GLOBEX, GLOBEX)
    for _ in range(PLACES // 2):
        bulkhead.leave(ACME)
        await asyncio.sleep(0)

    assert [task.done() for task in waiting] == [False, False, True, True]
    bulkhead.leave(GLOBEX)
    await asyncio.sleep(0)
    assert waiting[0].done()
    for _ in range(4):
        bulkhead.leave(GLOBEX if bulkhead.in_use == 1 else ACME)
    await asyncio.gather(*waiting)


async def test_nobody_overtakes_those_who_wait() -> None:
    bulkhead = filled()
    waiting = await queued(bulkhead, GLOBEX)
    bulkhead.leave(ACME)

    assert not bulkhead.take(ACME)
    assert await waiting[0]


async def test_one_tenant_may_fill_half_of_the_queue_and_all_together_the_whole() -> None:
    bulkhead = filled()
    waiting = await queued(bulkhead, ACME, ACME, ACME, GLOBEX, GLOBEX, INITECH)

    assert [task.done() for task in waiting] == [False, False, True, False, False, True]
    assert not waiting[2].result()
    assert not waiting[5].result()
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_whoever_is_cancelled_when_its_turn_has_come_passes_it_on() -> None:
    bulkhead = filled()
    first, second = await queued(bulkhead, GLOBEX, GLOBEX)
    bulkhead.leave(ACME)
    first.cancel()

    assert await second
    assert bulkhead.in_use == PLACES


def test_there_are_fewer_places_while_a_service_recovers() -> None:
    share = 0.25
    bulkhead = Bulkhead(8, lambda: share)

    assert [bulkhead.take(ACME) for _ in range(3)] == [True, True, False]
    share = 1.0
    assert bulkhead.take(ACME)


async def test_who_waits_until_it_is_empty_hears_of_the_last_that_left() -> None:
    bulkhead = filled(places=2)
    emptied = asyncio.create_task(bulkhead.emptied())
    await asyncio.sleep(0)
    bulkhead.leave(ACME)
    await asyncio.sleep(0)
    assert not emptied.done()
    bulkhead.leave(ACME)

    await asyncio.wait_for(emptied, 1)
    await asyncio.wait_for(bulkhead.emptied(), 1)


class Callers(RuleBasedStateMachine):
    """Any number of callers that come, leave and are cancelled in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.bulkhead = Bulkhead(PLACES)
        self.inside: Counter[TenantId] = Counter()
        self.waiting: list[tuple[TenantId, asyncio.Task[bool]]] = []

    def teardown(self) -> None:
        self.runner.close()

    @rule(tenant=st.sampled_from([ACME, GLOBEX, INITECH]))
    def come(self, tenant: TenantId) -> None:
        if self.bulkhead.take(tenant):
            self.inside[tenant] += 1
        else:
            self.waiting += [(tenant, task) for task in self.runner.run(queued(self.bulkhead, tenant))]
            self._settle()

    @precondition(lambda self: self.inside)
    @rule(data=st.data())
    def go(self, data: st.DataObject) -> None:
        tenant = data.draw(st.sampled_from(sorted(+self.inside)))
        self.inside[tenant] -= 1
        self.inside = +self.inside
        self.bulkhead.leave(tenant)
        self._settle()

    @precondition(lambda self: self.waiting)
    @rule(data=st.data(), just_called=st.booleans())
    def give_up(self, data: st.DataObject, just_called: bool) -> None:
        tenant, task = self.waiting.pop(data.draw(st.integers(0, len(self.waiting) - 1)))
        if just_called and self.inside:
            leaving = min(self.inside)
            self.inside[leaving] -= 1
            self.inside = +self.inside
            self.bulkhead.leave(leaving)
        task.cancel()
        self._settle()
        if not task.cancelled() and task.result():
            self.inside[tenant] += 1

    @invariant()
    def places_are_neither_lost_nor_given_twice(self) -> None:
        assert self.bulkhead.in_use == self.inside.total() <= PLACES
        assert self.bulkhead.in_use == PLACES or not self.waiting

    def _settle(self) -> None:
        self.runner.run(asyncio.sleep(0.0))
        self.runner.run(asyncio.sleep(0.0))
        for tenant, task in list(self.waiting):
            if task.done():
                self.waiting.remove((tenant, task))
                self.inside[tenant] += task.result()
        self.inside = +self.inside


TestCallers = Callers.TestCase
