"""The page of the documents that holds the tables, one part for each of the benchmarks."""

from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "benchmarks.md"
DISTRIBUTED = "## Distributed profile"
CALL_SERVICE = "## Calls between services"


def write_embedded(text: str) -> None:
    """Replace the first part, with the page's title."""
    _, distributed, call_service = _parts()
    _write(text, distributed, call_service)


def write_distributed(text: str) -> None:
    """Replace the second part, which begins with its heading."""
    embedded, _, call_service = _parts()
    _write(embedded, text, call_service)


def write_call_service(text: str) -> None:
    """Replace the third part, which begins with its heading."""
    embedded, distributed, _ = _parts()
    _write(embedded, distributed, text)


def _parts() -> tuple[str, str, str]:
    rest, third, call_service = PAGE.read_text().partition(f"{CALL_SERVICE}\n")
    embedded, second, distributed = rest.partition(f"{DISTRIBUTED}\n")
    return embedded, second + distributed, third + call_service


def _write(*parts: str) -> None:
    PAGE.write_text("\n\n".join(part.strip() for part in parts if part) + "\n")
