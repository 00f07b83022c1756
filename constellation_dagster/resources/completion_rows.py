"""Rows of `completions`: what a language model was asked and what it said."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID, uuid4

from postgrest.types import ReturnMethod

from constellation_dagster.resources.rest import fetch

if TYPE_CHECKING:
    from supabase import Client


class CompletionRows:
    """Writes completions as the platform."""

    def __init__(self, client: "Client") -> None:
        self._client = client

    def add(
        self,
        message_id: UUID,
        model: str,
        request: Mapping[str, Any],
        response: Mapping[str, Any],
    ) -> None:
        """Keeps one completion; whose it is, the message says.

        Args:
            message_id: The message that was being answered.
            model: Name of the model.
            request: What it was asked, without secrets.
            response: What it said, without secrets.

        Raises:
            SupabaseError: The message is gone, or nobody answers.
        """
        row = {
            "id": str(uuid4()),
            "message_id": str(message_id),
            "model": model,
            "request": _storable(request),
            "response": _storable(response),
        }
        # By its id, so that saying it again after a lost answer does not keep it twice.
        fetch(
            self._client.table("completions").upsert(
                row, on_conflict="id", ignore_duplicates=True, returning=ReturnMethod.minimal
            )
        )


def _storable(value: object) -> Any:
    """The same without what Postgres keeps in no text: NUL, and halves of a character."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode().replace("\x00", "\ufffd")
    if isinstance(value, Mapping):
        items = cast("Mapping[object, object]", value).items()
        return {_storable(str(key)): _storable(item) for key, item in items}
    if isinstance(value, list | tuple):
        return [_storable(item) for item in cast("list[object]", value)]
    return value
