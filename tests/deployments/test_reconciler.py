"""A reconciler with real replicas, router, locks and rows, killed between every two steps."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from constellation_dagster.domain.changes import (
    Drain,
    Phase,
    RemoveRoute,
    SetRoute,
    StartReplica,
    Step,
    StopReplica,
)
from constellation_dagster.domain.deployments import DeploymentStatusSchema
from constellation_dagster.domain.replicas import RuntimeUnavailable
from constellation_dagster.domain.states import DeploymentStatus
from constellation_dagster.local.postgres import PostgresServer
from constellation_dagster.resources.deployment_rows import Report
from constellation_dagster.resources.locks import FencedLock
from constellation_dagster.runtimes.reconciler import DeploymentFailed
from tests.database.rows import value
from tests.deployments.place import Place, SqlRows, place
from tests.roles import as_user
from tests.runtimes.packages import OBEDIENT
from tests.runtimes.supervised import saying, until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]
NO = {"FAULT": "wrong answers"}
SLOW = {"FAULT": "never ready"}


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer) -> Iterator[Place]:
    with place(tmp_path_factory.mktemp("place"), postgres) as made:
        for version in ("1", "2"):
            made.register(version)
        yield made


@pytest.fixture(autouse=True)
def _nothing_left(here: Place) -> Iterator[None]:
    here.log.clear()
    yield
    rows = here.connection.execute("select name from deployments").fetchall()
    for (name,) in rows:
        here.delete(name)
        here.reconcile(name)
    assert here.runtime.replicas() == []
    assert here.door.router.routes() == {}


def settled(here: Place, name: str) -> DeploymentStatusSchema:
    """The row, in which replicas and traffic are as in reality."""
    row = here.row(name)
    assert row.observed_generation == row.generation
    told = {replica["id"]: replica["state"] for replica in row.observed["replicas"]}
    assert told == {replica.id: replica.state for replica in here.replicas(name)}
    route = here.door.router.routes()[name]
    assert route.addresses == {replica["address"] for replica in row.observed["replicas"]}
    return row


def test_from_a_row_to_an_endpoint(here: Place) -> None:
    name = here.deploy("obedient@1", replicas=2, env={"COLOUR": "blue"})
    with as_user(here.connection, here.owner):
        here.connection.execute("select set_deployment_secret(id, 'token', 'abc') from deployments")
    outcome = here.reconcile(name)
    assert outcome.done
    row = settled(here, name)
    assert (row.status, row.error, row.url) == ("healthy", None, f"{here.door.url}/{name}")
    assert (row.observed["package"], len(row.observed["replicas"])) == ("obedient@1", 2)
    assert here.answers(name) == "hello"
    assert here.answers(name, "variable COLOUR") == "blue"
    assert here.answers(name, "secret token") == "abc"
    # Nothing more to do, and nothing is done.
    here.log.clear()
    here.reconcile(name)
    assert here.log == []


def test_killed_after_every_step(here: Place) -> None:
    """From nothing to v1, to v2, to nothing, with a new reconciler for each step."""
    name = here.deploy("obedient@1", replicas=2)
    steps, _ = here.reconcile_step_by_step(name)
    assert [type(step) for step in steps].count(StartReplica) == 2
    first = settled(here, name)

    here.change(name, package="obedient@2")
    with here.load(name, saying(100)) as load:
        load.wait_for(20)
        steps, _ = here.reconcile_step_by_step(name)
        load.wait_for(20)
    assert load.report.problems == []
    kinds = [type(step) for step in steps]
    assert kinds.count(StartReplica) == 2
    assert kinds.count(StopReplica) == 2
    # Each attempt waits anew for requests on their way.
    assert kinds.count(Drain) >= 2
    assert kinds.index(SetRoute) < kinds.index(Drain)
    second = settled(here, name)
    assert second.observed["package"] == "obedient@2"
    assert first.fence < second.fence

    here.change(name, desired_state="stopped")
    here.reconcile_step_by_step(name)
    assert settled(here, name).status == "stopped"
    answer = here.ask(name)
    assert (answer.status_code, answer.json()["error"]) == (503, f"Deployment '{name}' is stopped.")
    here.change(name, desired_state="running")
    here.reconcile_step_by_step(name)
    assert here.answers(name) == "hello"

    here.delete(name)
    steps, outcome = here.reconcile_step_by_step(name)
    assert isinstance(steps[0], RemoveRoute)
    assert outcome.row is None
    assert here.replicas(name) == []
    assert here.ask(name).status_code == 404


@pytest.mark.parametrize("env", [NO, SLOW])
def test_a_failing_generation_rolls_back_killed_after_every_step(
    here: Place, env: dict[str, str]
) -> None:
    name = here.deploy("obedient@1")
    here.reconcile(name)
    before = here.replicas(name)
    here.change(name, package="obedient@2", env=env, ready_timeout_s=4)
    with here.load(name, saying(100)) as load:
        load.wait_for(20)
        steps, outcome = here.reconcile_step_by_step(name)
        load.wait_for(20)
    assert load.report.problems == []
    assert outcome.aim.fallback
    row = settled(here, name)
    assert row.status == "failed"
    assert row.error
    assert "the model is being loaded" in row.error["message"]
    told = "was not ready within 4 s" if env == SLOW else "does not answer its own example"
    assert told in row.error["message"]
    # What runs is what ran before.
    assert [replica.id for replica in here.replicas(name)] == [replica.id for replica in before]
    assert row.observed["package"] == "obedient@1"
    # The same is not tried again.
    starts = [step for step in steps if isinstance(step, StartReplica)]
    here.log.clear()
    here.reconcile(name)
    assert (here.log, len(starts)) == ([], 1)
    # Something else is.
    here.change(name, env={})
    here.reconcile(name)
    row = settled(here, name)
    assert (row.status, row.error, row.observed["package"]) == ("healthy", None, "obedient@2")


def test_one_that_never_was_healthy_leaves_nothing(here: Place) -> None:
    name = here.deploy("obedient@1", env=NO, replicas=2)
    here.reconcile(name)
    row = settled(here, name)
    assert row.status == "failed"
    assert here.replicas(name) == []
    answer = here.ask(name)
    assert answer.status_code == 503
    assert "never was healthy" in answer.json()["error"]


def test_what_somebody_removes_is_made_again(here: Place) -> None:
    name = here.deploy("obedient@1", replicas=2)
    here.reconcile(name)
    victim, other = here.replicas(name)
    here.runtime.stop(victim.id, 0)
    here.reconcile(name)
    assert {replica.id for replica in here.replicas(name)} == {victim.id, other.id}
    here.door.router.remove_route(name)
    here.reconcile(name)
    settled(here, name)
    assert here.answers(name) == "hello"


def test_a_repair_that_fails_is_told_and_tried_again(here: Place) -> None:
    name = here.deploy("obedient@1", replicas=2)
    here.reconcile(name)
    digest = here.row(name).observed["digest"]
    model = here.store.fetch(digest) / "model.py"
    code = model.read_text()
    model.write_text(f"{code}\n# changed\n")
    try:
        here.runtime.stop(here.replicas(name)[0].id, 0)
        for attempt in (1, 2):
            with pytest.raises(DeploymentFailed, match=r"model\.py"):
                here.reconcile(name)
            row = here.row(name)
            assert row.status == "degraded"
            assert row.error
            assert row.error["attempts"] == attempt
        assert here.answers(name) == "hello", "the other one goes on"
    finally:
        model.write_text(code)
    here.reconcile(name)
    row = settled(here, name)
    assert (row.status, row.error) == ("healthy", None)


def test_a_canary_that_does_not_start_is_taken_back(here: Place) -> None:
    name = here.deploy("obedient@1")
    here.reconcile(name)
    stubborn = 'return "something else" if'
    broken = here.register("3", OBEDIENT.read_text().replace(stubborn, f"{stubborn} True or"))
    here.change(name, canary={"package": broken, "percent": 20})
    here.reconcile_step_by_step(name)
    row = settled(here, name)
    assert (row.status, row.canary) == ("healthy", None)
    assert row.error
    assert row.error["code"] == "canary_rolled_back"
    assert "does not answer its own example" in row.error["message"]
    assert row.note == row.error["message"]
    # It is said until something else is wanted.
    here.reconcile(name)
    assert here.row(name).error
    here.change(name, replicas=2)
    here.reconcile(name)
    assert here.row(name).error is None


def test_a_canary_and_its_promotion(here: Place) -> None:
    name = here.deploy("obedient@1", replicas=2)
    here.reconcile(name)
    here.change(name, canary={"package": "obedient@2", "percent": 40})
    here.reconcile_step_by_step(name)
    row = settled(here, name)
    assert [(part["pool"], part["percent"]) for part in row.observed["traffic"]] == [
        ("champion", 60),
        ("canary", 40),
    ]
    trial = row.observed["canary"]
    assert trial["package"] == "obedient@2"
    assert len(trial["baseline"]) == 3
    with as_user(here.connection, here.owner):
        promote = "select promote_canary(id) from deployments"
        assert value(here.connection, promote) == "obedient@2"
    with here.load(name, saying(100)) as load:
        load.wait_for(20)
        here.reconcile_step_by_step(name)
        load.wait_for(20)
    assert load.report.problems == []
    row = settled(here, name)
    assert (row.observed["package"], len(row.observed["replicas"])) == ("obedient@2", 2)


def test_an_engine_that_is_missing_is_told_and_waited_for(here: Place) -> None:
    name = here.deploy("obedient@1")
    here.reconcile(name)
    here.change(name, runtime="docker")
    with pytest.raises(RuntimeUnavailable):
        here.reconcile(name)
    row = here.row(name)
    assert row.status == "failed"
    assert row.error
    assert row.error["code"] == "unavailable"
    assert row.observed_generation < row.generation, "it is still to be done"
    assert here.answers(name) == "hello"
    here.change(name, runtime="process")
    here.reconcile(name)
    assert settled(here, name).status == "healthy"


def test_a_change_on_the_way_is_taken_up(here: Place) -> None:
    """Somebody corrects their mistake while the mistake still starts."""
    name = here.deploy("obedient@1", env=SLOW, ready_timeout_s=120)

    def correct(step: Step) -> None:
        if isinstance(step, StartReplica) and here.row(name).env:
            here.change(name, env={})

    here.reconciler(correct).reconcile(name)
    row = settled(here, name)
    assert (row.status, row.generation) == ("healthy", 2)
    assert f"{name}: something else is wanted by now." in here.log


def test_a_killed_process_lets_go_of_its_lock(here: Place, tmp_path: Path) -> None:
    name = here.deploy("obedient@1")
    holder = (
        "import os, sys\n"
        "from constellation_dagster.resources.locks import FencedLock\n"
        "FencedLock(sys.argv[1], sys.argv[2]).__enter__()\n"
        "os.kill(os.getpid(), 9)\n"
    )
    subprocess.run(
        [sys.executable, "-c", holder, here.redis_url, f"deployment:{name}"],
        check=False,
        cwd=Path(__file__).parents[2],
    )
    here.reconcile(name)
    assert settled(here, name).status == "healthy"


def test_a_late_writer_changes_nothing(here: Place) -> None:
    name = here.deploy("obedient@1")
    with FencedLock(here.redis_url, f"deployment:{name}") as lock:
        old = lock.token
    here.reconcile(name)
    with pytest.raises(psycopg.Error, match="in newer hands"):
        SqlRows(here.connection).report(
            here.row(name).id, old, Report(status=DeploymentStatus.FAILED)
        )
    assert here.row(name).status == "healthy"


def test_phases_stop_where_they_are_told_to(here: Place) -> None:
    name = here.deploy("obedient@1")
    assert not here.reconcile(name, Phase.PROTECT).done
    assert here.replicas(name) == []
    assert not here.reconcile(name, Phase.START).done
    until(lambda: [replica.state for replica in here.replicas(name)] == ["ready"])
    assert name not in here.door.router.routes()
    assert here.reconcile(name, Phase.SHIFT).done
    assert here.answers(name) == "hello"
