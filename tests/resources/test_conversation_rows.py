"""Conversations and drafts over REST, as the agent and a person use them."""

from typing import Any
from uuid import UUID, uuid4

import pytest
from supabase import Client

from constellation_dagster.domain.conversations import (
    ChatMessage,
    DraftProposal,
    Provenance,
    Question,
    TurnResult,
    draft_id,
)
from constellation_dagster.domain.errors import Problem
from constellation_dagster.resources.conversation_rows import ConversationRows
from constellation_dagster.resources.draft_rows import DraftRows
from constellation_dagster.resources.rest import SupabaseError, fetch
from tests.stack_fixture import RunningStack

pytestmark = [pytest.mark.xdist_group("stack"), pytest.mark.timeout(300)]


def proposal(**changes: Any) -> DraftProposal:
    """A draft of one node."""
    spec = {
        "name": f"p{uuid4().hex[:8]}",
        "nodes": [{"id": "load", "block": "read_csv", "config": {"url": "a.csv"}}],
        "edges": [],
    }
    provenance = Provenance(planner="embedded", rounds=2, request="Load it")
    return DraftProposal(spec=spec, provenance=provenance, explanation="1. It loads.", **changes)


@pytest.fixture
def rows(stack: RunningStack) -> ConversationRows:
    return ConversationRows(stack.service())


@pytest.fixture
def person(stack: RunningStack) -> Client:
    return stack.person()


@pytest.fixture
def conversation(person: Client) -> str:
    return fetch(person.table("conversations").insert({"id": str(uuid4())}))[0]["id"]


def say(person: Client, conversation: str, content: str) -> UUID:
    """A person's message."""
    row = {"conversation_id": conversation, "content": content}
    return UUID(fetch(person.table("messages").insert(row))[0]["id"])


def due(rows: ConversationRows, conversation: str) -> list[UUID]:
    """What is due of one conversation."""
    return [row.id for row in rows.due(500) if str(row.conversation_id) == conversation]


def test_a_conversation(rows: ConversationRows, person: Client, conversation: str) -> None:
    first = say(person, conversation, "Load it")
    second = say(person, conversation, "And plot it")
    assert due(rows, conversation) == [first]
    assert rows.begin(first, "run-1")
    assert not rows.begin(second, "run-2")
    assert (first, "run-1") in rows.running()
    thread = rows.thread(first)
    assert thread.messages == (ChatMessage(role="user", content="Load it"),)
    assert (thread.request, thread.last_draft) == ("Load it", None)
    assert thread.owner_email
    assert thread.owner_email.endswith("@example.org")

    made = proposal()
    reply = rows.finish(first, TurnResult(reply="Here.", draft=made, tokens_in=7))
    assert reply is not None
    assert rows.finish(first, TurnResult(reply="Here again.", draft=proposal())) == reply
    DraftRows(person).reject(draft_id(first), "no, the other file")
    assert due(rows, conversation) == [second]

    thread = rows.thread(second)
    assert [(message.role, message.content) for message in thread.messages] == [
        ("user", "Load it"),
        ("assistant", "Here."),
        ("user", f"I reject the draft {made.spec['name']!r}: no, the other file"),
        ("user", "And plot it"),
    ]
    assert thread.last_draft is not None
    assert thread.last_draft.id == draft_id(first)
    assert (thread.last_draft.status, thread.last_draft.reason) == (
        "rejected",
        "no, the other file",
    )
    assert thread.last_draft.provenance == made.provenance
    assert thread.last_draft.spec == made.spec


def test_a_dead_turn(rows: ConversationRows, person: Client, conversation: str) -> None:
    message = say(person, conversation, "Load it")
    assert rows.begin(message, "run-1")
    assert rows.begin(message, "run-2", instead_of="run-1")
    assert rows.release(message, run_id="run-1") == "running"
    assert rows.release(message, run_id="run-2", tries=0) == "requested"
    assert [row.tries for row in rows.due(500) if row.id == message] == [1]
    assert rows.release(message) == "requested"
    assert rows.release(message) == "failed"
    assert rows.release(uuid4()) is None
    fetch(person.table("conversations").delete().eq("id", conversation))
    assert rows.finish(message, TurnResult(reply="Late.")) is None
    with pytest.raises(SupabaseError, match="it was deleted"):
        rows.thread(message)


def test_a_failed_turn(rows: ConversationRows, person: Client, conversation: str) -> None:
    message = say(person, conversation, "Load it")
    rows.finish(message, TurnResult(reply="No.", error={"code": "x", "message": "y"}))
    found = fetch(person.table("messages").select("status,error").eq("id", str(message)))
    assert found == [{"status": "failed", "error": {"code": "x", "message": "y"}}]


def test_drafts_of_a_person(
    rows: ConversationRows, person: Client, conversation: str, stack: RunningStack
) -> None:
    ready, incomplete = (say(person, conversation, text) for text in ("Load it", "Plot it"))
    made = proposal(sample={"load.table": {"rows": 3}})
    rows.finish(ready, TurnResult(reply="Here.", draft=made))
    open_ones = proposal(
        questions=(Question(node="load", key="url", text="Which file?", options=("a", "b")),),
        problems=(Problem(code="x", message="There is no column 'y'."),),
    )
    rows.finish(incomplete, TurnResult(reply="Which one?", draft=open_ones))
    drafts = DraftRows(person)
    assert [row.id for row in drafts.list()] == [draft_id(incomplete), draft_id(ready)]
    assert [row.id for row in drafts.list("ready")] == [draft_id(ready)]
    assert drafts.get(draft_id(ready)).sample == made.sample
    row = drafts.get(draft_id(incomplete))
    assert (row.questions, row.problems) == (open_ones.questions, open_ones.problems)
    with pytest.raises(SupabaseError, match=r"(?s)it cannot be approved.*Which file\?"):
        drafts.approve(row.id)

    pipeline = drafts.approve(draft_id(ready))
    assert drafts.approve(draft_id(ready)) == pipeline
    found = fetch(person.table("pipelines").select("name,status").eq("id", str(pipeline)))
    assert found[0]["name"] == made.spec["name"]
    with pytest.raises(SupabaseError, match="is approved: it cannot be rejected"):
        drafts.reject(draft_id(ready))
    with pytest.raises(SupabaseError, match="There is no draft"):
        DraftRows(stack.person()).get(draft_id(ready))
