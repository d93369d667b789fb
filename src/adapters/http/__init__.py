"""HTTP: calls to other services, their health, and the history that is one of them."""

from encola.adapters.http.job_history import HttpJobHistory
from encola.adapters.http.service_caller import HttpServiceCaller
from encola.adapters.http.service_probe import HttpServiceProbe
from encola.adapters.http.transport import HttpTransport, build_transport

__all__ = ["HttpJobHistory", "HttpServiceCaller", "HttpServiceProbe", "HttpTransport", "build_transport"]
