"""Rows of `drafts`: pipelines that the agent proposes and a person decides on."""

from typing import TYPE_CHECKING
from uuid import UUID

from constellation_dagster.domain.conversations import DraftRow, DraftStatus
from constellation_dagster.resources.rest import SupabaseError, fetch

if TYPE_CHECKING:
    from supabase import Client

PAGE = 100


class DraftRows:
    """Drafts of the person that the client is signed in as."""

    def __init__(self, client: "Client") -> None:
        self._client = client

    def list(self, status: DraftStatus | None = None, limit: int = PAGE) -> "list[DraftRow]":
        """The person's drafts, newest first.

        Args:
            status: Those of this status only.
            limit: How many at most.
        """
        query = (
            self._client.table("drafts")
            .select("*")
            .order("created_at", desc=True)
            .order("id")
            .limit(limit)
        )
        rows = fetch(query.eq("status", status) if status is not None else query)
        return [DraftRow.model_validate(row) for row in rows]

    def get(self, draft: UUID) -> DraftRow:
        """One draft.

        Raises:
            SupabaseError: There is none of this id for this person.
        """
        rows = fetch(self._client.table("drafts").select("*").eq("id", str(draft)))
        if not rows:
            raise SupabaseError(
                f"There is no draft {draft} of yours. See `constellation draft list`."
            )
        return DraftRow.model_validate(rows[0])

    def approve(self, draft: UUID, name: str | None = None) -> UUID:
        """Makes a pipeline of a draft and has it published; approved again nothing changes.

        Args:
            draft: Its id.
            name: The pipeline's name, if not the draft's.

        Returns:
            The pipeline's id.

        Raises:
            SupabaseError: The draft is incomplete, rejected or not this person's, its name is
                taken, or the pipeline that it changes has been changed meanwhile.
        """
        arguments = {"draft": str(draft), "name": name}
        return UUID(fetch(self._client.rpc("approve_draft", arguments)))

    def reject(self, draft: UUID, reason: str | None = None) -> None:
        """Turns a draft down; the agent reads the reason with the next message.

        Raises:
            SupabaseError: The draft is approved, or not this person's.
        """
        fetch(self._client.rpc("reject_draft", {"draft": str(draft), "reason": reason}))
