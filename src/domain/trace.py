"""What of a W3C trace and of W3C baggage may be passed on: what cannot be read is dropped, never refused.

The grammars are those of https://www.w3.org/TR/trace-context/ and https://www.w3.org/TR/baggage/.
"""

import re
from collections.abc import Collection, Iterable

LONGEST_TRACESTATE = 512
MOST_STATES = 32
LONGEST_BAGGAGE = 8192
MOST_BAGGAGE = 64

SAMPLED = "01"

_TRACEPARENT = re.compile(
    r"(?!ff)(?P<version>[0-9a-f]{2})-(?P<trace>(?!0{32})[0-9a-f]{32})-(?P<span>(?!0{16})[0-9a-f]{16})"
    r"-(?P<flags>[0-9a-f]{2})(?P<more>-[!-~]*)?",
    re.ASCII,
)
_STATE = re.compile(
    r"(?P<key>[a-z][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13})"
    r"=[ -+\--<>-~]{0,255}[!-+\--<>-~]",
    re.ASCII,
)
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_OCTETS = r"[!#-+\--:<-\[\]-~]*"
_MEMBER = re.compile(
    rf"(?P<name>{_TOKEN})[ \t]*=[ \t]*{_OCTETS}(?:[ \t]*;[ \t]*{_TOKEN}(?:[ \t]*=[ \t]*{_OCTETS})?)*",
    re.ASCII,
)
_NAME = re.compile(_TOKEN, re.ASCII)
_SPACE = " \t"


def readable_traceparent(text: str) -> str | None:
    """Return the ``traceparent`` in the form of version 00, or ``None`` when it names no trace.

    Of later versions, whose ends we cannot read, only the part that version 00 knows goes on.
    """
    found = _TRACEPARENT.fullmatch(text)
    if found is None:
        return None
    if found["version"] == "00":
        return None if found["more"] else text
    sampled = int(found["flags"], 16) & int(SAMPLED, 16)
    return spelt(found["trace"], found["span"], f"{sampled:02x}")


def readable_tracestate(text: str) -> str | None:
    """Return the ``tracestate``, or ``None`` when any part of it is malformed.

    What is beyond 512 characters or 32 members falls off at the end, where the oldest stand.
    """
    members = [member for part in text.split(",") if (member := part.strip(_SPACE))]
    found = [_STATE.fullmatch(member) for member in members]
    keys = {match["key"] for match in found if match is not None}
    if len(keys) < len(members):
        return None
    return _joined(members, MOST_STATES, LONGEST_TRACESTATE)


def readable_baggage(text: str, names: Collection[str] | None = None) -> str | None:
    """Return the members of ``baggage`` that are well-formed, of those named if names are given.

    What is beyond 64 members or 8192 bytes is left out; ``None`` when nothing is left.
    """
    if names is not None and not names:
        return None
    members = (member for part in text.split(",") if (member := _member(part, names)))
    return _joined(members, MOST_BAGGAGE, LONGEST_BAGGAGE)


def is_baggage_name(text: str) -> bool:
    """Tell whether a member of baggage can have this name."""
    return _NAME.fullmatch(text) is not None


def spelt(trace_id: str, span_id: str, flags: str) -> str:
    """Return the ``traceparent`` of a span."""
    return f"00-{trace_id}-{span_id}-{flags}"


def flags_of(traceparent: str) -> str:
    """Return the two digits that say, among others, whether the trace is sampled."""
    return traceparent[53:]


def trace_id_of(traceparent: str) -> str:
    """Return the 32 digits that name the trace."""
    return traceparent[3:35]


def _member(part: str, names: Collection[str] | None) -> str | None:
    member = part.strip(_SPACE)
    found = _MEMBER.fullmatch(member)
    return member if found and (names is None or found["name"] in names) else None


def _joined(members: Iterable[str], most: int, longest: int) -> str | None:
    """Return as many of the first members as fit."""
    taken: list[str] = []
    room = longest + 1
    for member in members:
        room -= len(member) + 1
        if room < 0 or len(taken) == most:
            break
        taken.append(member)
    return ",".join(taken) or None
