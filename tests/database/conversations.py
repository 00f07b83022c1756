"""Conversations for the tests of the schema."""

from typing import Any
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb

from tests.database.rows import SPEC, value
from tests.roles import as_service, as_user

USAGE = {"tokens_in": 10, "tokens_out": 5, "latency_ms": 120}


def start(connection: psycopg.Connection, user: UUID) -> UUID:
    """A conversation of a person."""
    with as_user(connection, user):
        return value(connection, "insert into conversations default values returning id")


def say(
    connection: psycopg.Connection, user: UUID, conversation: UUID, content: str = "Plot it"
) -> UUID:
    """A person's message."""
    with as_user(connection, user):
        return value(
            connection,
            "insert into messages (conversation_id, content) values (%s, %s) returning id",
            conversation,
            content,
        )


def due(connection: psycopg.Connection, lim: int = 20) -> list[UUID]:
    """Ids of the messages to be answered next."""
    with as_service(connection):
        return [row[0] for row in connection.execute("select id from due_messages(%s)", (lim,))]


def begin(connection: psycopg.Connection, message: UUID, run: str, *, instead: str = "") -> bool:
    """Whether a run may answer a message."""
    with as_service(connection):
        return value(connection, "select begin_turn(%s, %s, %s)", message, run, instead or None)


def release(
    connection: psycopg.Connection,
    message: UUID,
    run: str | None = None,
    tried: int | None = None,
) -> str | None:
    """What a message is after its run was found dead."""
    with as_service(connection):
        return value(connection, "select release_turn(%s, %s, %s)", message, run, tried)


def draft(**changes: object) -> dict[str, Any]:
    """A draft as the agent hands it over."""
    proposal: dict[str, Any] = {
        "spec": SPEC,
        "diagram": "flowchart LR",
        "explanation": "1. It loads.",
        "questions": [],
        "problems": [],
        "sample": None,
        "provenance": {"planner": "embedded"},
    }
    return proposal | changes


def finish(
    connection: psycopg.Connection,
    message: UUID,
    reply: str = "Here it is.",
    proposal: dict[str, Any] | None = None,
    error: dict[str, Any] | None = None,
) -> UUID | None:
    """Ends a turn; returns the reply."""
    with as_service(connection):
        return value(
            connection,
            "select finish_turn(%s, %s, %s, %s, %s)",
            message,
            reply,
            Jsonb(proposal) if proposal is not None else None,
            Jsonb(USAGE),
            Jsonb(error) if error is not None else None,
        )


def proposed(connection: psycopg.Connection, user: UUID, **changes: object) -> UUID:
    """A draft that a person was given in a conversation of its own."""
    message = say(connection, user, start(connection, user))
    begin(connection, message, "run")
    finish(connection, message, proposal=draft(**changes))
    return value(connection, "select id from drafts where message_id = %s", message)
