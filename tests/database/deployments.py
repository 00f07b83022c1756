"""Rows of deployments for the tests of the schema."""

from typing import Any
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from tests.database.rows import value
from tests.roles import as_service, as_user


def deploy(
    connection: psycopg.Connection,
    user: UUID,
    package: str = "penguins@1",
    name: str = "birds",
    **columns: Any,
) -> UUID:
    """Inserts a deployment as a person."""
    row = {"name": name, "package": package} | columns
    insert = sql.SQL("insert into deployments ({}) values ({}) returning id").format(
        sql.SQL(", ").join(map(sql.Identifier, row)), sql.SQL(", ").join(map(sql.Placeholder, row))
    )
    with as_user(connection, user):
        found = connection.execute(insert, _adapted(row)).fetchone()
    assert found is not None
    return found[0]


def change(connection: psycopg.Connection, user: UUID, name: str = "birds", **columns: Any) -> None:
    """Updates one of a person's deployments."""
    update = sql.SQL("update deployments set {} where name = {}").format(
        sql.SQL(", ").join(
            sql.SQL("{} = {}").format(sql.Identifier(column), sql.Placeholder(column))
            for column in columns
        ),
        sql.Literal(name),
    )
    with as_user(connection, user):
        connection.execute(update, _adapted(columns))


def report(
    connection: psycopg.Connection, deployment: UUID, *, fence: int = 1, **told: Any
) -> bool:
    """What the platform observes."""
    with as_service(connection):
        return value(
            connection, "select report_deployment(%s, %s, %s)", deployment, fence, Jsonb(told)
        )


def healthy(
    connection: psycopg.Connection, deployment: UUID, package: str = "penguins@1", **spec: Any
) -> None:
    """The platform has made it so, by way of `starting`."""
    generation = value(connection, "select generation from deployments where id = %s", deployment)
    report(connection, deployment, status="starting")
    revision: dict[str, Any] = {
        "package": package,
        "digest": "sha256:1",
        "replicas": 1,
        "runtime": "process",
        "resources": {},
        "env": {},
        "batching": {},
        "latency_budget_ms": None,
        "ready_timeout_s": 60,
        **spec,
    }
    report(
        connection, deployment, status="healthy", generation=generation, revision=revision,
        error=None,
    )  # fmt: skip


def row(connection: psycopg.Connection, deployment: UUID) -> dict[str, Any]:
    """A deployment as it is."""
    return value(connection, "select to_jsonb(d) from deployments d where id = %s", deployment)


def _adapted(row: dict[str, Any]) -> dict[str, Any]:
    return {name: Jsonb(v) if isinstance(v, dict) else v for name, v in row.items()}
