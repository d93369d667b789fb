"""HTTP by httpx: calls to other services, and the history that is one of them."""

from encola.adapters.http.job_history import HttpJobHistory
from encola.adapters.http.service_caller import HttpxServiceCaller, build_client
from encola.adapters.http.service_probe import HttpxServiceProbe

__all__ = ["HttpJobHistory", "HttpxServiceCaller", "HttpxServiceProbe", "build_client"]
