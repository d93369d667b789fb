"""``encola doctor``: can it start here, and is what runs well?"""

from typing import TYPE_CHECKING

import typer

from encola.domain.errors import InvalidSettings
from encola.entrypoints.cli.options import AsJson, Url
from encola.entrypoints.cli.terminal import say, say_json

if TYPE_CHECKING:
    from encola.entrypoints.cli.findings import Finding


def doctor(url: Url = None, as_json: AsJson = False) -> None:
    """Check this machine, the settings, the services and the server; exit 1 if a check fails."""
    findings = _findings(url)
    if as_json:
        from dataclasses import asdict

        say_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            say(_line(finding))
    if any(finding.status == "fail" for finding in findings):
        raise typer.Exit(1)


def _findings(url: str | None) -> "list[Finding]":
    from encola.entrypoints.cli.checks import examine
    from encola.entrypoints.cli.findings import Finding
    from encola.entrypoints.cli.remote import default_url
    from encola.entrypoints.settings import load_settings

    try:
        settings = load_settings()
    except InvalidSettings as error:
        return [Finding(name="settings", status="fail", message=str(error), fix="correct the variable")]
    known = url or (default_url() if settings.port else None)
    return list(examine(settings, known))


def _line(finding: "Finding") -> str:
    fix = f" -> {finding.fix}" if finding.fix else ""
    return f"{finding.status:<4}  {finding.name}: {finding.message}{fix}"
