"""A sentence becomes a draft, and a draft a pipeline that runs, for real."""

import os
import signal
from typing import Any
from uuid import UUID

import psycopg
import pytest

from constellation_dagster.domain.conversations import draft_id
from tests.end_to_end.person import Person, graphql, new_name, wait_for
from tests.end_to_end.test_when_processes_die import worker_of
from tests.stack_fixture import RunningStack

pytestmark = [pytest.mark.xdist_group("stack"), pytest.mark.timeout(300)]

REQUEST = (
    "Load the penguins sample data, drop incomplete rows and keep only the columns species and "
    "island."
)
PARTITION = """
query Partition($partition: String!) { assetOrError(assetKey: {path: ["generated_pipelines"]}) {
  ... on Asset { assetMaterializations(partitions: [$partition]) { metadataEntries { label
    ... on TextMetadataEntry { text } ... on MarkdownMetadataEntry { mdStr } } } } } }
"""
CHECKS = """
query Checks($check: String!) { assetCheckExecutions(
  assetKey: {path: ["generated_pipelines"]}, checkName: $check, limit: 100) {
  evaluation { partition success } } }
"""
RUNS = """
query Runs($message: String!) {
  runsOrError(filter: {tags: [{key: "constellation/message", value: $message}]}) {
    ... on Runs { results { runId } } } }
"""
WAITING = "select count(*) from pg_locks where not granted and relation = %s::regclass"


def say(person: Person, content: str, conversation: str | None = None) -> dict[str, Any]:
    """Inserts a message, in a new conversation if none is given."""
    if conversation is None:
        conversation = person.rows(person.client.table("conversations").insert({}))[0]["id"]
    row = {"conversation_id": conversation, "content": content}
    return person.rows(person.client.table("messages").insert(row))[0]


def replies(person: Person, message: dict[str, Any]) -> list[dict[str, Any]]:
    return person.rows(person.client.table("messages").select("*").eq("reply_to", message["id"]))


def answered(person: Person, message: dict[str, Any]) -> dict[str, Any]:
    """The reply to a message, once there is one."""
    [reply] = wait_for(lambda: replies(person, message), "reply")
    return reply


def draft_of(person: Person, message: dict[str, Any]) -> dict[str, Any]:
    query = person.client.table("drafts").select("*").eq("message_id", message["id"])
    [draft] = person.rows(query)
    return draft


def runs_of(person: Person, message: dict[str, Any]) -> list[str]:
    """The Dagster runs for a message, the last one first."""
    found = graphql(person.stack, RUNS, message=message["id"])
    return [run["runId"] for run in found["runsOrError"]["results"]]


def test_a_sentence_becomes_a_pipeline_that_runs(person: Person, stack: RunningStack) -> None:
    message = say(person, REQUEST)
    reply = answered(person, message)
    assert reply["status"] == "answered", reply["error"]
    draft = draft_of(person, message)
    assert reply["draft_id"] == draft["id"] == str(draft_id(UUID(message["id"])))
    assert draft["status"] == "ready", draft["questions"]
    assert draft["provenance"]["request"] == REQUEST
    assert reply["latency_ms"] > 0

    name = new_name("spoken")
    arguments = {"draft": draft["id"], "name": name}
    pipeline: Any = person.rows(person.client.rpc("approve_draft", arguments))
    row = person.settled(pipeline)
    assert row["status"] == "published", row["problems"]
    assert row["name"] == name
    run = person.ended(person.ask_for_run(row["id"]))
    assert run["status"] == "succeeded", run["error"]


def test_the_draft_is_a_partition_with_its_story(person: Person, stack: RunningStack) -> None:
    message = say(person, REQUEST)
    answered(person, message)
    draft = draft_of(person, message)["id"]
    found = graphql(stack, PARTITION, partition=draft)["assetOrError"]["assetMaterializations"]
    [materialization] = found
    entries = {entry["label"]: entry for entry in materialization["metadataEntries"]}
    assert entries["request"]["text"] == REQUEST
    assert "block: sample_data" in entries["pipeline"]["mdStr"]
    assert entries["diagram"]["mdStr"].startswith("```mermaid\n")
    for check in ("compiles", "config_complete"):
        executions = graphql(stack, CHECKS, check=check)["assetCheckExecutions"]
        said = [e["evaluation"] for e in executions if e["evaluation"]["partition"] == draft]
        assert [evaluation["success"] for evaluation in said] == [True]


def test_messages_of_a_conversation_are_answered_in_order(person: Person) -> None:
    first = say(person, REQUEST)
    others = [say(person, REQUEST, first["conversation_id"]) for _ in range(2)]
    ours = [first, *others]
    told = [answered(person, message) for message in ours]
    assert [reply["position"] for reply in told] == sorted(reply["position"] for reply in told)
    assert len({reply["dagster_run_id"] for reply in told}) == len(ours)


@pytest.mark.faults
@pytest.mark.parametrize(
    ("lock", "hold"),
    [
        pytest.param("conversations in exclusive", None, id="before it begins"),
        pytest.param("drafts in access exclusive", "drafts", id="while it reads"),
        pytest.param("drafts in share", "drafts", id="while it replies"),
    ],
)
def test_a_killed_turn_is_answered_once(
    person: Person, stack: RunningStack, lock: str, hold: str | None
) -> None:
    message = say(person, REQUEST)
    # Well before a process for the run has started.
    with psycopg.connect(stack.variables["DATABASE_URL"]) as connection:
        lock_table, mode = lock.split(" in ")
        connection.execute(f"lock table public.{lock_table} in {mode} mode".encode())
        [run] = wait_for(lambda: runs_of(person, message), "run")
        if hold is not None:
            wait_for(lambda: waits(stack, hold), "wait for the lock")
        worker = wait_for(lambda: worker_if_any(stack, run), "worker")
        os.kill(worker, signal.SIGKILL)
    reply = answered(person, message)
    assert reply["status"] == "answered", reply["error"]
    draft_of(person, message)  # one of them
    # Nothing comes after it: the next message is answered when this one is done with.
    later = say(person, REQUEST, message["conversation_id"])
    answered(person, later)
    assert replies(person, message) == [reply]
    drafts = person.client.table("drafts").select("id")
    assert len(person.rows(drafts.eq("conversation_id", message["conversation_id"]))) == 2


@pytest.mark.faults
def test_a_failed_turn_is_repeated_at_once(person: Person, stack: RunningStack) -> None:
    url = stack.variables["DATABASE_URL"]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("revoke select on public.drafts from service_role")
        try:
            message = say(person, REQUEST)
            wait_for(lambda: len(runs_of(person, message)) > 1, "second run")
        finally:
            connection.execute("grant select on public.drafts to service_role")
    reply = answered(person, message)
    assert reply["status"] == "answered", reply["error"]
    assert reply["dagster_run_id"] in runs_of(person, message)[:-1]  # not the first one


def worker_if_any(stack: RunningStack, run: str) -> int | None:
    """The process that works on a run, once it is launched."""
    try:
        return worker_of(stack, {"dagster_run_id": run})
    except AssertionError:
        return None


def waits(stack: RunningStack, table: str) -> bool:
    """Whether somebody waits for a table."""
    with psycopg.connect(stack.variables["DATABASE_URL"]) as connection:
        row = connection.execute(WAITING, (f"public.{table}",)).fetchone()
    assert row is not None
    return row[0] > 0
