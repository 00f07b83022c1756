"""What a language model was asked and said, kept over REST."""

from uuid import UUID, uuid4

import pytest

from constellation_dagster.resources.completion_rows import CompletionRows
from constellation_dagster.resources.rest import SupabaseError, fetch
from tests.stack_fixture import RunningStack

pytestmark = [pytest.mark.xdist_group("stack"), pytest.mark.timeout(300)]


def test_completions_are_their_owners(stack: RunningStack) -> None:
    person, rows = stack.person(), CompletionRows(stack.service())
    conversation = fetch(person.table("conversations").insert({"id": str(uuid4())}))[0]["id"]
    said = {"conversation_id": conversation, "content": "Load it"}
    message = UUID(fetch(person.table("messages").insert(said))[0]["id"])
    request = {"messages": [{"role": "user", "content": "Load it"}], "max_tokens": 500}
    # Models write what no text in Postgres can hold.
    rows.add(message, "small", request, {"content": "{\x00}\ud83d…", "refusal": None})
    found = fetch(person.table("completions").select("message_id,model,request,response"))
    assert found == [
        {
            "message_id": str(message),
            "model": "small",
            "request": request,
            "response": {"content": "{\ufffd}?…", "refusal": None},
        }
    ]
    assert fetch(stack.person().table("completions").select("id")) == []
    with pytest.raises(SupabaseError, match=r"row-level security|permission denied"):
        CompletionRows(person).add(message, "small", {}, {})
    with pytest.raises(SupabaseError, match="there is no message"):
        rows.add(uuid4(), "small", request, {})
    fetch(person.table("conversations").delete().eq("id", conversation))
    assert fetch(person.table("completions").select("id")) == []
