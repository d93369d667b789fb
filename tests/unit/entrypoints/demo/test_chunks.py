from hypothesis import given
from hypothesis import strategies as st

from encola.entrypoints.demo.chunks import TARGET, Chunk, chunks_of


def test_headings_become_titles_and_anchors() -> None:
    text = "# Guide\n\nHello.\n\n## First steps, now!\n\nGo.\n\n### Deeper\n\nStop."

    assert chunks_of(text, "guide") == [
        Chunk("Guide", "", "Hello."),
        Chunk("Guide › First steps, now!", "first-steps-now", "Go."),
        Chunk("Guide › Deeper", "deeper", "Stop."),
    ]


def test_a_comment_in_code_is_no_heading() -> None:
    text = "```bash\n# not a heading\nls\n```"

    assert chunks_of(text, "t") == [Chunk("t", "", text)]


def test_plain_text_keeps_its_given_title() -> None:
    assert chunks_of("Only words.", "Notes") == [Chunk("Notes", "", "Only words.")]


def test_nothing_has_no_chunks() -> None:
    assert chunks_of(" \n\n", "t") == []


@given(st.text() | st.text("a \n", min_size=3000, max_size=9000))
def test_chunks_stay_near_the_target_and_lose_no_word(text: str) -> None:
    text = text.replace("#", "")
    chunks = chunks_of(text, "t")

    assert all(0 < len(chunk.content) <= TARGET + 2 for chunk in chunks)
    assert "".join("".join(chunk.content.split()) for chunk in chunks) == "".join(text.split())
