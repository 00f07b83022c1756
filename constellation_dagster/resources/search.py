"""Searches for blocks, pipelines, deployments and tables, as whoever the client is signed in as."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict

from constellation_dagster.resources.embeddings import Embedder, get_embedder
from constellation_dagster.resources.rest import fetch

if TYPE_CHECKING:
    from supabase import Client

Kind = Literal["block", "pipeline", "deployment", "table"]


class Found(BaseModel):
    """Something that a search has found; the ranks say by which way, from 1."""

    model_config = ConfigDict(frozen=True)

    kind: Kind
    entity_id: str
    name: str
    content: str
    score: float
    full_text_rank: int | None
    vector_rank: int | None


class User(BaseModel):
    """Something that uses something else; depth 1 uses it directly."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["pipeline", "deployment", "package"]
    name: str
    depth: int


class SearchRows:
    """Reads what there is to be found."""

    def __init__(self, client: "Client", embedder: Embedder | None = None) -> None:
        self._client = client
        self._embedder = embedder or get_embedder()

    def search(
        self, query: str, kinds: Sequence[Kind] | None = None, limit: int = 10
    ) -> list[Found]:
        """What fits a query best, by its words and by its meaning; the best first.

        Raises:
            EmbeddingsError: The query could not be embedded.
            SupabaseError: Supabase refuses, or does not answer.
        """
        (vector,) = self._embedder.embed([query])
        arguments = {
            "query": query,
            "query_embedding": as_vector(vector),
            "kinds": list(kinds) if kinds else None,
            "match_count": limit,
        }
        rows = fetch(self._client.rpc("search", arguments))
        return [Found.model_validate(row) for row in rows]

    def users_of(
        self, kind: Literal["block", "pipeline", "deployment", "package"], name: str
    ) -> list[User]:
        """What would not work without something, directly or through others."""
        rows = fetch(self._client.rpc("users_of", {"of_kind": kind, "of_name": name}))
        return [User.model_validate(row) for row in rows]


def as_vector(numbers: Sequence[float]) -> str:
    """As pgvector reads it."""
    return f"[{','.join(f'{number:.7g}' for number in numbers)}]"
