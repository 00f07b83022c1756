"""Short ways to write and read what the tests are about."""

from typing import Any, LiteralString
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb

from tests.roles import as_service, as_user

SPEC: dict[str, Any] = {
    "name": "penguins",
    "description": "From a sample to a table.",
    "nodes": [
        {"id": "load", "block": "sample_data", "config": {"name": "penguins"}, "retries": 0},
        {"id": "clean", "block": "impute_missing@1", "config": {}, "retries": 2},
        {"id": "both", "block": "concatenate", "config": {"deep": {"list": [1, None, "ü"]}}},
    ],
    "edges": [
        {"source": "clean.table", "target": "both.tables"},
        {"source": "load.table", "target": "clean.table"},
        {"source": "load.table", "target": "both.tables"},
    ],
    "schedule": {"cron": "0 6 * * *", "timezone": "Europe/Berlin"},
    "tags": {"team": "birds"},
}


def value(connection: psycopg.Connection, query: LiteralString, *parameters: object) -> Any:
    """The first column of the first row."""
    row = connection.execute(query, parameters).fetchone()
    assert row is not None
    return row[0]


def column(connection: psycopg.Connection, query: LiteralString, *parameters: object) -> list[Any]:
    """The first column of all rows."""
    return [row[0] for row in connection.execute(query, parameters)]


def save(connection: psycopg.Connection, user: UUID, **changes: object) -> UUID:
    """Saves `SPEC`, with changes, as a person."""
    with as_user(connection, user):
        return value(connection, "select save_pipeline(%s)", Jsonb(SPEC | changes))


def approve(connection: psycopg.Connection, user: UUID, pipeline: UUID) -> int:
    with as_user(connection, user):
        return value(connection, "select approve_pipeline(%s)", pipeline)


def archive(connection: psycopg.Connection, user: UUID, pipeline: UUID) -> None:
    with as_user(connection, user):
        connection.execute("select archive_pipeline(%s)", (pipeline,))


def publish(
    connection: psycopg.Connection,
    pipeline: UUID,
    version: int,
    *,
    ok: bool = True,
    problems: list[Any] | None = None,
) -> str | None:
    """The platform's answer to a version."""
    with as_service(connection):
        return value(
            connection,
            "select publish_result(pipeline => %s, version => %s, ok => %s, problems => %s, "
            "digest => 'sha256:1', block_versions => '{}')",
            pipeline,
            version,
            ok,
            Jsonb(problems or []),
        )


def published(connection: psycopg.Connection, user: UUID, **changes: object) -> UUID:
    """A pipeline that is saved, approved and published."""
    pipeline = save(connection, user, **changes)
    publish(connection, pipeline, approve(connection, user, pipeline))
    return pipeline


def request_run(connection: psycopg.Connection, user: UUID, pipeline: UUID) -> UUID:
    with as_user(connection, user):
        return value(
            connection, "insert into runs (pipeline_id) values (%s) returning id", pipeline
        )


def status_of(connection: psycopg.Connection, pipeline: UUID) -> tuple[str, int | None, list[Any]]:
    row = connection.execute(
        "select status, version, problems from pipelines where id = %s", (pipeline,)
    ).fetchone()
    assert row is not None
    return row


def versions_of(connection: psycopg.Connection, pipeline: UUID) -> dict[int, str]:
    return dict(
        connection.execute(
            "select version, status from pipeline_versions where pipeline_id = %s", (pipeline,)
        ).fetchall()
    )
