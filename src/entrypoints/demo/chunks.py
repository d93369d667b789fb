"""Cutting documents into pieces that can be found and cited."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

TARGET = 1000
_HEADING = re.compile(r"(#{1,6})\s+(.+?)\s*#*$")
_FENCE = re.compile(r"\s*(```|~~~)")
_NOT_IN_ANCHORS = re.compile(r"[^\w\- ]")


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a document, with the headings above it as its title."""

    title: str
    anchor: str
    content: str


def chunks_of(text: str, title: str) -> list[Chunk]:
    """Return the pieces of a Markdown or plain text, each about a thousand characters at most.

    A first-level heading at the top takes the place of ``title``.
    """
    name = title
    chunks: list[Chunk] = []
    for heading, lines in _sections(text):
        if heading and not chunks and heading[0] == 1:
            name = heading[1]
        own = heading[1] if heading and heading[1] != name else ""
        full_title = f"{name} › {own}" if own else name
        chunks += [Chunk(full_title, _anchor(own), piece) for piece in _pieces("\n".join(lines))]
    return chunks


def _sections(text: str) -> Iterator[tuple[tuple[int, str] | None, list[str]]]:
    heading: tuple[int, str] | None = None
    lines: list[str] = []
    is_code = False
    for line in text.splitlines():
        is_code ^= _FENCE.match(line) is not None
        found = None if is_code else _HEADING.match(line)
        if found is None:
            lines.append(line)
            continue
        yield heading, lines
        heading, lines = (len(found[1]), found[2]), []
    yield heading, lines


def _pieces(text: str) -> Iterator[str]:
    piece = ""
    for paragraph in re.split(r"\n\s*\n", text):
        for part in _parts(paragraph.strip()):
            if piece and len(piece) + len(part) > TARGET:
                yield piece
                piece = ""
            piece = f"{piece}\n\n{part}" if piece else part
    if piece:
        yield piece


def _parts(paragraph: str) -> Iterator[str]:
    """Cut a long paragraph at the last space that fits, or anywhere when there is none."""
    while len(paragraph) > TARGET:
        cut = max(paragraph.rfind(" ", 1, TARGET), paragraph.rfind("\n", 1, TARGET))
        cut = cut if cut > 0 else TARGET
        yield paragraph[:cut].rstrip()
        paragraph = paragraph[cut:].lstrip()
    if paragraph:
        yield paragraph


def _anchor(heading: str) -> str:
    return _NOT_IN_ANCHORS.sub("", heading.lower()).replace(" ", "-")
