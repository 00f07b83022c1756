"""What is killed for real, in the middle of a run, and what the rows say afterwards."""

import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.person import Person, graphql, new_name, wait_for
from tests.stack_fixture import RunningStack

pytestmark = [pytest.mark.faults, pytest.mark.xdist_group("stack"), pytest.mark.timeout(300)]

EVENTS = """query Events($id: ID!) { runOrError(runId: $id) { ... on Run {
  eventConnection { events { ... on MessageEvent { message } } } } } }"""
STATUS = "query Run($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"


@pytest.fixture
def pipe(stack: RunningStack) -> Path:
    """A file that its reader waits for until somebody writes it."""
    path = stack.home / "files" / f"{new_name('slow')}.csv"
    path.parent.mkdir(exist_ok=True)
    os.mkfifo(path)
    return path


def dagster_status(stack: RunningStack, row: dict[str, Any]) -> str:
    return graphql(stack, STATUS, id=row["dagster_run_id"])["runOrError"]["status"]


def waiting_run(person: Person, pipe: Path) -> str:
    """A run whose node `wait` waits, while `first` has succeeded and `last` comes after."""
    pipeline = person.publish(
        new_name("slow"),
        {
            "first": ("sample_data", {"name": "iris"}),
            "wait": ("read_csv", {"url": str(pipe)}),
            "last": ("select_columns", {"columns": ["a"]}),
        },
        ["wait.table > last.table"],
    )
    run = person.ask_for_run(pipeline)
    person.node_running(run, "wait")
    return run


def worker_of(stack: RunningStack, row: dict[str, Any]) -> int:
    """The pid of the process that works on a run, as Dagster's log says it."""
    run = graphql(stack, EVENTS, id=row["dagster_run_id"])["runOrError"]
    for event in run["eventConnection"]["events"]:
        if found := re.search(r"in process \(pid: (\d+)\)", event.get("message", "")):
            return int(found[1])
    raise AssertionError("no worker")


def test_a_killed_worker_leaves_a_failed_row(
    person: Person, stack: RunningStack, pipe: Path
) -> None:
    run = waiting_run(person, pipe)
    row = person.run_row(run)
    os.kill(worker_of(stack, row), signal.SIGKILL)
    row = person.ended(run)
    assert row["status"] == "failed"
    assert "SIGKILL" in row["error"]["message"]
    assert row["progress"]["first"]["status"] == "succeeded"
    assert row["progress"]["wait"]["status"] == "failed"
    assert "last" not in row["progress"]
    assert row["finished_at"]
    assert dagster_status(stack, row) == "FAILURE"


def test_a_killed_postgres_loses_no_run(person: Person, stack: RunningStack, pipe: Path) -> None:
    run = waiting_run(person, pipe)
    postgres = stack.pids()["postgres"]
    os.kill(postgres, signal.SIGKILL)
    wait_for(lambda: stack.pids()["postgres"] not in (postgres, None), "new Postgres")
    with pipe.open("w") as file:
        file.write("a,b\n1,2\n")
    row = person.ended(run)
    # Whatever became of the run, Dagster and the row say the same of it.
    expected = {"SUCCESS": "succeeded", "FAILURE": "failed"}
    assert row["status"] == expected[dagster_status(stack, row)]
    assert "running" not in {entry["status"] for entry in row["progress"].values()}
    # And the platform goes on.
    again = person.ask_for_run(row["pipeline_id"], nodes_selected=["first"])
    assert person.ended(again)["status"] == "succeeded"


def test_a_killed_daemon_misses_no_request(person: Person, stack: RunningStack) -> None:
    pipeline = person.publish(new_name("daemon"), {"load": ("sample_data", {"name": "iris"})})
    os.kill(stack.pids()["daemon"], signal.SIGKILL)
    runs = [person.ask_for_run(pipeline) for _ in range(3)]
    rows = [person.ended(run) for run in runs]
    assert [row["status"] for row in rows] == ["succeeded"] * 3
    assert len({row["dagster_run_id"] for row in rows}) == 3
    every = person.rows(person.client.table("runs").select("id").eq("pipeline_id", pipeline))
    assert len(every) == 3
