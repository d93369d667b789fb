"""Answering a question from passages, in their own words and with sources."""

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass

from encola.entrypoints.demo.collections import Passage
from encola.entrypoints.demo.search_terms import Term, sounds_spanish, terms_of, words_of

MAX_SENTENCES = 4
_EXCERPT = 300
_SHORTEST_SENTENCE = 25
_LONGEST_SENTENCE = 600
_WORTH_SAYING = 0.5  # of the best sentence's score
_RELEVANT = 0.34  # of the terms, in one passage

_DEFINING = frozenset({"is", "are", "means", "runs"})

_CODE_BLOCK = re.compile(r"^\s*(```|~~~).*?(^\s*\1|\Z)", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_MARKS = re.compile(r"\*\*|__|^\s*(?:>\s?)+", re.MULTILINE)
_BLOCK = re.compile(r"\n\s*\n|\n(?=\s*(?:[-*+]|\d+[.)])\s)")
_BULLET = re.compile(r"^\s*(?:[-*+]|\d+[.)])\s+")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-ZÁÉÍÓÚÑ¿¡`\"(\[])")


@dataclass(frozen=True, slots=True)
class Source:
    """A passage that the answer cites as ``[n]``."""

    n: int
    title: str
    source: str
    score: float
    excerpt: str
    collection_id: str


@dataclass(frozen=True, slots=True)
class Answer:
    """The pieces of a text in the order of reading, and what it rests on."""

    pieces: tuple[str, ...]
    sources: tuple[Source, ...] = ()

    @property
    def text(self) -> str:
        """Return the whole text."""
        return "".join(self.pieces)


@dataclass(frozen=True, slots=True)
class _Sentence:
    text: str
    passage: int
    position: int
    score: float


def compose(question: str, passages: Sequence[Passage], where: str) -> Answer:
    """Return the two to four sentences that answer best, cited; ``where`` names what was searched."""
    relevant = relevant_passages(question, passages)
    chosen = _choose(_sentences(terms_of(question), relevant))
    if not chosen:
        return nothing_found(question, where)
    numbers = {passage: n for n, passage in enumerate(dict.fromkeys(one.passage for one in chosen), start=1)}
    intro = "Según los documentos:" if sounds_spanish(question) else "According to the documents:"
    pieces = [f" {sentence.text} [{numbers[sentence.passage]}]" for sentence in chosen]
    sources = [source_of(n, relevant[passage]) for passage, n in numbers.items()]
    return Answer((intro, *pieces), tuple(sources))


def relevant_passages(question: str, passages: Sequence[Passage]) -> list[Passage]:
    """Return the passages that hold enough of what was asked for."""
    terms = terms_of(question)
    return [passage for passage in passages if _share(terms, passage) >= _RELEVANT]


def nothing_found(question: str, where: str) -> Answer:
    """Return the answer that says so."""
    if sounds_spanish(question):
        return Answer((f"No encontré nada sobre eso en {where}.",))
    spelt = where.replace("la colección", "the collection").replace("tus colecciones", "your collections")
    return Answer((f"I found nothing about that in {spelt}.",))


def source_of(n: int, passage: Passage) -> Source:
    """Return a passage as a cited source."""
    text = " ".join(" ".join(_blocks(passage.content)).split())
    excerpt = text if len(text) <= _EXCERPT else text[:_EXCERPT].rsplit(" ", 1)[0] + "…"
    return Source(n, passage.title, passage.source, passage.score, excerpt, passage.collection_id)


def as_data(answer: Answer, model: str, documents: int, agent_id: str | None) -> dict[str, object]:
    """Return the answer as the agent service gives it."""
    return {
        "answer": answer.text,
        "sources": [asdict(source) for source in answer.sources],
        "metadata": {"model": model, "documents": documents, "agent_id": agent_id},
    }


def _share(terms: Sequence[Term], passage: Passage) -> float:
    words = set(words_of(f"{passage.title} {passage.content}"))
    return sum(term.is_in(words) for term in terms) / len(terms) if terms else 0.0


def _sentences(terms: Sequence[Term], passages: Sequence[Passage]) -> list[_Sentence]:
    weights = _weights(terms, passages)
    # One word ranks passages by little more than their length.
    fading = 0.25 if len(terms) > 1 else 0.0
    return [
        _Sentence(text, index, position, score / math.sqrt(1 + fading * index))
        for index, passage in enumerate(passages)
        for position, text in enumerate(_split(passage.content))
        if (score := _score(text, passage.title, weights)) > 0
    ]


def _weights(terms: Sequence[Term], passages: Sequence[Passage]) -> dict[Term, float]:
    """Return the BM25 weight of each term: the fewer passages hold it, the more it says."""
    texts = [set(words_of(f"{passage.title} {passage.content}")) for passage in passages]
    holders = {term: sum(term.is_in(words) for words in texts) for term in terms}
    return {term: math.log(1 + (len(texts) - n + 0.5) / (n + 0.5)) for term, n in holders.items()}


def _score(sentence: str, title: str, weights: dict[Term, float]) -> float:
    ordered = words_of(sentence)
    words, above = set(ordered), set(words_of(title))
    said = sum(weight for term, weight in weights.items() if term.is_in(words))
    if said == 0:
        return 0.0
    heading = sum(weight for term, weight in weights.items() if term.is_in(above - words))
    finished = 1.0 if sentence.endswith((".", "!", "?")) else 0.7
    return (said + 0.3 * heading) * _aboutness(ordered, weights) * finished


def _aboutness(words: Sequence[str], terms: Iterable[Term]) -> float:
    """Prefer sentences that begin with what they are about, and more so those that say what it is."""
    if not any(term.is_in(words[:2]) for term in terms):
        return 1.0
    return 1.6 if _DEFINING.intersection(words[1:3]) else 1.25


def _choose(sentences: Sequence[_Sentence]) -> list[_Sentence]:
    best_first = sorted(sentences, key=lambda one: (-one.score, one.passage, one.position))
    distinct = {one.text: one for one in reversed(best_first)}
    good = [
        one
        for one in best_first
        if distinct[one.text] is one and one.score >= _WORTH_SAYING * best_first[0].score
    ]
    return sorted(good[:MAX_SENTENCES], key=lambda one: (one.passage, one.position))


def _split(content: str) -> Iterator[str]:
    for block in _blocks(content):
        for sentence in _SENTENCE_END.split(block):
            if _SHORTEST_SENTENCE <= len(sentence) <= _LONGEST_SENTENCE:
                # What a colon announces is left out where it is code.
                yield f"{sentence[:-1]}." if sentence.endswith(":") else sentence


def _blocks(content: str) -> Iterator[str]:
    """Return the prose of a Markdown text: no code, no tables, each list item by itself."""
    prose = _MARKS.sub("", _LINK.sub(r"\1", _CODE_BLOCK.sub("\n\n", content)))
    for block in _BLOCK.split(prose):
        text = " ".join(_BULLET.sub("", block).split())
        if text and not text.startswith(("|", "<", "---")):
            yield text
