"""HTTP calls between services."""

from typing import Protocol

from encola.domain.service import ServiceCall, ServiceResult


class ServiceCaller(Protocol):
    """Makes one resilient call to a registered service. Never logs what is sent or answered."""

    async def call(self, call: ServiceCall) -> ServiceResult:
        """Return what came of it, at the latest when ``call.timeout`` has passed.

        Every failure of the network or of the service is a result, not an exception.

        :raises UnknownService: nobody registered the service; no packet was sent
        """
        ...

    async def close(self) -> None:
        """Let calls under way end for a moment; whoever calls afterwards gets ``local_shutdown``."""
        ...

    def resolve(self, url: str) -> tuple[str, str]:
        """Return the registered service and the path that ``url`` means.

        ``url`` is a service's name, ``name/path``, or an absolute URL below a registered base.

        :raises UnknownService: it is none of these
        """
        ...
