"""The page of the documents that holds the tables, one part for each profile."""

from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "benchmarks.md"
DISTRIBUTED = "## Distributed profile"


def write_embedded(text: str) -> None:
    """Replace the first part, with the page's title."""
    _write(text, _parts()[1])


def write_distributed(text: str) -> None:
    """Replace the second part, which begins with its heading."""
    _write(_parts()[0], text)


def _parts() -> tuple[str, str]:
    embedded, heading, distributed = PAGE.read_text().partition(f"{DISTRIBUTED}\n")
    return embedded, heading + distributed


def _write(embedded: str, distributed: str) -> None:
    PAGE.write_text("\n\n".join(part.strip() for part in (embedded, distributed) if part) + "\n")
