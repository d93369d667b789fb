"""The project's documents as their readers see them: blocks, headings, links."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"

_FENCE = re.compile(r"^(`{3,})(\w*)\n(.*?)^\1$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)
_NOT_IN_ANCHORS = re.compile(r"[^\w\- ]")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block; ``lead`` is the last line of prose above it."""

    language: str
    text: str
    line: int
    lead: str


def pages() -> list[Path]:
    """Return every page, the ones in the root first."""
    return [*sorted(ROOT.glob("*.md")), *sorted(DOCS.rglob("*.md"))]


def name_of(page: Path) -> str:
    """Return a page's path as people write it."""
    return page.relative_to(ROOT).as_posix()


def blocks_of(page: Path, *languages: str) -> list[Block]:
    """Return the page's blocks in these languages, or in any."""
    return [block for block in _blocks(page.read_text()) if not languages or block.language in languages]


def pages_with(*languages: str) -> list[Path]:
    """Return the pages that have a block in one of these languages."""
    return [page for page in pages() if blocks_of(page, *languages)]


def links_of(page: Path) -> list[str]:
    """Return the targets of the page's links and pictures."""
    return _LINK.findall(_FENCE.sub("", page.read_text()))


def anchors_of(page: Path) -> set[str]:
    """Return what can stand behind ``#`` in a link to the page."""
    return {anchor(heading) for heading in _HEADING.findall(_FENCE.sub("", page.read_text()))}


def anchor(heading: str) -> str:
    """Return a heading's anchor."""
    return _NOT_IN_ANCHORS.sub("", heading.lower()).replace(" ", "-")


def _blocks(text: str) -> Iterator[Block]:
    for found in _FENCE.finditer(text):
        above = text[: found.start()]
        yield Block(found[2], found[3], above.count("\n") + 1, above.rstrip().rpartition("\n")[2])
