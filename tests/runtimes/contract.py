"""What every runtime does. Each has a subclass of `RuntimeContract` with a fixture `harness`."""

import re
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from constellation_dagster.domain.replicas import Replica, ReplicaSpec, Runtime

DEPLOYMENT = "obedient"
READY_SECONDS = 60.0
GRACE_SECONDS = 10.0


class RuntimeHarness(ABC):
    """A runtime with what tests need besides.

    Attributes:
        runtime: The runtime, of a stack that has nothing else in it.
        stranger: One of the same kind, of another stack.
    """

    runtime: Runtime
    stranger: Runtime

    @abstractmethod
    def spec(self, **changes: Any) -> ReplicaSpec:
        """A spec of the deployment `obedient`, whose package is `obedient_package`."""

    @abstractmethod
    def kill(self, replica: str) -> None:
        """Ends the process that answers requests with SIGKILL."""

    @abstractmethod
    def seen_from_outside(self, replica: str) -> str:
        """All that anybody on this machine is shown of a replica: inspection, arguments, environment."""

    def start(self, number: int = 1, secrets: dict[str, str] | None = None, **changes: Any) -> str:
        """Starts a replica and returns its id."""
        spec = self.spec(**changes)
        replica = f"{spec.deployment}-{spec.spec_hash}-{number}"
        self.runtime.start(spec, replica, secrets or {})
        return replica

    def replica(self, name: str) -> Replica:
        """One replica as the runtime sees it now."""
        found = [replica for replica in self.runtime.replicas() if replica.id == name]
        assert len(found) == 1, f"{name}: {found}"
        return found[0]

    def wait(self, name: str, wanted: Callable[[Replica], bool]) -> Replica:
        """Waits until a replica is as wanted."""
        deadline = time.monotonic() + READY_SECONDS
        while not wanted(replica := self.replica(name)):
            assert time.monotonic() < deadline, f"{replica}\n{self.runtime.logs(name, 50)}"
            time.sleep(0.1)
        return replica

    def ready(
        self, number: int = 1, secrets: dict[str, str] | None = None, **changes: Any
    ) -> Replica:
        """Starts a replica and waits until it is ready."""
        name = self.start(number, secrets, **changes)
        return self.wait(name, lambda replica: replica.state == "ready")

    def clear(self) -> None:
        """Removes all replicas of both stacks."""
        for runtime in (self.runtime, self.stranger):
            for replica in runtime.replicas():
                runtime.stop(replica.id, 0)


def tell(replica: Replica, *commands: str, timeout: float = 30.0) -> Sequence[str]:
    """Has the model of a replica carry out commands; an error of HTTP is raised."""
    tensor = {"name": "command", "datatype": "BYTES", "shape": [len(commands)], "data": commands}
    with client_of(replica, timeout) as client:
        response = client.post(f"/v2/models/{replica.deployment}/infer", json={"inputs": [tensor]})
    response.raise_for_status()
    return response.json()["outputs"][0]["data"]


def client_of(replica: Replica, timeout: float = 30.0) -> httpx.Client:
    """A client of one replica, past router and front door."""
    kind, _, path = replica.address.partition("/")
    unix = kind == "unix"
    transport = httpx.HTTPTransport(uds=path if unix else None)
    base = "http://replica" if unix else f"http://{replica.address}"
    return httpx.Client(transport=transport, base_url=base, timeout=timeout)


def in_flight(replica: Replica) -> int:
    """How many requests a replica has accepted and not answered."""
    with client_of(replica) as client:
        lines = client.get("/metrics").text.splitlines()
    [value] = [line.split()[1] for line in lines if re.match(r"\w+_in_flight ", line)]
    return int(value)


