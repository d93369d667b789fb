"""Whether a service is up, as far as its ``/health`` tells."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from encola.domain.json_value import JSON

FAILURES_TO_GO_DOWN = 2
WELL = timedelta(seconds=30)
UNWELL = timedelta(seconds=5)

_GOOD_WORDS = frozenset({"ok", "pass", "healthy", "up"})


class ServiceStatus(StrEnum):
    """What is known of a service."""

    UNKNOWN = "unknown"
    UP = "up"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class Target:
    """A service at an address: what was known of the old address says nothing of a new one."""

    service: str
    base_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceHealth:
    """What the probes of a service said so far.

    ``since`` is when it came into this status, ``checked_at`` when it was probed last, ``failures``
    how many probes failed in a row, and ``problem`` what was wrong with the last one.
    """

    status: ServiceStatus = ServiceStatus.UNKNOWN
    since: datetime | None = None
    checked_at: datetime | None = None
    failures: int = 0
    problem: str | None = None

    def probed(self, problem: str | None, now: datetime) -> "ServiceHealth":
        """Return the health after one more probe; ``problem`` is ``None`` when it went well.

        One good probe is enough to be up. It takes two bad ones in a row to be down: one may be a
        lost packet, or a restart.
        """
        failures = 0 if problem is None else self.failures + 1
        status = self.status
        if problem is None:
            status = ServiceStatus.UP
        elif failures >= FAILURES_TO_GO_DOWN:
            status = ServiceStatus.DOWN
        checked = replace(self, status=status, checked_at=now, failures=failures, problem=problem)
        return checked if status is self.status else replace(checked, since=now)

    def pause(self, chance: float) -> timedelta:
        """Return how long to wait before the next probe.

        It is 30 seconds after a good one and 5 after a bad one, give or take a tenth, so that many
        services are not all asked at once. ``chance`` is uniform in [0, 1).
        """
        usual = UNWELL if self.failures else WELL
        return usual * (0.9 + 0.2 * chance)


def problem_in(status: int, body: JSON) -> str | None:
    """Return what is wrong with the answer of a ``/health``, or ``None``.

    Any 2xx is good, unless its JSON says otherwise: by a ``status`` that is none of the words that
    Kubernetes, Spring and the health+json draft use for "well", or by ``success: false``.
    """
    if not 200 <= status < 300:
        return f"it answered {status}"
    if not isinstance(body, dict):
        return None
    word = body.get("status")
    if isinstance(word, str) and word.lower() not in _GOOD_WORDS:
        return "it says that it is not well"
    return "it says that it is not well" if body.get("success") is False else None
