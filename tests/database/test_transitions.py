"""Statuses in SQL follow the state machines of the domain, step by step."""

from itertools import product
from uuid import UUID

import psycopg
import pytest
from psycopg import errors, sql

from constellation_dagster.domain.states import (
    DEPLOYMENT_TRANSITIONS,
    PACKAGE_TRANSITIONS,
    PIPELINE_TRANSITIONS,
    RUN_TRANSITIONS,
    DeploymentStatus,
    PackageStatus,
    PipelineStatus,
    RunStatus,
    may_follow,
)
from tests.database.deployments import deploy
from tests.database.packages import register
from tests.database.rows import published, request_run, save, value
from tests.roles import as_service


def force(connection: psycopg.Connection, table: str, row: UUID, status: str) -> None:
    """Sets a status past all triggers."""
    with connection.transaction():
        connection.execute("set local session_replication_role = replica")
        update = sql.SQL("update {} set status = %s, finished_at = null where id = %s")
        if table != "runs":
            update = sql.SQL("update {} set status = %s where id = %s")
        connection.execute(update.format(sql.Identifier(table)), (status, row))


def attempt(connection: psycopg.Connection, table: str, row: UUID, status: str) -> bool:
    update = sql.SQL("update {} set status = %s where id = %s").format(sql.Identifier(table))
    try:
        with as_service(connection):
            connection.execute(update, (status, row))
    except errors.CheckViolation:
        return False
    return True


def test_pipelines(connection: psycopg.Connection, owner: UUID) -> None:
    pipeline = save(connection, owner)
    for present, following in product(PipelineStatus, repeat=2):
        force(connection, "pipelines", pipeline, present)
        allowed = attempt(connection, "pipelines", pipeline, following)
        assert allowed == may_follow(PIPELINE_TRANSITIONS, present, following), (present, following)


def test_runs(connection: psycopg.Connection, owner: UUID) -> None:
    run = request_run(connection, owner, published(connection, owner))
    for present, following in product(RunStatus, repeat=2):
        force(connection, "runs", run, present)
        allowed = attempt(connection, "runs", run, following)
        assert allowed == may_follow(RUN_TRANSITIONS, present, following), (present, following)


def test_packages(connection: psycopg.Connection, owner: UUID) -> None:
    register(connection, owner)
    connection.execute("update model_packages set image = 'penguins:1'")
    package = value(connection, "select id from model_packages")
    for present, following in product(PackageStatus, repeat=2):
        force(connection, "model_packages", package, present)
        allowed = attempt(connection, "model_packages", package, following)
        assert allowed == may_follow(PACKAGE_TRANSITIONS, present, following), (present, following)


def test_deployments(connection: psycopg.Connection, owner: UUID) -> None:
    register(connection, owner)
    deployment = deploy(connection, owner)
    for present, following in product(DeploymentStatus, repeat=2):
        force(connection, "deployments", deployment, present)
        allowed = attempt(connection, "deployments", deployment, following)
        expected = may_follow(DEPLOYMENT_TRANSITIONS, present, following)
        assert allowed == expected, (present, following)


@pytest.mark.parametrize(
    "table", ["pipelines", "runs", "pipeline_versions", "model_packages", "deployments"]
)
def test_unknown_statuses(connection: psycopg.Connection, owner: UUID, table: str) -> None:
    request_run(connection, owner, published(connection, owner))
    register(connection, owner)
    deploy(connection, owner)
    update = sql.SQL("update {} set status = 'done'").format(sql.Identifier(table))
    with pytest.raises(errors.CheckViolation):
        connection.execute(update)


def test_refusals_say_what_is_possible(connection: psycopg.Connection, owner: UUID) -> None:
    pipeline = save(connection, owner)
    with pytest.raises(errors.CheckViolation) as caught:
        connection.execute("update pipelines set status = 'published'")
    message = caught.value.diag
    assert message.message_primary == "pipeline 'penguins' is draft: it cannot become published"
    assert message.message_hint == "It can become: approved, archived."

    connection.execute("select approve_pipeline(%s)", (pipeline,))
    run = request_run(connection, owner, pipeline)
    connection.execute("select cancel_run(%s)", (run,))
    with pytest.raises(errors.CheckViolation, match="is cancelled: it cannot become running"):
        connection.execute("update runs set status = 'running'")


@pytest.mark.parametrize("status", [s for s in PipelineStatus if s != "draft"])
def test_pipelines_begin_as_drafts(
    connection: psycopg.Connection, owner: UUID, status: PipelineStatus
) -> None:
    with pytest.raises(errors.CheckViolation, match=f"cannot begin as {status}"):
        connection.execute(
            "insert into pipelines (owner, name, status) values (%s, 'x', %s)", (owner, status)
        )


def test_times_of_runs_follow_their_status(connection: psycopg.Connection, owner: UUID) -> None:
    run = request_run(connection, owner, published(connection, owner))
    times = "select array[started_at is not null, finished_at is not null] from runs where id = %s"
    assert value(connection, times, run) == [False, False]
    connection.execute("update runs set status = 'starting'")
    assert value(connection, times, run) == [True, False]
    connection.execute("update runs set status = 'failed', finished_at = '2026-01-01'")
    assert value(connection, times, run) == [True, True]
    assert value(connection, "select finished_at::date::text from runs") == "2026-01-01"
