"""What every probe of services promises."""

import asyncio

import pytest

from encola.application.ports import ServiceProbe
from encola.domain.health import Target

LONGEST = 2.0
SLACK = 2.0


class ServiceProbeContract:
    """The promise of :class:`~encola.application.ports.ServiceProbe`. Subclass it and give the fixtures.

    ``well`` is the target of a service that is well, ``unwell`` of one that is not, and ``away`` of
    one that cannot be reached.
    """

    @pytest.fixture
    def probe(self) -> ServiceProbe:
        """Return a probe that can ask all of the targets."""
        raise NotImplementedError("return a probe")

    @pytest.fixture
    def well(self) -> Target:
        """Return a service that is well."""
        raise NotImplementedError("return a service that is well")

    @pytest.fixture
    def unwell(self) -> Target:
        """Return a service that says that it is not well."""
        raise NotImplementedError("return a service that is not well")

    @pytest.fixture
    def away(self) -> Target:
        """Return a service that cannot be reached."""
        raise NotImplementedError("return a service that is not there")

    async def test_nothing_is_wrong_with_a_service_that_is_well(
        self, probe: ServiceProbe, well: Target
    ) -> None:
        assert await probe.probe(well) is None

    async def test_a_service_that_is_not_well_has_a_problem(
        self, probe: ServiceProbe, unwell: Target
    ) -> None:
        assert await probe.probe(unwell)

    async def test_a_service_that_is_not_there_has_a_problem(self, probe: ServiceProbe, away: Target) -> None:
        async with asyncio.timeout(LONGEST + SLACK):
            assert await probe.probe(away)

    async def test_each_probe_asks_anew_and_of_its_own_target(
        self, probe: ServiceProbe, well: Target, unwell: Target
    ) -> None:
        said = await asyncio.gather(*(probe.probe(target) for target in (well, unwell) * 5))

        assert [problem is None for problem in said] == [True, False] * 5
