"""`constellation chat`: say what you want, and see the draft that comes of it."""

import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated
from uuid import UUID, uuid4

import typer

from constellation_dagster.cli.drafts import as_id
from constellation_dagster.domain.errors import ConstellationError

if TYPE_CHECKING:
    from supabase import Client

LOOK_SECONDS = 0.5


class NoReply(ConstellationError):
    """A message has no reply in time."""


@dataclass(frozen=True)
class Reply:
    """What the agent said.

    Attributes:
        conversation: Where it was said, to go on in.
        content: The reply, as Markdown.
        draft: The draft that came of the message, if one did.
        failed: Whether the message could not be answered; then the reply says why.
    """

    conversation: UUID
    content: str
    draft: UUID | None
    failed: bool


def chat(
    message: Annotated[
        str | None,
        typer.Argument(
            help="What you want, in your own words. Without it you are asked, line by line.",
            show_default=False,
        ),
    ] = None,
    conversation: Annotated[
        str | None,
        typer.Option(help="Go on in this conversation, such as to change its last draft."),
    ] = None,
    seconds: Annotated[float, typer.Option(help="How long to wait for the reply.", min=1)] = 300.0,
) -> None:
    """Ask the agent for a pipeline, or about what you have."""
    from constellation_dagster.resources.person import person_client

    known = as_id(conversation, "conversation") if conversation is not None else None
    client = person_client()
    if message is None:
        _converse(client, known, seconds)
        return
    reply = ask(client, message, known, seconds)
    ready = _print_draft(client, reply)
    verb = "Answer" if reply.draft and not ready else "Go on"
    typer.echo(
        f'{verb} with `constellation chat --conversation {reply.conversation} "…"`.', err=True
    )
    if reply.failed:
        raise typer.Exit(1)


def ask(client: "Client", message: str, conversation: UUID | None, seconds: float) -> Reply:
    """Says something and prints what comes back, piece by piece where that can be had.

    Args:
        client: Signed in as who says it.
        message: What is said.
        conversation: Where; None begins a new one.
        seconds: How long to wait.

    Raises:
        SupabaseError: The message is too long or empty, or there is no such conversation.
        NoReply: There is no reply in time, or the conversation was deleted meanwhile.
    """
    asked, known = _say(client, message, conversation)
    try:
        streamed = _follow(client, asked, seconds)
        reply = _reply(client, asked, known)
    except KeyboardInterrupt:
        typer.echo(
            "\nYour message stands, and is answered all the same: see `constellation draft list`, "
            f'or go on with `constellation chat --conversation {known} "…"`.',
            err=True,
        )
        raise
    if streamed.strip() == reply.content.strip():
        typer.echo()
    else:
        typer.echo(reply.content)
    return reply


def _converse(client: "Client", conversation: UUID | None, seconds: float) -> None:
    """Asks for a line, answers it, and so on to the end of the input."""
    if sys.stdin.isatty():
        typer.echo("Say what you want, a line at a time; Ctrl-D ends it.", err=True)
    while True:
        typer.echo("> ", nl=False, err=True)
        line = sys.stdin.readline()
        if not line:
            typer.echo(err=True)
            return
        if line.strip():
            reply = ask(client, line.strip(), conversation, seconds)
            conversation = reply.conversation
            _print_draft(client, reply)


def _print_draft(client: "Client", reply: Reply) -> bool:
    """Says which draft came of it; returns whether it is ready. What is open stands in the reply."""
    from constellation_dagster.resources.draft_rows import DraftRows

    if reply.draft is None:
        return False
    typer.echo(f"\nDraft {reply.draft}")
    ready = DraftRows(client).get(reply.draft).status == "ready"
    if ready:
        typer.echo(f"Approve it with `constellation draft approve {reply.draft}`.", err=True)
    return ready


def _say(client: "Client", message: str, conversation: UUID | None) -> tuple[UUID, UUID]:
    """Inserts a message; returns its id and its conversation's."""
    from constellation_dagster.resources.rest import SupabaseError, fetch, insert

    asked, known = uuid4(), conversation or uuid4()
    if conversation is None:
        insert(client.table("conversations").insert({"id": str(known)}))
    row = {"id": str(asked), "conversation_id": str(known), "content": message}
    try:
        insert(client.table("messages").insert(row))
    except SupabaseError:
        if conversation is None:  # nothing was said in it
            fetch(client.table("conversations").delete().eq("id", str(known)))
        raise
    return asked, known


def _follow(client: "Client", message: UUID, seconds: float) -> str:
    """Shows what happens until the message is final; returns what it has shown of the reply."""
    from constellation_dagster.resources.turn_streams import TurnStream
    from constellation_dagster.settings import get_settings

    deadline = time.monotonic() + seconds
    shown = ""
    # The row is looked at whenever nothing happens, for the server may be gone or the run dead.
    for event in TurnStream(get_settings().redis_url, message).follow(LOOK_SECONDS):
        if event is None and (time.monotonic() > deadline or _is_final(client, message)):
            break
        if event is not None and event.kind == "progress":
            typer.echo(event.text, err=True)
        elif event is not None and event.kind == "token":
            typer.echo(event.text, nl=False)
            shown += event.text
    while not _is_final(client, message):
        if time.monotonic() > deadline:
            raise NoReply(
                f"Message {message} has no reply after {seconds:g} s, but may still get one: see "
                "its row, `constellation status` and the runs of agent_turn in the Dagster UI."
            )
        time.sleep(LOOK_SECONDS)
    return shown


def _is_final(client: "Client", message: UUID) -> bool:
    from constellation_dagster.resources.rest import fetch

    rows = fetch(client.table("messages").select("status").eq("id", str(message)))
    if not rows:
        raise NoReply(f"Message {message} is gone: its conversation was deleted.")
    return rows[0]["status"] in ("answered", "failed")


def _reply(client: "Client", message: UUID, conversation: UUID) -> Reply:
    from constellation_dagster.resources.rest import fetch

    columns = "content,draft_id,status"
    rows = fetch(client.table("messages").select(columns).eq("reply_to", str(message)))
    if not rows:
        raise NoReply(f"Message {message} is gone: its conversation was deleted.")
    [row] = rows
    draft = UUID(row["draft_id"]) if row["draft_id"] else None
    return Reply(conversation, row["content"], draft, failed=row["status"] == "failed")
