"""Asking for deployments, what is refused of them, and what the platform says of them."""

from typing import Any, LiteralString
from uuid import UUID

import psycopg
import pytest
from psycopg import errors

from tests.database.deployments import change, deploy, healthy, report, row
from tests.database.packages import point, register
from tests.database.rows import column, value
from tests.roles import as_service, as_user


@pytest.fixture(autouse=True)
def packages(connection: psycopg.Connection, owner: UUID) -> None:
    """Two versions of a package."""
    register(connection, owner)
    register(connection, owner, version="2", classes=["a"])


def secret(connection: psycopg.Connection, user: UUID, of: UUID, text: str | None) -> None:
    with as_user(connection, user):
        connection.execute("select set_deployment_secret(%s, 'token', %s)", (of, text))


def call(connection: psycopg.Connection, user: UUID, query: LiteralString, of: UUID) -> Any:
    with as_user(connection, user):
        return value(connection, query, of)


def test_a_deployment_begins_as_pending(connection: psycopg.Connection, owner: UUID) -> None:
    found = row(connection, deploy(connection, owner))
    assert (found["owner"], found["status"]) == (str(owner), "pending")
    assert (found["generation"], found["observed_generation"]) == (1, 0)
    with pytest.raises(errors.CheckViolation, match="cannot begin as healthy"):
        connection.execute(
            "insert into deployments (owner, name, package, status) "
            "values (%s, 'x', 'penguins@1', 'healthy')",
            (owner,),
        )


def test_all_that_is_wrong_is_told_at_once(connection: psycopg.Connection, owner: UUID) -> None:
    with pytest.raises(errors.CheckViolation) as caught:
        deploy(
            connection, owner, "penguins", "Birds", replicas=17, runtime="swarm",
            resources={"cpu": 0, "memory_mb": 64.5, "disk": 1}, desired_state="gone",
            batching={"size": "many"}, env={"A": 1, "LD_PRELOAD": "x", "b-c": "d"},
            latency_budget_ms=-1, ready_timeout_s=0, canary={"package": "penguins@2"},
        )  # fmt: skip
    lines = (caught.value.diag.message_primary or "").splitlines()
    assert lines == [
        "deployment 'Birds' is refused:",
        "- name begins with a lower-case letter; at most 62 more, digits or '_' follow",
        "- package: 'penguins' names no package, write name@version or name@alias",
        "- replicas is a number from 0 to 16",
        "- runtime is process or docker",
        "- desired_state is running or stopped",
        "- resources.cpu is a number from 0.01 to 64",
        "- resources has no 'disk', only cpu, memory_mb",
        "- resources.memory_mb is a whole number from 32 to 1048576",
        "- batching.size is a whole number from 1 to 4096",
        "- env.A is a text under a name of letters, digits and '_'",
        "- env.b-c is a text under a name of letters, digits and '_'",
        "- env cannot set LD_PRELOAD",
        "- latency_budget_ms is a number above 0",
        "- ready_timeout_s is a number above 0, up to 600",
        '- canary is {"package": name@version, "percent": a number from 1 to 99}',
    ]


def test_processes_have_no_limit_of_processors(connection: psycopg.Connection, owner: UUID) -> None:
    with pytest.raises(errors.CheckViolation, match="cannot limit processors"):
        deploy(connection, owner, resources={"cpu": 1})
    deploy(connection, owner, resources={"cpu": 1}, runtime="docker")


@pytest.mark.parametrize(
    "canary",
    [
        {"package": "penguins@2", "percent": 0},
        {"package": "penguins@2", "percent": 100},
        {"package": "penguins@2", "percent": "x"},
        {"package": "penguins@2", "percent": 10, "more": 1},
        {"package": "penguins@3", "percent": 10},
        {"package": "penguins@1", "percent": 10},
        {"package": None, "percent": 10},
        {},
    ],
)
def test_canaries_that_are_refused(
    connection: psycopg.Connection, owner: UUID, canary: dict[str, Any]
) -> None:
    with pytest.raises(errors.CheckViolation, match="canary"):
        deploy(connection, owner, canary=canary)


