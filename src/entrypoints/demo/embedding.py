"""The embedding service: takes documents into a collection."""

from dataclasses import asdict
from typing import Annotated

from fastapi import FastAPI
from pydantic import BaseModel, Field

from encola.entrypoints.demo.collections import CollectionStore, Document
from encola.entrypoints.demo.envelope import Body, Envelope, Refusal, Tenant, ok, service_app
from encola.entrypoints.demo.query import CollectionName

MAX_DOCUMENTS = 100
MAX_BYTES = 256 * 1024
_LONGEST_TITLE = 300


class GivenDocument(BaseModel):
    """A document to take in; one without a title is called by its first line."""

    title: Annotated[str, Field(max_length=_LONGEST_TITLE)] | None = None
    content: str
    source: Annotated[str, Field(max_length=500)] | None = None

    @property
    def name(self) -> str:
        """Return the title; a document that comes again under it replaces this one."""
        first_line = next((line for line in self.content.splitlines() if line.strip(" #\t")), "")
        return (self.title or "").strip() or first_line.strip(" #\t")[:80]


class Embedding(Body):
    """What to take in, and where."""

    collection_id: CollectionName
    documents: list[GivenDocument]


def build_embedding_app(store: CollectionStore) -> FastAPI:
    """Return the service over one store."""
    app = service_app("embedding")

    @app.post("/internal/embed")
    def embed(body: Embedding, tenant: Tenant) -> Envelope:
        _check(body.documents)
        documents = {given.name: given for given in body.documents}
        chunks = store.ingest(
            tenant,
            body.collection_id,
            [Document(name, given.content, given.source or name) for name, given in documents.items()],
        )
        return ok({"collection_id": body.collection_id, "documents": len(documents), "chunks": chunks})

    @app.get("/internal/collections")
    def collections(tenant: Tenant) -> Envelope:
        return ok({"collections": [asdict(size) for size in store.sizes(tenant)]})

    return app


def _check(documents: list[GivenDocument]) -> None:
    if not documents or not all(document.content.strip() for document in documents):
        raise Refusal(422, "empty_document", "There must be at least one document, and none may be empty.")
    if len(documents) > MAX_DOCUMENTS:
        raise Refusal(413, "too_many_documents", f"At most {MAX_DOCUMENTS} documents are taken at once.")
    if sum(len(document.content.encode()) for document in documents) > MAX_BYTES:
        message = f"The documents of one request may have at most {MAX_BYTES // 1024} KiB together."
        raise Refusal(413, "documents_too_large", message)
