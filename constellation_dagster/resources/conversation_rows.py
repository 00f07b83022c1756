"""Rows of `conversations`, `messages` and `drafts`, as the agent reads and answers them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

from constellation_dagster.domain.conversations import (
    ChatMessage,
    DraftRow,
    DueMessage,
    Thread,
    TurnResult,
    draft_id,
)
from constellation_dagster.resources.rest import SupabaseError, fetch

if TYPE_CHECKING:
    from supabase import Client

# A planner reads less than this; older messages are left out.
MESSAGES_PER_THREAD = 200
OPEN_PER_TICK = 500


class ConversationRows:
    """Reads and answers messages as the platform."""

    def __init__(self, client: "Client") -> None:
        self._client = client

    def due(self, limit: int = 20) -> list[DueMessage]:
        """Messages to be answered next, one of each conversation at most, oldest first."""
        rows = fetch(self._client.rpc("due_messages", {"lim": limit}))
        return [DueMessage.model_validate(row) for row in rows]

    def running(self) -> list[tuple[UUID, str]]:
        """Messages that are being answered, and the Dagster run that does so."""
        rows = fetch(
            self._client.table("messages")
            .select("id,dagster_run_id")
            .eq("status", "running")
            .order("position")
            .limit(OPEN_PER_TICK)
        )
        return [(UUID(row["id"]), row["dagster_run_id"]) for row in rows]

    def begin(self, message_id: UUID, run_id: str, instead_of: str | None = None) -> bool:
        """Says that a run answers a message.

        Args:
            message_id: The message.
            run_id: The Dagster run.
            instead_of: The run that this one is a re-execution of, if any.

        Returns:
            Whether the run may: nobody else does, and there is no answer yet.
        """
        arguments = {
            "message": str(message_id),
            "dagster_run_id": run_id,
            "instead_of": instead_of,
        }
        return fetch(self._client.rpc("begin_turn", arguments))

    def thread(self, message_id: UUID) -> Thread:
        """The conversation up to a message, which comes last.

        Raises:
            SupabaseError: The message is gone.
        """
        asked = self._asked(message_id)
        conversation, owner = UUID(asked["conversation_id"]), UUID(asked["owner"])
        before = self._said(conversation, asked["position"])
        places: dict[str, int] = {
            row["id"]: row["position"] for row in before if row["role"] == "user"
        }
        # A reply goes with its message, even where the person had said more by then.
        said = sorted(
            (row for row in before if _asked_by(row) in places),
            key=lambda row: (places[_asked_by(row)], row["position"]),
        )
        drafts = {draft.message_id: draft for draft in self._drafts(conversation)}
        messages: list[ChatMessage] = []
        last_draft: DraftRow | None = None
        for row in said:
            messages.append(ChatMessage(role=row["role"], content=row["content"]))
            draft = drafts.get(UUID(row["reply_to"])) if row["reply_to"] else None
            if draft is not None:
                last_draft = draft
                messages += _rejection(draft)
        messages.append(ChatMessage(role="user", content=asked["content"]))
        return Thread(
            message_id=message_id,
            conversation_id=conversation,
            owner=owner,
            owner_email=self._email(owner),
            messages=tuple(messages),
            last_draft=last_draft,
        )

    def finish(self, message_id: UUID, result: TurnResult) -> UUID | None:
        """Writes the reply and the draft of a turn and ends it, all or nothing.

        Returns:
            The reply's id, that of the first one if the message has been answered before; None if
            the message was deleted meanwhile.
        """
        arguments: Mapping[str, Any] = {
            "message": str(message_id),
            "reply": result.reply,
            "draft": None
            if result.draft is None
            else result.draft.model_dump(mode="json") | {"id": str(draft_id(message_id))},
            "usage": {
                "tokens_in": result.tokens_in,
                "tokens_out": result.tokens_out,
                "latency_ms": result.latency_ms,
            },
            "error": dict(result.error) if result.error is not None else None,
        }
        reply = fetch(self._client.rpc("finish_turn", dict(arguments)))
        return UUID(reply) if reply else None

    def release(
        self, message_id: UUID, run_id: str | None = None, tries: int | None = None
    ) -> str | None:
        """Has a message answered by another run because its own is dead; the third time it fails.

        Args:
            message_id: The message.
            run_id: Only if this is still its run.
            tries: Only if this is still its number of tries.

        Returns:
            The message's status afterwards; None if it is gone.
        """
        arguments = {"message": str(message_id), "dagster_run_id": run_id, "tried": tries}
        return fetch(self._client.rpc("release_turn", arguments))

    def prune_completions(self, days: int) -> int:
        """Deletes completions older than so many days; returns how many."""
        return fetch(self._client.rpc("prune_completions", {"keep": f"{days} days"}))

    def _asked(self, message_id: UUID) -> dict[str, Any]:
        """A person's message."""
        rows = fetch(
            self._client.table("messages")
            .select("id,conversation_id,owner,content,position")
            .eq("id", str(message_id))
            .eq("role", "user")
        )
        if not rows:
            raise SupabaseError(f"There is no message {message_id}: it was deleted.")
        return rows[0]

    def _said(self, conversation: UUID, position: int) -> list[dict[str, Any]]:
        """What the person said before a position and all replies, newest first."""
        return fetch(
            self._client.table("messages")
            .select("id,role,content,reply_to,position")
            .eq("conversation_id", str(conversation))
            .or_(f"position.lt.{position},role.eq.assistant")
            .order("position", desc=True)
            .limit(MESSAGES_PER_THREAD)
        )

    def _drafts(self, conversation: UUID) -> list[DraftRow]:
        rows = fetch(
            self._client.table("drafts")
            .select("*")
            .eq("conversation_id", str(conversation))
            .order("created_at", desc=True)
            .limit(MESSAGES_PER_THREAD)
        )
        return [DraftRow.model_validate(row) for row in rows]

    def _email(self, owner: UUID) -> str | None:
        rows = fetch(self._client.table("profiles").select("email").eq("id", str(owner)))
        return rows[0]["email"] if rows else None


def _asked_by(row: Mapping[str, Any]) -> str:
    """The person's message that a row is or replies to."""
    return row["reply_to"] or row["id"]


def _rejection(draft: DraftRow) -> list[ChatMessage]:
    """What the person said by rejecting a draft."""
    if draft.status != "rejected":
        return []
    why = f": {draft.reason}" if draft.reason else "."
    return [ChatMessage(role="user", content=f"I reject the draft {draft.name!r}{why}")]
