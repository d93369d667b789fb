"""Collections of documents, searched by full text with BM25."""

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from encola.domain.context import TenantId
from encola.entrypoints.demo.chunks import chunks_of
from encola.entrypoints.demo.database import DemoDatabase
from encola.entrypoints.demo.envelope import Refusal
from encola.entrypoints.demo.search_terms import match_expression, terms_of

DOCS = "docs"
MAX_CHUNKS = 20_000
MAX_COLLECTIONS = 100

_EVERYONE = ""  # no tenant can be called so
_SCHEMA = """
CREATE TABLE IF NOT EXISTS collections (
    id INTEGER PRIMARY KEY, tenant TEXT NOT NULL, name TEXT NOT NULL, UNIQUE (tenant, name)
)
"""


@dataclass(frozen=True, slots=True)
class Document:
    """A text to be found later."""

    title: str
    content: str
    source: str


@dataclass(frozen=True, slots=True)
class Passage:
    """A found piece of a document; a higher score is better, within one collection."""

    content: str
    title: str
    source: str
    score: float
    collection_id: str


@dataclass(frozen=True, slots=True)
class CollectionSize:
    """How much a collection holds."""

    collection_id: str
    documents: int
    chunks: int


class CollectionStore:
    """Keeps documents per tenant and collection; everyone may read ``docs``, nobody writes it.

    Every collection has an index of its own, so that neither its speed nor its ranking depends on
    what others keep.
    """

    def __init__(self, database: DemoDatabase) -> None:
        self._database = database
        database.define(_SCHEMA)

    def index_docs(self, folder: Path) -> None:
        """Make ``docs`` hold the Markdown files below ``folder``, and nothing else."""
        documents = [
            Document(path.stem, path.read_text(encoding="utf-8"), path.relative_to(folder).as_posix())
            for path in sorted(folder.rglob("*.md"))
        ]
        with self._database.transaction() as connection:
            table = _table(_create(connection, _EVERYONE, DOCS))
            connection.execute(f"DELETE FROM {table}")
            _insert(connection, table, documents)

    def ingest(self, tenant: TenantId, collection: str, documents: Sequence[Document]) -> int:
        """Add documents, each in place of the one with its title; return the number of chunks.

        :raises Refusal: nobody may write there, or it would hold too much
        """
        if collection == DOCS:
            raise Refusal(403, "collection_read_only", f"The collection {DOCS!r} cannot be changed.")
        with self._database.transaction() as connection:
            table = _table(_create(connection, tenant, collection))
            titles = [(document.title,) for document in documents]
            connection.executemany(f"DELETE FROM {table} WHERE document = ?", titles)
            added = _insert(connection, table, documents)
            if _count(connection, table).chunks > MAX_CHUNKS:
                raise Refusal(409, "collection_full", f"A collection holds at most {MAX_CHUNKS} chunks.")
        return added

    def search(self, tenant: TenantId, collection: str, question: str, top_k: int) -> list[Passage]:
        """Return the best passages of one collection, best first.

        :raises Refusal: there is no such collection
        """
        number = self._find(tenant, collection)
        if number is None:
            raise Refusal(404, "collection_not_found", f"There is no collection {collection!r}.")
        return self._search(number, collection, question, top_k)

    def search_all(self, tenant: TenantId, question: str, top_k: int) -> list[Passage]:
        """Return the best passages of ``docs`` and of all the tenant's collections.

        They take turns, each collection's best first: scores of two indexes say nothing about each
        other.
        """
        rows = self._database.rows(
            "SELECT id, name FROM collections WHERE tenant IN (?, ?) ORDER BY tenant DESC, id",
            (tenant, _EVERYONE),
        )
        found = [self._search(row["id"], row["name"], question, top_k) for row in rows]
        by_rank = [passages[rank] for rank in range(top_k) for passages in found if rank < len(passages)]
        return by_rank[:top_k]

    def sizes(self, tenant: TenantId) -> list[CollectionSize]:
        """Return what the tenant can search, ``docs`` first."""
        with self._database.transaction() as connection:
            rows = connection.execute(
                "SELECT id, name FROM collections WHERE tenant IN (?, ?) ORDER BY tenant, id",
                (_EVERYONE, tenant),
            ).fetchall()
            return [_count(connection, _table(row["id"]), row["name"]) for row in rows]

    def _find(self, tenant: TenantId, collection: str) -> int | None:
        owner = _EVERYONE if collection == DOCS else tenant
        rows = self._database.rows(
            "SELECT id FROM collections WHERE tenant = ? AND name = ?", (owner, collection)
        )
        return rows[0]["id"] if rows else None

    def _search(self, number: int, collection: str, question: str, top_k: int) -> list[Passage]:
        terms = terms_of(question)
        if not terms:
            return []
        table = _table(number)
        rows = self._database.rows(
            f"SELECT content, title, source, bm25({table}, 3.0, 1.0) AS badness FROM {table} "
            f"WHERE {table} MATCH ? ORDER BY badness LIMIT ?",
            (match_expression(terms), top_k),
        )
        return [
            Passage(row["content"], row["title"], row["source"], round(-row["badness"], 4), collection)
            for row in rows
        ]


def _create(connection: sqlite3.Connection, tenant: str, name: str) -> int:
    found = connection.execute("SELECT id FROM collections WHERE tenant = ? AND name = ?", (tenant, name))
    if row := found.fetchone():
        return int(row["id"])
    owned = connection.execute("SELECT count(*) FROM collections WHERE tenant = ?", (tenant,))
    if owned.fetchone()[0] >= MAX_COLLECTIONS:
        raise Refusal(409, "too_many_collections", f"There may be at most {MAX_COLLECTIONS} collections.")
    made = connection.execute("INSERT INTO collections (tenant, name) VALUES (?, ?)", (tenant, name))
    number = int(made.lastrowid or 0)
    connection.execute(
        f"CREATE VIRTUAL TABLE {_table(number)} USING fts5(title, content, document UNINDEXED, "
        "source UNINDEXED, tokenize = 'unicode61 remove_diacritics 2')"
    )
    return number


def _insert(connection: sqlite3.Connection, table: str, documents: Sequence[Document]) -> int:
    rows = [row for document in documents for row in _rows(document)]
    connection.executemany(
        f"INSERT INTO {table} (title, content, document, source) VALUES (?, ?, ?, ?)", rows
    )
    return len(rows)


def _rows(document: Document) -> Iterator[tuple[str, str, str, str]]:
    for chunk in chunks_of(document.content, document.title):
        source = f"{document.source}#{chunk.anchor}" if chunk.anchor else document.source
        yield chunk.title, chunk.content, document.title, source


def _count(connection: sqlite3.Connection, table: str, name: str = "") -> CollectionSize:
    row = connection.execute(f"SELECT count(DISTINCT document), count(*) FROM {table}").fetchone()
    return CollectionSize(name, *row)


def _table(number: int) -> str:
    return f"passages_{number}"
