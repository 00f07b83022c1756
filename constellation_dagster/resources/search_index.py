"""Keeps what search looks through as the rows are: only what has changed is embedded again."""

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from constellation_dagster.resources.embeddings import Embedder, get_embedder
from constellation_dagster.resources.rest import fetch
from constellation_dagster.resources.search import as_vector

if TYPE_CHECKING:
    from supabase import Client


class Refreshed(BaseModel):
    """What a refresh has done."""

    model_config = ConfigDict(frozen=True)

    written: int
    forgotten: int


class SearchIndex:
    """Rows of `embeddings`, as the platform writes them."""

    def __init__(self, client: "Client", embedder: Embedder | None = None) -> None:
        self._client = client
        self._embedder = embedder or get_embedder()

    def outdated(self) -> bool:
        """Whether a refresh would do anything."""
        asked = {"current_model": self._embedder.model}
        return bool(fetch(self._client.rpc("search_is_outdated", asked)))

    def refresh(self) -> Refreshed:
        """Embeds what is new or has changed, and forgets what is gone; may be repeated.

        Raises:
            EmbeddingsError: The texts could not be embedded.
            SupabaseError: Supabase refuses, or does not answer.
        """
        model = self._embedder.model
        forgotten = fetch(self._client.rpc("forget_search", {}))
        written = 0
        # PostgREST of a hosted Supabase returns 1000 rows at most.
        while rows := fetch(self._client.rpc("outdated_search", {"current_model": model})):
            vectors = self._embedder.embed([_text(row["name"], row["content"]) for row in rows])
            changed = [
                {**row, "model": model, "embedding": as_vector(vector)}
                for row, vector in zip(rows, vectors, strict=True)
            ]
            fetch(self._client.table("embeddings").upsert(changed, on_conflict="kind,entity_id"))
            written += len(rows)
        return Refreshed(written=written, forgotten=forgotten)


def _text(name: str, content: str) -> str:
    return f"{name.replace('_', ' ')}: {content}"