def test_other_peoples_packages_look_absent(
    connection: psycopg.Connection, owner: UUID, stranger: UUID
) -> None:
    said: list[str] = []
    for package in ("penguins@1", "puffins@1"):
        with pytest.raises(errors.CheckViolation) as caught:
            deploy(connection, stranger, package, "mine")
        said.append(caught.value.diag.message_primary or "")
    assert said[0].replace("penguins", "puffins") == said[1]
    assert "there is no package 'puffins@1' of yours" in said[1]


def test_a_name_belongs_to_whoever_took_it(
    connection: psycopg.Connection, owner: UUID, stranger: UUID
) -> None:
    deploy(connection, owner)
    register(connection, stranger, "puffins")
    with pytest.raises(errors.UniqueViolation, match="'birds' is taken by somebody else"):
        deploy(connection, stranger, "puffins@1")
    with (
        pytest.raises(errors.CheckViolation, match="keeps its owner and name"),
        as_service(connection),
    ):
        connection.execute("update deployments set name = 'x'")


def test_only_what_is_wanted_makes_a_generation(
    connection: psycopg.Connection, owner: UUID
) -> None:
    deployment = deploy(connection, owner)
    changes: list[dict[str, Any]] = [
        {"package": "penguins@2"}, {"replicas": 3}, {"runtime": "docker"},
        {"resources": {"cpu": 1}}, {"env": {"A": "b"}}, {"batching": {"size": 1}},
        {"latency_budget_ms": 5}, {"ready_timeout_s": 5},
        {"canary": {"package": "penguins@1", "percent": 5}}, {"desired_state": "stopped"},
    ]  # fmt: skip
    for generation, columns in enumerate(changes, start=2):
        change(connection, owner, **columns)
        change(connection, owner, **columns)
        change(connection, owner, note=f"{generation}", expires_at="2030-01-01")
        assert row(connection, deployment)["generation"] == generation, columns
    report(connection, deployment, status="stopped", observed={"a": 1}, url="http://x")
    assert row(connection, deployment)["generation"] == len(changes) + 1


def test_changes_that_wake_readers(connection: psycopg.Connection, owner: UUID) -> None:
    deployment = deploy(connection, owner)
    events = "select count(*) from change_events where table_name = 'deployments'"
    assert value(connection, events) == 1
    report(connection, deployment, status="pending", observed={"a": 1})
    assert value(connection, events) == 1
    report(connection, deployment, status="starting")
    change(connection, owner, replicas=2)
    assert value(connection, events) == 3
    with as_user(connection, owner):
        connection.execute("delete from deployments")
    assert value(connection, events) == 4


def test_an_old_writer_is_refused(connection: psycopg.Connection, owner: UUID) -> None:
    deployment = deploy(connection, owner)
    assert report(connection, deployment, fence=5, status="starting")
    with pytest.raises(errors.Error, match="newer hands: token 4 is older than 5") as caught:
        report(connection, deployment, fence=4, status="failed")
    assert caught.value.sqlstate == "PT409"
    assert report(connection, deployment, fence=5, status="healthy")
    assert row(connection, deployment)["status"] == "healthy"


def test_a_report_about_what_is_gone(connection: psycopg.Connection, owner: UUID) -> None:
    deployment = deploy(connection, owner)
    with as_user(connection, owner):
        connection.execute("delete from deployments")
    assert report(connection, deployment, status="starting") is False


def test_a_report_keeps_what_it_does_not_tell(connection: psycopg.Connection, owner: UUID) -> None:
    deployment = deploy(connection, owner)
    report(connection, deployment, status="starting", url="http://x", observed={"a": 1})
    report(connection, deployment, status="failed", error={"message": "no"}, generation=1)
    found = row(connection, deployment)
    assert (found["url"], found["observed"], found["error"]) == (
        "http://x", {"a": 1}, {"message": "no"},
    )  # fmt: skip
    report(connection, deployment, status="starting", error=None)
    assert row(connection, deployment)["error"] is None


