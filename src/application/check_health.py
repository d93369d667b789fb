"""Telling whether this process can do its work."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

DEADLINE = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What each check said: ``None`` is well, a text is what is wrong."""

    checks: Mapping[str, str | None]

    @property
    def is_ready(self) -> bool:
        """Tell whether every check is well."""
        return all(problem is None for problem in self.checks.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckHealth:
    """Run the checks side by side, each within two seconds."""

    checks: Mapping[str, Callable[[], Awaitable[None]]]

    async def __call__(self) -> Health:
        """Return what the checks said; never raises for a check's sake."""
        problems = await asyncio.gather(*(_run(check) for check in self.checks.values()))
        return Health(checks=dict(zip(self.checks, problems, strict=True)))


async def _run(check: Callable[[], Awaitable[None]]) -> str | None:
    try:
        async with asyncio.timeout(DEADLINE):
            await check()
    except TimeoutError:
        return f"no answer within {DEADLINE:g} s"
    except Exception as error:
        return str(error) or type(error).__name__
    return None
