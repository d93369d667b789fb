import pytest
from hypothesis import given
from hypothesis import strategies as st

from encola.entrypoints.demo.search_terms import (
    MAX_TERMS,
    match_expression,
    sounds_spanish,
    terms_of,
    words_of,
)


@pytest.mark.parametrize(
    ("question", "text"),
    [
        ("retries", "it is retried once"),
        ("retry", "three retries"),
        ("job", "many jobs"),
        ("jobs", "a job"),
        ("¿Cómo cancelo un trabajo?", "cancelling jobs"),
        ("colas", "the queue"),
        ("reintentos", "a retry"),
        ("CONFIGURACIÓN", "configure it"),
        ("sí", "si"),
    ],
)
def test_a_text_holds_the_words_of_a_question_in_other_forms(question: str, text: str) -> None:
    words = words_of(text)

    assert all(term.is_in(words) for term in terms_of(question))


@pytest.mark.parametrize(
    ("question", "text"),
    [("job", "jobless"), ("Encola", "submit"), ("colaborar", "queue"), ("retry", "retrieval")],
)
def test_other_words_are_not_taken_for_them(question: str, text: str) -> None:
    assert not any(term.is_in(words_of(text)) for term in terms_of(question))


def test_words_that_say_nothing_count_only_where_there_are_no_others() -> None:
    assert [term.forms[0] for term in terms_of("¿Qué es una lease?")] == ["lease"]
    assert len(terms_of("¿Qué es?")) == 2


@given(st.text())
def test_every_word_of_the_match_is_quoted(question: str) -> None:
    terms = terms_of(question)
    expression = match_expression(terms)

    assert len(terms) <= MAX_TERMS
    assert all(
        part.startswith('"') and part.rstrip("*").endswith('"') for part in expression.split(" OR ") if part
    )
    assert expression.count('"') == 2 * sum(bool(part) for part in expression.split(" OR "))


@pytest.mark.parametrize(
    ("question", "is_spanish"),
    [
        ("¿Why?", True),
        ("como cancelar un trabajo", True),
        ("webhooks", True),
        ("how do I cancel a job", False),
        ("What is a lease?", False),
    ],
)
def test_the_language_is_guessed_and_in_doubt_it_is_spanish(question: str, is_spanish: bool) -> None:
    assert sounds_spanish(question) is is_spanish
