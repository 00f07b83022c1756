"""Drafts: a person makes a pipeline of one, or turns it down."""

import threading
from typing import Any, LiteralString
from uuid import UUID

import psycopg
import pytest
from psycopg import errors

from tests.database.conversations import draft, finish, proposed, say, start
from tests.database.rows import SPEC, column, published, save, status_of, value, versions_of
from tests.roles import as_service, as_user

QUESTION: dict[str, Any] = {"node": "load", "key": "url", "text": "Which file?", "options": []}
PROBLEM = {"code": "no_column", "message": "There is no column 'x'."}


def approve(
    connection: psycopg.Connection, user: UUID, draft_id: UUID, name: str | None = None
) -> UUID:
    with as_user(connection, user):
        return value(connection, "select approve_draft(%s, %s)", draft_id, name)


def reject(
    connection: psycopg.Connection, user: UUID, draft_id: UUID, reason: str | None = None
) -> None:
    with as_user(connection, user):
        connection.execute("select reject_draft(%s, %s)", (draft_id, reason))


def state(connection: psycopg.Connection, draft_id: UUID) -> tuple[Any, ...]:
    row = connection.execute(
        "select status, reason, pipeline_id from drafts where id = %s", (draft_id,)
    ).fetchone()
    assert row is not None
    return row


def test_approving_makes_a_pipeline_of_the_person(
    connection: psycopg.Connection, owner: UUID
) -> None:
    made = proposed(connection, owner)
    pipeline = approve(connection, owner, made)
    assert state(connection, made) == ("approved", None, pipeline)
    assert status_of(connection, pipeline) == ("approved", None, [])
    assert versions_of(connection, pipeline) == {1: "approved"}
    assert value(connection, "select owner from pipelines") == owner
    with as_user(connection, owner):
        spec = value(connection, "select pipeline_spec(%s)", pipeline)
    assert [node["id"] for node in spec["nodes"]] == ["load", "clean", "both"]
    actors = column(
        connection, "select distinct actor from audit_log where table_name = 'pipelines'"
    )
    assert actors == [owner]


def test_approving_twice_changes_nothing(connection: psycopg.Connection, owner: UUID) -> None:
    made = proposed(connection, owner)
    pipeline = approve(connection, owner, made)
    events = value(connection, "select count(*) from change_events")
    assert approve(connection, owner, made) == pipeline
    assert value(connection, "select count(*) from change_events") == events


def test_approving_twice_at_once_makes_one_pipeline(
    connection: psycopg.Connection, database_url: str, owner: UUID
) -> None:
    made = proposed(connection, owner)
    barrier = threading.Barrier(4)
    pipelines: list[UUID] = []

    def decide() -> None:
        with psycopg.connect(database_url, autocommit=True) as other:
            barrier.wait()
            pipelines.append(approve(other, owner, made))

    threads = [threading.Thread(target=decide) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(pipelines) == 4
    assert len(set(pipelines)) == 1
    assert versions_of(connection, pipelines[0]) == {1: "approved"}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"questions": [QUESTION]}, "Which file?"),
        ({"problems": [PROBLEM]}, "There is no column 'x'."),
    ],
)
def test_what_is_incomplete_cannot_be_approved(
    connection: psycopg.Connection, owner: UUID, changes: dict[str, Any], told: str
) -> None:
    made = proposed(connection, owner, **changes)
    with pytest.raises(errors.CheckViolation, match="is incomplete: it cannot be") as caught:
        approve(connection, owner, made)
    assert told in str(caught.value)
    assert value(connection, "select count(*) from pipelines") == 0
    reject(connection, owner, made)
    assert state(connection, made)[0] == "rejected"


def test_a_name_of_ones_own(connection: psycopg.Connection, owner: UUID) -> None:
    pipeline = approve(connection, owner, proposed(connection, owner), "birds")
    assert value(connection, "select name from pipelines where id = %s", pipeline) == "birds"


def test_a_new_draft_writes_over_no_pipeline(
    connection: psycopg.Connection, owner: UUID, stranger: UUID
) -> None:
    save(connection, owner, description="mine")
    made = proposed(connection, owner)
    with pytest.raises(errors.UniqueViolation, match="there is a pipeline 'penguins' already"):
        approve(connection, owner, made)
    assert state(connection, made)[0] == "ready"
    assert value(connection, "select description from pipelines") == "mine"
    with pytest.raises(errors.UniqueViolation, match="taken by somebody else"):
        approve(connection, stranger, proposed(connection, stranger))
    approve(connection, owner, made, "birds")
    assert column(connection, "select name from pipelines order by 1") == ["birds", "penguins"]