def test_revisions_are_what_was_healthy(connection: psycopg.Connection, owner: UUID) -> None:
    deployment = deploy(connection, owner)
    healthy(connection, deployment)
    report(connection, deployment, status="degraded")
    healthy(connection, deployment)
    change(connection, owner, package="penguins@2", note="the second one")
    healthy(connection, deployment, "penguins@2")
    revisions = connection.execute(
        "select revision, generation, spec ->> 'package', note from deployment_revisions "
        "order by revision"
    ).fetchall()
    assert revisions == [(1, 1, "penguins@1", ""), (2, 2, "penguins@2", "the second one")]


ROLL_BACK = "select rollback_deployment(%s)"


def test_rolling_back(connection: psycopg.Connection, owner: UUID) -> None:
    deployment = deploy(connection, owner, env={"A": "b"})
    with pytest.raises(errors.CheckViolation, match="nothing to go back to"):
        call(connection, owner, ROLL_BACK, deployment)
    healthy(connection, deployment, env={"A": "b"})
    change(connection, owner, package="penguins@2", replicas=4, env={})
    healthy(connection, deployment, "penguins@2", replicas=4)

    said = call(connection, owner, ROLL_BACK, deployment)
    assert said == "back to revision 1, package penguins@1"
    found = row(connection, deployment)
    assert (found["package"], found["replicas"], found["env"]) == ("penguins@1", 1, {"A": "b"})
    assert (found["generation"], found["note"]) == (3, "Rolled back to revision 1.")
    # And back again, once that is healthy.
    healthy(connection, deployment, env={"A": "b"})
    call(connection, owner, ROLL_BACK, deployment)
    assert row(connection, deployment)["package"] == "penguins@2"


def test_rolling_back_what_has_failed(connection: psycopg.Connection, owner: UUID) -> None:
    deployment = deploy(connection, owner)
    healthy(connection, deployment)
    change(connection, owner, package="penguins@2")
    report(connection, deployment, status="failed", generation=2, error={"message": "no"})
    call(connection, owner, ROLL_BACK, deployment)
    assert row(connection, deployment)["package"] == "penguins@1"


PROMOTE = "select promote_canary(%s)"


def test_a_canary_is_promoted(connection: psycopg.Connection, owner: UUID) -> None:
    deployment = deploy(connection, owner)
    with pytest.raises(errors.CheckViolation, match="has no canary"):
        call(connection, owner, PROMOTE, deployment)
    point(connection, owner, "challenger", "2")
    change(connection, owner, canary={"package": "penguins@challenger", "percent": 10})
    assert call(connection, owner, PROMOTE, deployment) == "penguins@2"
    found = row(connection, deployment)
    assert (found["package"], found["canary"]) == ("penguins@2", None)
    assert found["note"] == "The canary penguins@2 was promoted."


def test_a_verdict_about_another_generation_does_nothing(
    connection: psycopg.Connection, owner: UUID
) -> None:
    deployment = deploy(connection, owner, canary={"package": "penguins@2", "percent": 10})
    change(connection, owner, canary={"package": "penguins@2", "percent": 20})
    with as_service(connection):
        assert value(connection, "select promote_canary(%s, 'why', 1)", deployment) is None
        assert value(connection, "select end_canary(%s, 'why', 1)", deployment) is False
    assert row(connection, deployment)["canary"]["percent"] == 20
    with as_service(connection):
        assert value(connection, "select end_canary(%s, 'too slow', 2)", deployment) is True
    found = row(connection, deployment)
    assert (found["canary"], found["package"]) == (None, "penguins@1")
    assert found["error"] == {
        "code": "canary_rolled_back", "message": "too slow", "generation": 3,
    }  # fmt: skip


def test_rolling_back_ends_a_canary_first(connection: psycopg.Connection, owner: UUID) -> None:
    deployment = deploy(connection, owner, canary={"package": "penguins@2", "percent": 10})
    assert call(connection, owner, ROLL_BACK, deployment) == "the canary penguins@2 is ended"
    assert row(connection, deployment)["canary"] is None


