"""The query service: full-text search over collections."""

from dataclasses import asdict
from typing import Annotated

from fastapi import FastAPI
from pydantic import Field

from encola.entrypoints.demo.collections import DOCS, CollectionStore
from encola.entrypoints.demo.envelope import Body, Envelope, Tenant, ok, service_app

CollectionName = Annotated[str, Field(pattern=r"^[A-Za-z0-9._:@-]{1,128}$")]


class Query(Body):
    """What is looked for; ``federated`` means in every collection that the tenant can read."""

    query: Annotated[str, Field(max_length=20_000)]
    top_k: Annotated[int, Field(ge=1, le=50)] = 5
    collection_id: CollectionName | None = None
    federated: bool = False


def build_query_app(store: CollectionStore) -> FastAPI:
    """Return the service over one store."""
    app = service_app("query")

    @app.post("/internal/query")
    def query(body: Query, tenant: Tenant) -> Envelope:
        if body.federated:
            passages = store.search_all(tenant, body.query, body.top_k)
        else:
            passages = store.search(tenant, body.collection_id or DOCS, body.query, body.top_k)
        return ok({"documents": [asdict(passage) for passage in passages]})

    return app
