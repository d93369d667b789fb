"""Services whose health is a script."""

from collections import deque
from collections.abc import MutableMapping

from encola.application.ports import ServiceProbe
from encola.domain.health import Target

PROBES_KEPT = 1000


class ScriptedServiceProbe(ServiceProbe):
    """Says of each service what stands in ``problems``, and keeps the latest 1,000 ``probes``.

    A service that is not in there is well. The mapping may be changed on the way.
    """

    def __init__(self, problems: MutableMapping[str, str | None] | None = None) -> None:
        self.problems = {} if problems is None else problems
        self.probes: deque[Target] = deque(maxlen=PROBES_KEPT)

    async def probe(self, target: Target) -> str | None:
        self.probes.append(target)
        return self.problems.get(target.service)