def test_secrets(connection: psycopg.Connection, owner: UUID) -> None:
    deployment = deploy(connection, owner)
    secret(connection, owner, deployment, "first")
    secret(connection, owner, deployment, "first")
    assert row(connection, deployment)["generation"] == 2
    secret(connection, owner, deployment, "second")
    assert row(connection, deployment)["generation"] == 3
    with as_service(connection):
        assert column(connection, "select value from deployment_secrets") == ["second"]
    with pytest.raises(errors.InsufficientPrivilege), as_user(connection, owner):
        connection.execute("select name from deployment_secrets")
    secret(connection, owner, deployment, None)
    secret(connection, owner, deployment, None)
    assert row(connection, deployment)["generation"] == 4
    logged = "select count(*) from audit_log where coalesce(old, '{}') || coalesce(new, '{}') ? %s"
    assert value(connection, logged, "value") == 0
    with (
        pytest.raises(errors.CheckViolation, match=r"cannot be named '\.\./x'"),
        as_user(connection, owner),
    ):
        connection.execute("select set_deployment_secret(%s, '../x', 'y')", (deployment,))


@pytest.mark.parametrize(
    "query",
    [
        "select set_deployment_secret(%s, 'a', 'b')",
        "select restart_deployment(%s)",
        "select rollback_deployment(%s)",
        "select promote_canary(%s)",
    ],
)
def test_other_peoples_deployments_look_absent(
    connection: psycopg.Connection, owner: UUID, stranger: UUID, query: LiteralString
) -> None:
    deployment = deploy(connection, owner)
    with pytest.raises(errors.Error, match="there is no deployment") as caught:
        call(connection, stranger, query, deployment)
    assert caught.value.sqlstate == "PT404"
    with as_user(connection, stranger):
        assert column(connection, "select name from deployments") == []
        assert column(connection, "select revision from deployment_revisions") == []
        assert connection.execute("delete from deployments").rowcount == 0


def test_a_restart_makes_new_replicas(connection: psycopg.Connection, owner: UUID) -> None:
    deployment = deploy(connection, owner)
    call(connection, owner, "select restart_deployment(%s)", deployment)
    found = row(connection, deployment)
    assert (found["generation"], found["epoch"]) == (2, 1)
    change(connection, owner, desired_state="stopped")
    with pytest.raises(errors.CheckViolation, match="is stopped"):
        call(connection, owner, "select restart_deployment(%s)", deployment)


def test_a_moved_alias_is_followed(connection: psycopg.Connection, owner: UUID) -> None:
    point(connection, owner, "champion", "1")
    deployment = deploy(connection, owner, "penguins@champion")
    other = deploy(connection, owner, "penguins@1", "other")
    point(connection, owner, "champion", "1")
    assert row(connection, deployment)["generation"] == 1
    point(connection, owner, "champion", "2")
    assert row(connection, deployment)["generation"] == 2
    assert row(connection, other)["generation"] == 1
    with as_service(connection):
        resolved = connection.execute(
            "select package from resolve_package('penguins@champion', %s)", (owner,)
        ).fetchall()
    assert resolved == [("penguins@2",)]


def test_what_is_used_is_kept(connection: psycopg.Connection, owner: UUID) -> None:
    point(connection, owner, "champion", "2")
    first = deploy(connection, owner, "penguins@1", "first")
    deploy(connection, owner, "penguins@champion", "second")
    healthy(connection, first)

    def delete(version: str) -> None:
        with as_service(connection):
            connection.execute("delete from model_packages where version = %s", (version,))

    with pytest.raises(errors.ForeignKeyViolation, match=r"'penguins@1'.*: first"):
        delete("1")
    with pytest.raises(errors.ForeignKeyViolation, match="used by deployments: second"):
        delete("2")
    with (
        pytest.raises(errors.ForeignKeyViolation, match="deployments follow it: second"),
        as_user(connection, owner),
    ):
        connection.execute("delete from model_aliases")
    # It asks for another one, and would still go back to this one.
    change(connection, owner, "first", package="penguins@2")
    with pytest.raises(errors.ForeignKeyViolation, match=r"'penguins@1'.*: first"):
        delete("1")
    healthy(connection, first, "penguins@2")
    delete("1")


def test_rejected_packages_are_not_deployed(connection: psycopg.Connection, owner: UUID) -> None:
    connection.execute("update model_packages set status = 'rejected' where version = '2'")
    with pytest.raises(errors.CheckViolation, match="package 'penguins@2' is rejected"):
        deploy(connection, owner, "penguins@2")
