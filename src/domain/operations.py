"""The operation types of one application: the table, and what the application adds to it."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping

from encola.domain.errors import InvalidSettings, UnknownOperation
from encola.domain.policy import OPERATIONS, OperationPolicy, Repeat

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")

NAMES = frozenset({"agent_id", "conversation_id", "collection_id"})

_READING = frozenset({"GET", "HEAD"})
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)


class Operations(Mapping[str, OperationPolicy]):
    """Policies by the name of their operation type.

    One of ``own`` with a name of the table takes its place.

    :raises InvalidSettings: one of ``own`` cannot be kept, or two have one name
    """

    def __init__(self, own: Iterable[OperationPolicy] = ()) -> None:
        added: dict[str, OperationPolicy] = {}
        for policy in own:
            check_policy(policy)
            if policy.name in added:
                raise InvalidSettings(f"There are two operation types called {policy.name!r}.")
            added[policy.name] = policy
        self._policies = {**OPERATIONS, **added}

    def __getitem__(self, name: str) -> OperationPolicy:
        return self._policies[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._policies)

    def __len__(self) -> int:
        return len(self._policies)

    def policy_for(self, operation: str) -> OperationPolicy:
        """Return the policy of an operation type.

        :raises UnknownOperation: there is none
        """
        policy = self._policies.get(operation)
        if policy is None:
            raise UnknownOperation(f"There is no operation type {operation!r}.")
        return policy


def check_policy(policy: OperationPolicy) -> None:
    """Refuse a policy that no call could keep to, or that would repeat what must not be repeated.

    :raises InvalidSettings: the message names the operation type and what is wrong with it
    """
    for is_wrong, what in _rules(policy):
        if is_wrong:
            raise InvalidSettings(f"The operation type {policy.name!r} {what}.")


def _rules(policy: OperationPolicy) -> Iterator[tuple[bool, str]]:
    yield not _NAME.fullmatch(policy.name), "must be called by 1 to 64 of a-z 0-9 _, a letter first"
    yield not _is_positive(policy.timeout), "must have a timeout above 0 seconds"
    yield policy.ttl < 0, "must have a ttl of 0 seconds or more"
    yield policy.attempts < 1, "must have 1 attempt or more"
    yield not 0 < policy.attempt_share <= 1, "must have an attempt_share above 0 and up to 1"
    yield policy.method not in METHODS, f"must have a method out of {', '.join(METHODS)}"
    reads = policy.repeat is Repeat.SAFE
    yield policy.method in _READING and not reads, f"only reads by {policy.method}: its repeat must be safe"
    yield policy.caches_response and not reads, "can have its answers cached only if its repeat is safe"
    shortest = min(policy.swr, policy.sie, policy.negative_ttl)
    yield shortest < 0, "must have swr, sie and negative_ttl of 0 seconds or more"
    yield not set(policy.vary) <= NAMES, f"can vary with {', '.join(sorted(NAMES))} only"
    yield any(not _is_tag(tag) for tag in policy.tags + policy.invalidates), "has a tag that names no context"
    yield policy.caches_response and policy.ttl == 0, "must have a ttl above 0 to have its answers cached"


def _is_tag(template: str) -> bool:
    """Tell whether a tag is text in which only names of the context are to be filled in."""
    try:
        return bool(template.format_map(dict.fromkeys(NAMES, "x")))
    except (KeyError, ValueError, IndexError, AttributeError):
        return False


def _is_positive(seconds: float) -> bool:
    return math.isfinite(seconds) and seconds > 0
