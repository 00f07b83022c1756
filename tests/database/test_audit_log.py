"""Who changed what."""

from uuid import UUID

import psycopg
import pytest
from psycopg import errors

from tests.database.rows import approve, publish, save, value
from tests.roles import as_service, as_user


def test_changes_are_recorded_with_their_actor(connection: psycopg.Connection, owner: UUID) -> None:
    pipeline = save(connection, owner)
    publish(connection, pipeline, approve(connection, owner, pipeline))
    with as_user(connection, owner):
        connection.execute("delete from edges")
    rows = connection.execute(
        "select actor, role, op, old, new from audit_log where row_id = %s order by id", (pipeline,)
    ).fetchall()
    first, *rest = rows
    assert first[:4] == (owner, "authenticated", "INSERT", None)
    assert first[4]["name"] == "penguins"
    assert rest == [
        (owner, "authenticated", "UPDATE", {"status": "draft"}, {"status": "approved"}),
        (
            None,
            "service_role",
            "UPDATE",
            {"status": "approved", "version": None},
            {"status": "published", "version": 1},
        ),
    ]
    deleted = "select count(*) from audit_log where table_name = 'edges' and new is null"
    assert value(connection, deleted) == 3


@pytest.mark.parametrize(
    "statement",
    ["update audit_log set actor = null", "delete from audit_log", "truncate audit_log"],
)
def test_nobody_changes_the_log(connection: psycopg.Connection, statement: str) -> None:
    with pytest.raises(errors.InsufficientPrivilege, match="cannot be changed"):
        connection.execute(statement.encode())
    with pytest.raises(errors.InsufficientPrivilege), as_service(connection):
        connection.execute(statement.encode())
    with pytest.raises(errors.InsufficientPrivilege), as_service(connection):
        connection.execute(
            "insert into audit_log (role, table_name, row_id, op) "
            "values ('x', 'x', gen_random_uuid(), 'x')"
        )
