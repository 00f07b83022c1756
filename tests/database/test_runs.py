"""Asking for runs, cancelling them and telling of their progress."""

from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import errors

from tests.database.rows import approve, publish, published, request_run, save, value
from tests.roles import as_service, as_user


def test_a_request(connection: psycopg.Connection, owner: UUID) -> None:
    pipeline = published(connection, owner)
    wanted = uuid4()
    with as_user(connection, owner):
        connection.execute(
            "insert into runs (id, pipeline_id, nodes_selected, tags) "
            """values (%s, %s, '{load}', '{"why": "test"}')""",
            (wanted, pipeline),
        )
    row = connection.execute("select id, owner, status, nodes_selected, tags from runs").fetchone()
    assert row == (wanted, owner, "requested", ["load"], {"why": "test"})


@pytest.mark.parametrize("invalid", [False, True])
def test_what_cannot_run(connection: psycopg.Connection, owner: UUID, invalid: bool) -> None:
    pipeline = save(connection, owner)
    if invalid:
        publish(connection, pipeline, approve(connection, owner, pipeline), ok=False)
    with pytest.raises(errors.CheckViolation, match="cannot run") as caught:
        request_run(connection, owner, pipeline)
    hint = caught.value.diag.message_hint or ""
    assert ("problems" if invalid else "Approve it first") in hint


def test_an_invalid_edit_does_not_stop_what_is_published(
    connection: psycopg.Connection, owner: UUID
) -> None:
    pipeline = published(connection, owner)
    save(connection, owner, nodes=[])
    publish(connection, pipeline, approve(connection, owner, pipeline), ok=False)
    request_run(connection, owner, pipeline)


def test_no_nodes_is_not_a_selection(connection: psycopg.Connection, owner: UUID) -> None:
    pipeline = published(connection, owner)
    with pytest.raises(errors.CheckViolation), as_user(connection, owner):
        connection.execute(
            "insert into runs (pipeline_id, nodes_selected) values (%s, '{}')", (pipeline,)
        )


def test_runs_that_began_in_dagster(connection: psycopg.Connection, owner: UUID) -> None:
    pipeline = published(connection, owner)
    insert = (
        "insert into runs (pipeline_id, dagster_run_id, status) values (%s, 'abc', 'running') "
        "on conflict (dagster_run_id, pipeline_id) do update set status = excluded.status "
        "returning id"
    )
    with as_service(connection):
        first = value(connection, insert, pipeline)
        assert value(connection, insert, pipeline) == first
    assert value(connection, "select owner from runs") == owner
    with pytest.raises(errors.CheckViolation, match="cannot begin as running"):
        connection.execute(
            "insert into runs (pipeline_id, status) values (%s, 'running')", (pipeline,)
        )


def test_cancelling(connection: psycopg.Connection, owner: UUID) -> None:
    run = request_run(connection, owner, published(connection, owner))
    for _ in range(2):
        with as_user(connection, owner):
            connection.execute("select cancel_run(%s)", (run,))
        assert value(connection, "select status from runs") == "cancelled"
    assert value(connection, "select finished_at is not null from runs")


@pytest.mark.parametrize(
    ("status", "hint"), [("running", "Terminate it in the Dagster UI."), ("failed", "It is over.")]
)
def test_cancelling_too_late(
    connection: psycopg.Connection, owner: UUID, status: str, hint: str
) -> None:
    run = request_run(connection, owner, published(connection, owner))
    connection.execute("update runs set status = %s", (status,))
    with (
        pytest.raises(errors.CheckViolation, match=f"is {status}") as caught,
        as_user(connection, owner),
    ):
        connection.execute("select cancel_run(%s)", (run,))
    assert caught.value.diag.message_hint == hint


def test_a_run_that_dagster_has_taken_is_not_cancelled_in_its_row(
    connection: psycopg.Connection, owner: UUID
) -> None:
    run = request_run(connection, owner, published(connection, owner))
    connection.execute("update runs set dagster_run_id = 'abc'")
    with pytest.raises(errors.CheckViolation, match="is starting"), as_user(connection, owner):
        connection.execute("select cancel_run(%s)", (run,))


def test_progress_is_merged_and_wakes_nobody(connection: psycopg.Connection, owner: UUID) -> None:
    run = request_run(connection, owner, published(connection, owner))
    seen = "select (select count(*) from change_events), (select count(*) from audit_log)"
    before = connection.execute(seen).fetchone()
    with as_service(connection):
        for node, entry in (
            ("load", '{"status": "running", "started_at": "1"}'),
            ("clean", '{"status": "waiting"}'),
            ("load", '{"status": "succeeded", "rows": 3}'),
        ):
            connection.execute("select run_progress(%s, %s, %s)", (run, node, entry))
    assert value(connection, "select progress from runs") == {
        "load": {"status": "succeeded", "started_at": "1", "rows": 3},
        "clean": {"status": "waiting"},
    }
    assert connection.execute(seen).fetchone() == before
    with pytest.raises(psycopg.Error, match="there is no run"), as_service(connection):
        connection.execute("select run_progress(%s, 'x', '{}')", (uuid4(),))
