"""Asking a service how it is."""

from typing import Protocol

from encola.domain.health import Target


class ServiceProbe(Protocol):
    """Asks once, beside all that guards and counts calls: a probe is about the service, not for a user."""

    async def probe(self, target: Target) -> str | None:
        """Return what is wrong with the service, or ``None``; in 2.0 seconds at the most.

        Never fails for the service's or the network's sake. The text holds nothing that the service
        sent, so that it may be shown.
        """
        ...