def test_an_edit_makes_a_new_version(connection: psycopg.Connection, owner: UUID) -> None:
    pipeline = published(connection, owner)
    made = proposed(
        connection, owner, spec=SPEC | {"description": "Better."}, pipeline_id=str(pipeline)
    )
    assert value(connection, "select base ->> 'name' from drafts") == "penguins"
    assert approve(connection, owner, made) == pipeline
    assert versions_of(connection, pipeline) == {1: "published", 2: "approved"}
    assert value(connection, "select description from pipelines") == "Better."


def test_an_edit_keeps_the_name(connection: psycopg.Connection, owner: UUID) -> None:
    pipeline = published(connection, owner)
    made = proposed(connection, owner, pipeline_id=str(pipeline))
    with pytest.raises(errors.CheckViolation, match="cannot be named 'birds'"):
        approve(connection, owner, made, "birds")


def test_an_edit_of_what_has_changed_meanwhile(connection: psycopg.Connection, owner: UUID) -> None:
    pipeline = save(connection, owner)
    made = proposed(connection, owner, pipeline_id=str(pipeline))
    save(connection, owner, description="changed by hand")
    with pytest.raises(errors.CheckViolation, match="is not what it was when draft"):
        approve(connection, owner, made)
    with as_user(connection, owner):
        connection.execute("delete from pipelines")
    with pytest.raises(errors.CheckViolation, match="is not what it was when draft"):
        approve(connection, owner, made)


def test_no_draft_changes_other_peoples_pipelines(
    connection: psycopg.Connection, owner: UUID, stranger: UUID
) -> None:
    pipeline = save(connection, owner)
    message = say(connection, stranger, start(connection, stranger))
    with pytest.raises(psycopg.Error, match="there is no pipeline") as caught:
        finish(connection, message, proposal=draft(pipeline_id=str(pipeline)))
    assert caught.value.sqlstate == "PT404"


def test_rejecting_tells_why(connection: psycopg.Connection, owner: UUID) -> None:
    made = proposed(connection, owner)
    reject(connection, owner, made, "  not the chart ")
    reject(connection, owner, made)
    assert state(connection, made) == ("rejected", "not the chart", None)
    with pytest.raises(errors.CheckViolation, match="is rejected: it cannot be approved"):
        approve(connection, owner, made)


def test_what_is_approved_cannot_be_rejected(connection: psycopg.Connection, owner: UUID) -> None:
    made = proposed(connection, owner)
    approve(connection, owner, made)
    with pytest.raises(errors.CheckViolation, match="is approved: it cannot be rejected"):
        reject(connection, owner, made)


@pytest.mark.parametrize("statement", ["select approve_draft(%s)", "select reject_draft(%s)"])
def test_other_peoples_drafts_look_absent(
    connection: psycopg.Connection, owner: UUID, stranger: UUID, statement: LiteralString
) -> None:
    made = proposed(connection, owner)
    for nobody in (as_user(connection, stranger), as_service(connection)):
        with pytest.raises(psycopg.Error, match=r"there is no draft .* of yours") as caught, nobody:
            connection.execute(statement, (made,))
        assert caught.value.sqlstate == "PT404"


@pytest.mark.parametrize(
    "statement",
    [
        "update drafts set status = 'ready'",
        "update drafts set spec = '{}'",
        "delete from drafts",
        "insert into drafts (name) values ('x')",
        "select constellation.hold_draft(id) from drafts",
    ],
)
def test_owners_decide_and_write_nothing_else(
    connection: psycopg.Connection, owner: UUID, statement: LiteralString
) -> None:
    proposed(connection, owner)
    with pytest.raises(errors.InsufficientPrivilege), as_user(connection, owner):
        connection.execute(statement)


def test_a_spec_that_is_none_is_refused_whole(connection: psycopg.Connection, owner: UUID) -> None:
    made = proposed(connection, owner, spec={"name": "x", "nodes": [{"id": 1}]})
    with pytest.raises(errors.InvalidParameterValue, match="it needs a text 'block'"):
        approve(connection, owner, made)
    assert state(connection, made)[0] == "ready"


def test_a_draft_bears_the_id_it_is_given(connection: psycopg.Connection, owner: UUID) -> None:
    given = "00000000-0000-4000-8000-000000000001"
    assert proposed(connection, owner, id=given) == UUID(given)


def test_a_sample_is_kept(connection: psycopg.Connection, owner: UUID) -> None:
    proposed(connection, owner, sample={"load.table": [1]})
    assert value(connection, "select sample from drafts") == {"load.table": [1]}
