"""Whatever happens to replicas, routes and the router: every request is answered, and rightly.

With a real front door, router and servers, under a load that never pauses.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from constellation_dagster.domain.reconciliation import Route, RoutePool
from constellation_dagster.domain.replicas import Replica
from tests.runtimes.contract import DEPLOYMENT
from tests.runtimes.packages import obedient_package
from tests.runtimes.supervised import KEY, Door, front_door, saying, until

DRAIN_SECONDS = 0.3
GRACE_SECONDS = 10.0
EXCHANGES = saying(1000)
# Enough to have met every replica, whatever happened to it.
SOME = 300

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    folder: Path = tmp_path_factory.mktemp("door")
    with front_door(folder / "home", obedient_package(folder / "package")) as running:
        yield running


@pytest.fixture(autouse=True)
def _nothing_left(door: Door) -> Iterator[None]:
    yield
    door.router.remove_route(DEPLOYMENT)
    door.harness.clear()


def retire(door: Door, replicas: list[Replica]) -> None:
    time.sleep(DRAIN_SECONDS)
    for replica in replicas:
        door.harness.runtime.stop(replica.id, GRACE_SECONDS)


def test_adding_and_removing_replicas(door: Door) -> None:
    first = door.harness.ready(1)
    door.route([first])
    with door.load(EXCHANGES) as load:
        load.wait_for(SOME)
        second = door.harness.ready(2)
        door.route([first, second])
        load.wait_for(SOME)
        door.route([second])
        retire(door, [first])
        load.wait_for(SOME)
    assert load.report.problems == []


def test_a_rolling_update_a_canary_and_a_rollback(door: Door) -> None:
    old = [door.harness.ready(1), door.harness.ready(2)]
    door.route(old)
    with door.load(EXCHANGES) as load:
        load.wait_for(SOME)
        canary = [door.harness.ready(1, epoch=1)]
        door.route(old, canary)
        load.wait_for(SOME)
        # Back.
        door.route(old)
        retire(door, canary)
        # And forth, all of it.
        new = [door.harness.ready(1, epoch=2), door.harness.ready(2, epoch=2)]
        door.route(new)
        retire(door, old)
        load.wait_for(SOME)
    assert load.report.problems == []


def test_a_hundred_changes_of_routes(door: Door) -> None:
    replicas = [door.harness.ready(1), door.harness.ready(2)]
    door.route(replicas)
    with door.load(EXCHANGES, connections=4) as load:
        for number in range(100):
            door.route(replicas[number % 2 :])
        load.wait_for(SOME)
    assert load.report.problems == []


def test_killing_one_replica_of_two(door: Door) -> None:
    replicas = [door.harness.ready(1), door.harness.ready(2)]
    door.route(replicas)
    with door.load(EXCHANGES) as load:
        for replica in replicas:
            load.wait_for(SOME)
            door.harness.kill(replica.id)
            door.harness.wait(replica.id, lambda r: r.restarts == 1 and r.state == "ready")
        load.wait_for(SOME)
    assert load.report.problems == []


def test_killing_the_only_replica(door: Door) -> None:
    """Requests wait until it is back."""
    replica = door.harness.ready()
    door.route([replica])
    with door.load(EXCHANGES) as load:
        load.wait_for(SOME)
        door.harness.kill(replica.id)
        load.wait_for(SOME)
    assert load.report.problems == []
    assert door.harness.replica(replica.id).restarts == 1


def test_killing_the_router(door: Door) -> None:
    replicas = [door.harness.ready(1), door.harness.ready(2)]
    door.route(replicas)
    with door.load(EXCHANGES) as load:
        for _ in range(2):
            load.wait_for(SOME)
            door.restart_router()
        load.wait_for(SOME)
        until(lambda: set(door.router.routes()) == {DEPLOYMENT})
    assert load.report.problems == []


def test_a_request_that_kills_is_sent_three_times_and_no_more(door: Door) -> None:
    replicas = [door.harness.ready(number) for number in range(5)]
    door.route(replicas)
    tensor = {"name": "command", "datatype": "BYTES", "shape": [1], "data": ["exit 3"]}
    answer = httpx.post(
        f"{door.url}/{DEPLOYMENT}/v2/models/{DEPLOYMENT}/infer",
        json={"inputs": [tensor]},
        headers={"apikey": KEY},
        timeout=30,
    )
    assert answer.status_code == 502
    assert "No replica" in answer.json()["error"]
    for replica in replicas:
        door.harness.wait(replica.id, lambda r: r.state == "ready")
    assert sum(door.harness.replica(replica.id).restarts for replica in replicas) == 3
    with door.load(EXCHANGES) as load:
        load.wait_for(SOME)
    assert load.report.problems == []


def test_without_a_replica_that_answers_it_is_said_so_in_the_end(
    door: Door, tmp_path: Path
) -> None:
    nobody = f"unix/{tmp_path}/nobody.sock"
    route = Route((("champion", RoutePool(100, frozenset({nobody}))),))
    door.router.set_route(DEPLOYMENT, route)
    url = f"{door.url}/{DEPLOYMENT}/v2"
    answer = httpx.post(url, headers={"apikey": KEY}, timeout=30)
    assert answer.status_code in {502, 503}
    assert "No replica" in answer.json()["error"]
    assert answer.headers["retry-after"] == "1"
