"""What a check of the doctor answers."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

Status: TypeAlias = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The answer to one question; ``fix`` says what to do about it."""

    name: str
    status: Status
    message: str
    fix: str = ""
