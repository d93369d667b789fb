"""What a question asks for: its words, in the forms in which a text may hold them."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

MAX_TERMS = 32
_SHORTEST_PREFIX = 4
_WORD = re.compile(r"[^\W_]+")

_SPANISH = (
    "a al algo ante como con cual cuales cuando cuanto de del desde donde dos el ella ellas ellos en "
    "entre era es esa ese eso esta estan estar este esto estos fue ha hace hacer hacia han hasta hay la "
    "las le les lo los mas me mi mis muy nada ni no nos o os para pasa pero poco por porque puede puedo que "
    "quien quienes se ser si sin sobre son su sus tambien te tener tengo tiene todo todos tu tus un una uno "
    "unos y ya yo"
)
_ENGLISH = (
    "a about am an and any are as at be been but by can could did do does for from had has have how i "
    "if in into is it its me my no not of on or our should so than that the their them then there these "
    "they this to was we were what when where which who whom why will with would you your"
)
SPANISH_STOP_WORDS = frozenset(_SPANISH.split())
ENGLISH_STOP_WORDS = frozenset(_ENGLISH.split())

# The documentation is in English and its first readers ask in Spanish: the words of the trade, each
# under the beginning that its forms share.
_STEMS = {
    "agente": "agent",
    "almacen": "store",
    "aplicacion": "application",
    "arquitect": "architecture",
    "arranc": "start",
    "atasca": "stuck",
    "autentic": "authentication",
    "borra": "delete",
    "busca": "search",
    "caduc": "expire",
    "cambia": "change",
    "cancel": "cancel",
    "clave": "key",
    "client": "client",
    "coleccion": "collection",
    "comando": "command",
    "configur": "configure",
    "consult": "query",
    "context": "context",
    "contrat": "contract",
    "document": "document",
    "duplic": "twice",
    "empez": "start",
    "empiez": "start",
    "enviar": "submit",
    "envio": "submit",
    "escrib": "write",
    "espera": "wait",
    "estado": "status",
    "event": "event",
    "expir": "expire",
    "fall": "fail",
    "fichero": "file",
    "funcion": "work",
    "guard": "keep",
    "historia": "history",
    "idempoten": "idempotency",
    "inquilin": "tenant",
    "instal": "install",
    "intento": "attempt",
    "limit": "limit",
    "mensaje": "message",
    "metric": "metric",
    "modelo": "model",
    "muer": "die",
    "muri": "die",
    "navegador": "browser",
    "notific": "notification",
    "pagina": "page",
    "perd": "lost",
    "pierd": "lost",
    "pregunt": "question",
    "priori": "priority",
    "proces": "process",
    "progres": "progress",
    "prueb": "test",
    "puerto": "port",
    "reconect": "reconnect",
    "registr": "register",
    "reinici": "restart",
    "reint": "retry",
    "respuesta": "answer",
    "result": "result",
    "salida": "output",
    "segur": "security",
    "servicio": "service",
    "servidor": "server",
    "tarea": "job",
    "tiempo": "time",
    "trabajador": "worker",
    "trabajo": "job",
    "variable": "variable",
}

_WHOLE_WORDS = {
    "cae": "crash",
    "cola": "queue",
    "colas": "queue",
    "datos": "data",
    "encolar": "submit",
    "llamar": "call",
    "mata": "kill",
    "matan": "kill",
    "matar": "kill",
    "probar": "test",
    "programado": "schedule",
    "programar": "schedule",
    "termina": "end",
    "terminar": "end",
    "usar": "use",
    "vivo": "live",
}


@dataclass(frozen=True, slots=True)
class Term:
    """One word of a question; a text holds it when a word begins with one of its forms."""

    forms: tuple[str, ...]

    def is_in(self, words: Iterable[str]) -> bool:
        """Tell whether one of the words, as :func:`words_of` gives them, is meant."""
        return any(_means(form, word) for form in self.forms for word in words)


def words_of(text: str) -> list[str]:
    """Return the words in order, in lower case and without accents."""
    decomposed = unicodedata.normalize("NFKD", text.lower())
    return _WORD.findall("".join(mark for mark in decomposed if not unicodedata.combining(mark)))


def terms_of(question: str) -> list[Term]:
    """Return what to look for; words that say nothing count only where there are no others."""
    words = list(dict.fromkeys(words_of(question)))
    telling = [word for word in words if word not in SPANISH_STOP_WORDS | ENGLISH_STOP_WORDS]
    return [Term(_forms(word)) for word in (telling or words)[:MAX_TERMS]]


def match_expression(terms: Sequence[Term]) -> str:
    """Return the FTS5 query for texts with any of the terms; every word is quoted."""
    forms = dict.fromkeys(form for term in terms for form in term.forms)
    return " OR ".join(f'"{form}"*' if _is_prefix(form) else f'"{form}"' for form in forms)


def sounds_spanish(text: str) -> bool:
    """Guess the language of a question; in doubt it is Spanish, as the page is."""
    if set(text.lower()) & set("¿¡áéíóúñ"):
        return True
    words = words_of(text)
    spanish = sum(word in SPANISH_STOP_WORDS or word in _WHOLE_WORDS for word in words)
    return spanish >= sum(word in ENGLISH_STOP_WORDS for word in words)


def _forms(word: str) -> tuple[str, ...]:
    translation = _translation(word)
    bases = [_singular(word)] + ([translation] if translation else [])
    return tuple(dict.fromkeys([form for base in bases for form in _spellings(base)] + [word]))


def _translation(word: str) -> str | None:
    known = word if word in _WHOLE_WORDS else max(filter(word.startswith, _STEMS), key=len, default="")
    return _WHOLE_WORDS.get(known) or _STEMS.get(known)


def _singular(word: str) -> str:
    if len(word) > 4 and word.endswith("ies"):
        return f"{word[:-3]}y"
    if len(word) > 5 and word.endswith("es") and word[-3] in "lnrds":
        return word[:-2]
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def _spellings(word: str) -> tuple[str, ...]:
    """Return a word, and its other forms where they do not merely go on from it."""
    if not _is_prefix(word):
        return word, f"{word}s"
    return (word, f"{word[:-1]}ies", f"{word[:-1]}ied") if word.endswith("y") else (word,)


def _means(form: str, word: str) -> bool:
    return word.startswith(form) if _is_prefix(form) else word == form


def _is_prefix(form: str) -> bool:
    return len(form) >= _SHORTEST_PREFIX
