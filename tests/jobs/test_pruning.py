"""What is kept for a set time, and deleted by a run of `prune_history`."""

import subprocess
import sys
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest

from constellation_dagster.resources.completion_rows import CompletionRows
from constellation_dagster.resources.rest import fetch
from tests.stack_fixture import RunningStack

pytestmark = [pytest.mark.xdist_group("stack"), pytest.mark.timeout(300)]


def test_what_is_old_goes_and_what_is_new_stays(stack: RunningStack) -> None:
    person, rows = stack.person(), CompletionRows(stack.service())
    conversation = fetch(person.table("conversations").insert({"id": str(uuid4())}))[0]["id"]
    said = {"conversation_id": conversation, "content": "Load it"}
    message = UUID(fetch(person.table("messages").insert(said))[0]["id"])
    for model in ("old", "new"):
        rows.add(message, model, {}, {})
    url = stack.variables["DATABASE_URL"]
    with psycopg.connect(url) as connection:
        connection.execute(
            "update completions set created_at = now() - interval '31 days' where model = 'old'"
        )
        connection.execute("update change_events set at = now() - interval '8 days'")
    done = subprocess.run(
        [str(Path(sys.executable).parent / "dg"), "launch", "--job", "prune_history"],
        env=stack.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert [row["model"] for row in fetch(person.table("completions").select("model"))] == ["new"]
    with psycopg.connect(url) as connection:
        old = "select count(*) from change_events where at < now() - interval '7 days'"
        assert connection.execute(old).fetchone() == (0,)
