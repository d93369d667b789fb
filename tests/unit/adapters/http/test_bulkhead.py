from contextlib import ExitStack

from encola.adapters.http.bulkhead import Bulkhead
from encola.domain.context import TenantId

ACME, GLOBEX, INITECH = TenantId("acme"), TenantId("globex"), TenantId("initech")


def test_one_tenant_gets_half_of_the_places() -> None:
    bulkhead = Bulkhead(places=4)
    with ExitStack() as stack:
        got = [stack.enter_context(bulkhead.place(ACME)) for _ in range(3)]
        others = [stack.enter_context(bulkhead.place(tenant)) for tenant in (GLOBEX, INITECH, GLOBEX)]

        assert got == [True, True, False]
        assert others == [True, True, False]
        assert bulkhead.in_use == 4

    assert bulkhead.in_use == 0


def test_a_place_comes_back_whatever_happens() -> None:
    bulkhead = Bulkhead(places=2)
    try:
        with bulkhead.place(ACME):
            raise KeyError
    except KeyError:
        pass

    assert bulkhead.in_use == 0
