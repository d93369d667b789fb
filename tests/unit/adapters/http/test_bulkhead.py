import asyncio
from contextlib import ExitStack

from hypothesis import given
from hypothesis import strategies as st

from encola.adapters.http.bulkhead import Bulkhead
from encola.domain.context import TenantId

ACME, GLOBEX, INITECH = TenantId("acme"), TenantId("globex"), TenantId("initech")


def places_got(bulkhead: Bulkhead, stack: ExitStack, *tenants: TenantId, share: float = 1.0) -> list[bool]:
    return [stack.enter_context(bulkhead.place(tenant, share)) for tenant in tenants]


def test_a_tenant_that_is_alone_leaves_room_for_the_first_calls_of_another() -> None:
    bulkhead = Bulkhead(places=10)
    with ExitStack() as stack:
        assert places_got(bulkhead, stack, *[ACME] * 10) == [True] * 9 + [False]
        assert places_got(bulkhead, stack, GLOBEX, GLOBEX) == [True, False]
        assert bulkhead.in_use == 10

    assert bulkhead.in_use == 0


def test_among_others_a_tenant_gets_half_of_the_places() -> None:
    bulkhead = Bulkhead(places=4)
    with ExitStack() as stack:
        assert places_got(bulkhead, stack, GLOBEX, ACME, ACME, ACME) == [True, True, True, False]
        assert places_got(bulkhead, stack, INITECH, GLOBEX) == [True, False]


def test_there_are_fewer_places_while_a_service_recovers() -> None:
    bulkhead = Bulkhead(places=8)
    with ExitStack() as stack:
        assert places_got(bulkhead, stack, ACME, GLOBEX, INITECH, share=0.25) == [True, True, False]
        assert places_got(bulkhead, stack, INITECH) == [True]


@given(st.lists(st.sampled_from([ACME, GLOBEX, INITECH, None]), max_size=60), st.integers(1, 12))
def test_places_are_never_exceeded_and_all_come_back(steps: list[TenantId | None], places: int) -> None:
    bulkhead = Bulkhead(places=places)
    held: list[ExitStack] = []
    for tenant in steps:
        if tenant is None and held:
            held.pop(0).close()
        elif tenant is not None:
            stack = ExitStack()
            if stack.enter_context(bulkhead.place(tenant)):
                held.append(stack)
        assert bulkhead.in_use == len(held) <= places
    for stack in held:
        stack.close()

    assert bulkhead.in_use == 0


def test_a_place_comes_back_whatever_happens() -> None:
    bulkhead = Bulkhead(places=2)
    try:
        with bulkhead.place(ACME):
            raise KeyError
    except KeyError:
        pass

    assert bulkhead.in_use == 0


async def test_who_waits_until_it_is_empty_hears_of_the_last_that_left() -> None:
    bulkhead = Bulkhead()
    await bulkhead.emptied()
    with ExitStack() as stack:
        places_got(bulkhead, stack, ACME, GLOBEX)
        emptied = asyncio.create_task(bulkhead.emptied())
        await asyncio.sleep(0)
        assert not emptied.done()

    await asyncio.wait_for(emptied, 1)
