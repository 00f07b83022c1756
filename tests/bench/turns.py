"""How long a message waits for its draft, and which part of that is Dagster's, the planner's, ours.

A real embedded stack in a home of its own; messages come one by one, at random moments, each in a
conversation of its own. The peer is an empty run of the same job in the same minutes: one for a
message that is not there, whose first op finds nothing to do. What that one takes from its creation
to its first op is Dagster's own launch.
"""

import random
import tempfile
import time
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any
from uuid import uuid4

import dagster as dg
import psycopg

from constellation_dagster.jobs.turns import MESSAGE_TAG, agent_turn
from tests.bench.reaction import finished_run, instance_on, one_row, running_stack
from tests.bench.report import middle_and_worst, print_table
from tests.end_to_end.person import Person, graphql, wait_for

TURNS = 8
LONGEST_PAUSE = 5.0
REQUEST = (
    "Load the penguins sample data, drop incomplete rows, train a classifier for species, "
    "evaluate it and draw a scatter chart of bill_length_mm and bill_depth_mm colored by species"
)
# Each part ends where the next op starts; the last one with the reply.
OPS = ("gather_context", "plan", "check_and_repair", "run_sample", "write_draft")
PARTS = ("run created", "launch", "gather", "plan", "check", "sample", "draft, reply")
OURS = ("run created", "gather", "check", "draft, reply")

LAUNCH = """
mutation Launch($tags: [ExecutionTag!]) { launchRun(executionParams: {
  selector: {repositoryLocationName: "constellation_dagster", repositoryName: "__repository__",
             jobName: "agent_turn"}, executionMetadata: {tags: $tags}}) {
  ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }
"""
MOMENTS = """
select asked.created_at, said.created_at, said.dagster_run_id, asked.draft_id
from public.messages asked join public.messages said on said.reply_to = asked.id
where asked.id = %s
"""


def _starts(instance: dg.DagsterInstance, run_id: str) -> tuple[float, dict[str, float]]:
    """When a run was created, and when each of its ops started."""
    record = instance.get_run_record_by_id(run_id)
    assert record is not None
    started = {
        str(entry.step_key): entry.timestamp
        for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_START)
    }
    return record.create_timestamp.timestamp(), started


def _turn(
    person: Person, instance: dg.DagsterInstance, database: psycopg.Connection
) -> dict[str, float]:
    """Says something and waits for its draft; seconds by part."""
    conversation = person.rows(person.client.table("conversations").insert({}))[0]["id"]
    row = {"conversation_id": conversation, "content": REQUEST}
    message = person.rows(person.client.table("messages").insert(row))[0]["id"]
    replies = person.client.table("messages").select("id").eq("reply_to", message)
    wait_for(lambda: person.rows(replies), "reply")
    asked, replied, run_id, draft = one_row(database, MOMENTS, message)
    assert draft is not None, "no draft came of it"
    created, started = _starts(instance, run_id)
    moments = [asked.timestamp(), created, *(started[op] for op in OPS), replied.timestamp()]
    return dict(zip(PARTS, (after - before for before, after in pairwise(moments)), strict=True))


def _empty_run(person: Person, instance: dg.DagsterInstance) -> float:
    """Seconds from the creation of a run with nothing to do to its first op."""
    tags = [{"key": MESSAGE_TAG, "value": str(uuid4())}]
    run_id = graphql(person.stack, LAUNCH, tags=tags)["launchRun"]["run"]["runId"]
    finished_run(instance, dg.RunsFilter(run_ids=[run_id], job_name=agent_turn.name))
    created, started = _starts(instance, run_id)
    return started[OPS[0]] - created


def _table(turns: Sequence[Mapping[str, float]], launches: Sequence[float]) -> list[list[str]]:
    whole = [sum(turn.values()) for turn in turns]
    rest = [sum(turn[part] for part in OURS) for turn in turns]
    columns: dict[str, Sequence[float]] = {
        **{part: [turn[part] for turn in turns] for part in PARTS},
        "row to reply": whole,
        "row to reply without launch, plan and sample": rest,
        "an empty run's launch": launches,
    }
    return [
        [what, middle_and_worst(seconds), f"{median(seconds) / median(launches):.2f}"]
        for what, seconds in columns.items()
    ]


def main() -> None:
    """Measures and prints."""
    pauses = random.Random(7)
    turns: list[dict[str, float]] = []
    launches: list[float] = []
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as name,
        running_stack(Path(name) / "home") as stack,
        psycopg.connect(stack.variables["DATABASE_URL"], autocommit=True) as database,
    ):
        instance = instance_on(
            Path(name) / "dagster", stack.variables["CONSTELLATION_DAGSTER_POSTGRES_URL"]
        )
        person: Any = Person(stack.person(), stack)
        for _ in range(TURNS + 1):
            time.sleep(pauses.uniform(0, LONGEST_PAUSE))
            turns.append(_turn(person, instance, database))
            launches.append(_empty_run(person, instance))
    del turns[0], launches[0]  # the first of each does not count
    print_table(
        f"turns: seconds from a message to its draft, by part, p50 (worst) of {TURNS}; in the last "
        "column medians as multiples of an empty run's launch",
        ["what", "seconds", "launches"],
        _table(turns, launches),
    )
