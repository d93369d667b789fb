"""The documents hold together, and what they say of the code is so."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from documents import DOCS, ROOT, anchors_of, blocks_of, links_of, name_of, pages

LANGUAGES = {"python", "javascript", "json", "bash", "console", "mermaid", "text"}

every_page = pytest.mark.parametrize("page", pages(), ids=name_of)


@every_page
def test_every_block_says_what_it_is(page: Path) -> None:
    assert page.read_text().count("\n```") == 2 * len(blocks_of(page))
    assert {block.language for block in blocks_of(page)} <= LANGUAGES


@every_page
def test_json_in_a_page_is_json(page: Path) -> None:
    for block in blocks_of(page, "json"):
        json.loads(block.text)


@every_page
def test_every_link_leads_somewhere(page: Path) -> None:
    dead = [link for link in links_of(page) if not link.startswith("https://") and not leads(page, link)]

    assert dead == []


@every_page
def test_a_page_begins_with_its_title(page: Path) -> None:
    assert page.read_text().startswith("# ")


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached = {ROOT / "README.md"}
    while new := {place for page in reached for place in neighbours(page)} - reached:
        reached |= new

    assert [name_of(page) for page in DOCS.rglob("*.md") if page not in reached] == []


def test_what_is_generated_is_current() -> None:
    command = [sys.executable, ROOT / "scripts/generate_docs.py", "--check"]
    outcome = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60, check=False)

    assert (outcome.returncode, outcome.stderr) == (0, "")


def leads(page: Path, link: str) -> bool:
    """Tell whether a link's file and anchor exist."""
    path, _, fragment = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    return target.exists() and (not fragment or fragment in anchors_of(target))


def neighbours(page: Path) -> set[Path]:
    """Return the pages that a page links to."""
    targets = {
        (page.parent / link.partition("#")[0]).resolve() for link in links_of(page) if "://" not in link
    }
    return {target for target in targets if target.suffix == ".md" and target.is_file()}