class RuntimeContract:
    """The tests."""

    @pytest.fixture(autouse=True)
    def _nothing_left(self, harness: RuntimeHarness) -> Iterator[None]:
        yield
        harness.clear()

    def test_a_replica_becomes_ready_and_answers(self, harness: RuntimeHarness) -> None:
        began = time.time()
        replica = harness.ready()
        assert replica.deployment == DEPLOYMENT
        assert replica.spec_hash == harness.spec().spec_hash
        assert began - 2 <= replica.started_at <= time.time() + 2
        assert (replica.restarts, replica.reason) == (0, "")
        assert tell(replica, "say hello", "say world") == ["hello", "world"]

    def test_starting_what_runs_changes_nothing(self, harness: RuntimeHarness) -> None:
        before = harness.ready()
        assert harness.start() == before.id
        assert harness.replica(before.id) == before

    def test_a_replica_of_another_spec_is_replaced(self, harness: RuntimeHarness) -> None:
        name = harness.ready(env={"COLOUR": "red"}).id
        spec = harness.spec(env={"COLOUR": "blue"})
        harness.runtime.start(spec, name, {})
        replica = harness.wait(name, lambda r: r.state == "ready" and r.spec_hash == spec.spec_hash)
        assert tell(replica, "variable COLOUR") == ["blue"]

    def test_only_its_own_replicas_are_seen(self, harness: RuntimeHarness) -> None:
        name = harness.start()
        other = harness.start(deployment="other")
        assert {replica.id for replica in harness.runtime.replicas()} == {name, other}
        assert [replica.id for replica in harness.runtime.replicas(DEPLOYMENT)] == [name]
        assert harness.stranger.replicas() == []
        assert harness.stranger.logs(name, 10) == ""
        harness.stranger.stop(name, 0)
        harness.replica(name)

    def test_a_killed_replica_comes_back(self, harness: RuntimeHarness) -> None:
        before = harness.ready()
        harness.kill(before.id)
        after = harness.wait(before.id, lambda r: r.state == "ready" and r.restarts > 0)
        assert after.address == before.address
        assert tell(after, "say hello") == ["hello"]

    def test_a_model_that_ends_its_process_comes_back(self, harness: RuntimeHarness) -> None:
        before = harness.ready()
        with pytest.raises(httpx.HTTPError):
            tell(before, "exit 3")
        after = harness.wait(before.id, lambda r: r.state == "ready" and r.restarts > 0)
        assert tell(after, "say hello") == ["hello"]
        assert "the model ends its process" in harness.runtime.logs(before.id, 100)

    def test_stopping_loses_nothing_that_was_accepted(self, harness: RuntimeHarness) -> None:
        replica = harness.ready(batch_size=1)
        with ThreadPoolExecutor(4) as pool:
            asked = [pool.submit(tell, replica, "sleep 1") for _ in range(4)]
            while in_flight(replica) < len(asked):
                time.sleep(0.02)
            harness.runtime.stop(replica.id, GRACE_SECONDS)
            assert [answer.result() for answer in asked] == [["slept 1"]] * 4
        assert harness.runtime.replicas() == []

    def test_stopping_what_is_not_there_is_fine(self, harness: RuntimeHarness) -> None:
        name = harness.start()
        harness.runtime.stop(name, 0)
        harness.runtime.stop(name, 0)
        harness.runtime.stop("never_heard_of-0-1", 0)
        assert harness.runtime.replicas() == []
        assert harness.runtime.logs(name, 10) == ""

    def test_it_starts_again_after_it_was_stopped(self, harness: RuntimeHarness) -> None:
        name = harness.ready().id
        harness.runtime.stop(name, GRACE_SECONDS)
        assert harness.ready().id == name

    def test_its_last_lines_can_be_read(self, harness: RuntimeHarness) -> None:
        replica = harness.ready()
        tell(replica, "print first", "print second", "print third")
        lines = harness.runtime.logs(replica.id, 1000)
        assert "the model is being loaded" in lines
        assert lines.index("first") < lines.index("second") < lines.index("third")
        assert len(harness.runtime.logs(replica.id, 2).splitlines()) == 2

    def test_one_that_never_becomes_ready_is_not_ready_and_says_why(
        self, harness: RuntimeHarness
    ) -> None:
        name = harness.start(env={"FAULT": "never ready"})
        words = "waiting for a licence server"
        harness.wait(name, lambda _: words in harness.runtime.logs(name, 20))
        assert harness.replica(name).state in {"starting", "sick"}
        harness.runtime.stop(name, 1)
        assert harness.runtime.replicas() == []

    def test_one_that_fails_its_own_example_ends_with_a_reason(
        self, harness: RuntimeHarness
    ) -> None:
        name = harness.start(env={"FAULT": "wrong answers"})
        replica = harness.wait(name, lambda r: r.state in {"sick", "dead"})
        assert "exit" in replica.reason
        assert "example" in harness.runtime.logs(name, 50)

    def test_secrets_reach_the_model_and_nobody_else(self, harness: RuntimeHarness) -> None:
        value = "correct horse battery staple"
        replica = harness.ready(secrets={"LICENCE": value}, env={"COLOUR": "red"})
        assert tell(replica, "secret LICENCE", "variable LICENCE") == [value, "unset"]
        outside = harness.seen_from_outside(replica.id)
        assert "CONSTELLATION_SECRETS_DIR" in outside
        assert value not in outside
