"""Approving, the platform's answer, archiving and deleting."""

from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import errors

from tests.database.rows import (
    approve,
    archive,
    column,
    publish,
    published,
    request_run,
    save,
    status_of,
    value,
    versions_of,
)
from tests.roles import as_user

PROBLEM = {"code": "unknown_block", "message": "There is no block 'x'."}


def test_approve_and_publish(connection: psycopg.Connection, owner: UUID) -> None:
    pipeline = save(connection, owner)
    assert status_of(connection, pipeline) == ("draft", None, [])
    assert approve(connection, owner, pipeline) == 1
    assert approve(connection, owner, pipeline) == 1
    assert status_of(connection, pipeline) == ("approved", None, [])
    assert publish(connection, pipeline, 1) == "published"
    assert status_of(connection, pipeline) == ("published", 1, [])
    assert approve(connection, owner, pipeline) == 1, "what is published needs no approval"
    assert status_of(connection, pipeline) == ("published", 1, [])
    row = connection.execute(
        "select status, digest, block_versions, published_at is not null from pipeline_versions"
    ).fetchone()
    assert row == ("published", "sha256:1", {}, True)


def test_answers_may_be_repeated(connection: psycopg.Connection, owner: UUID) -> None:
    pipeline = published(connection, owner)
    before = connection.execute("select published_at from pipeline_versions").fetchone()
    events = value(connection, "select count(*) from change_events where table_name = 'pipelines'")
    assert publish(connection, pipeline, 1) == "published"
    assert connection.execute("select published_at from pipeline_versions").fetchone() == before
    again = value(connection, "select count(*) from change_events where table_name = 'pipelines'")
    assert again == events


def test_an_invalid_version_leaves_the_old_one_serving(
    connection: psycopg.Connection, owner: UUID
) -> None:
    pipeline = published(connection, owner)
    save(connection, owner, description="second")
    assert approve(connection, owner, pipeline) == 2
    assert status_of(connection, pipeline) == ("approved", 1, [])
    assert publish(connection, pipeline, 2, ok=False, problems=[PROBLEM]) == "invalid"
    assert status_of(connection, pipeline) == ("invalid", 1, [PROBLEM])
    assert versions_of(connection, pipeline) == {1: "published", 2: "invalid"}
    # The blocks may be there by now: the same version is put up again.
    assert approve(connection, owner, pipeline) == 2
    assert status_of(connection, pipeline) == ("approved", 1, [])
    assert publish(connection, pipeline, 2) == "published"
    assert status_of(connection, pipeline) == ("published", 2, [])
    assert versions_of(connection, pipeline) == {1: "superseded", 2: "published"}
    assert value(connection, "select problems from pipeline_versions where version = 2") == []


def test_answers_to_older_versions(connection: psycopg.Connection, owner: UUID) -> None:
    pipeline = save(connection, owner)
    for number in (1, 2, 3):
        save(connection, owner, description=f"number {number}")
        assert approve(connection, owner, pipeline) == number
    assert publish(connection, pipeline, 1, ok=False, problems=[PROBLEM]) == "approved"
    assert status_of(connection, pipeline) == ("approved", None, [])
    assert publish(connection, pipeline, 2) == "approved", "the newest still waits"
    assert status_of(connection, pipeline) == ("approved", 2, [])
    assert publish(connection, pipeline, 3) == "published"
    assert versions_of(connection, pipeline) == {1: "invalid", 2: "superseded", 3: "published"}
    assert publish(connection, pipeline, 2) == "published", "overtaken: nothing changes"
    assert status_of(connection, pipeline) == ("published", 3, [])


def test_a_published_version_can_become_invalid(
    connection: psycopg.Connection, owner: UUID
) -> None:
    """As when its blocks are gone after an upgrade."""
    pipeline = published(connection, owner)
    request_run(connection, owner, pipeline)
    assert publish(connection, pipeline, 1, ok=False, problems=[PROBLEM]) == "invalid"
    assert status_of(connection, pipeline) == ("invalid", None, [PROBLEM])
    assert approve(connection, owner, pipeline) == 1
    assert publish(connection, pipeline, 1) == "published"


def test_runs_do_not_wait_for_what_is_invalid(connection: psycopg.Connection, owner: UUID) -> None:
    pipeline = save(connection, owner)
    approve(connection, owner, pipeline)
    request_run(connection, owner, pipeline)
    publish(connection, pipeline, 1, ok=False, problems=[PROBLEM])
    row = connection.execute("select status, error from runs").fetchone()
    expected = {
        "message": "pipeline 'penguins' is invalid: see its problems",
        "problems": [PROBLEM],
    }
    assert row == ("failed", expected)


def test_archive_and_back(connection: psycopg.Connection, owner: UUID) -> None:
    pipeline = published(connection, owner)
    waiting = request_run(connection, owner, pipeline)
    archive(connection, owner, pipeline)
    archive(connection, owner, pipeline)
    assert status_of(connection, pipeline) == ("archived", None, [])
    assert versions_of(connection, pipeline) == {1: "superseded"}
    assert value(connection, "select status from runs where id = %s", waiting) == "cancelled"
    assert publish(connection, pipeline, 1) == "archived", "an answer that comes too late"
    with pytest.raises(errors.CheckViolation, match="is archived: it cannot run"):
        request_run(connection, owner, pipeline)
    assert approve(connection, owner, pipeline) == 1
    assert publish(connection, pipeline, 1) == "published"
    assert status_of(connection, pipeline) == ("published", 1, [])


def test_versions_never_change(connection: psycopg.Connection, owner: UUID) -> None:
    published(connection, owner)
    with pytest.raises(errors.CheckViolation, match="version 1 of a pipeline never changes"):
        connection.execute("update pipeline_versions set spec = '{}'")


def test_unknown_versions_and_pipelines(connection: psycopg.Connection, owner: UUID) -> None:
    pipeline = save(connection, owner)
    with pytest.raises(psycopg.Error, match="pipeline 'penguins' has no version 7"):
        publish(connection, pipeline, 7)
    assert publish(connection, uuid4(), 1) is None, "deleted while it was being published"


def test_deleting(connection: psycopg.Connection, owner: UUID) -> None:
    pipeline = published(connection, owner)
    run = request_run(connection, owner, pipeline)
    with pytest.raises(errors.ForeignKeyViolation) as caught, as_user(connection, owner):
        connection.execute("delete from pipelines")
    assert caught.value.diag.message_primary == (
        "pipeline 'penguins' cannot be deleted: it has 1 run(s), 1 of them unfinished"
    )
    connection.execute("delete from runs where id = %s", (run,))
    with as_user(connection, owner):
        assert connection.execute("delete from pipelines").rowcount == 1
    left = "select count(*) from nodes union all select count(*) from pipeline_versions"
    assert column(connection, left) == [0, 0]
    gone = "select count(*) from audit_log where op = 'DELETE' and table_name = 'nodes'"
    assert value(connection, gone) == 3
