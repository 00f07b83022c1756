"""Replicas as containers: the contract of runtimes, what a container may do, and its faults."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from constellation_dagster.domain.replicas import ReplicaFailed
from constellation_dagster.images.build import build_image
from constellation_dagster.runtimes.containers import container_options, home_id
from constellation_dagster.runtimes.docker import DockerRuntime
from constellation_dagster.settings import Settings
from tests.docker.conftest import remove_stack
from tests.docker.harness import DockerHarness
from tests.runtimes.contract import RuntimeContract, tell
from tests.runtimes.packages import Package, obedient_package

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    return obedient_package(tmp_path_factory.mktemp("package"))


@pytest.fixture(scope="module")
def image(package: Package, settings: Settings, engine: Any) -> str:
    return build_image(package.digest, "obedient@1", package.folder, settings, print).image


@pytest.fixture(scope="module")
def harness(
    engine: Any, home: Path, image: str, package: Package, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[DockerHarness]:
    strange_home = tmp_path_factory.mktemp("stranger")
    yield DockerHarness(engine, home, strange_home, image, package.digest)
    remove_stack(engine, strange_home)


@pytest.fixture
def clear(harness: DockerHarness) -> Iterator[None]:
    yield
    harness.clear()


class TestDockerRuntime(RuntimeContract):
    """The contract."""


def inside(container: Any, code: str) -> tuple[int, str]:
    """Runs Python code in a running container."""
    result = container.exec_run(["python", "-c", code])
    return result.exit_code, result.output.decode()


@pytest.mark.usefixtures("clear")
def test_a_container_may_do_nothing_but_serve(harness: DockerHarness) -> None:
    replica = harness.ready(cpu=0.5)
    container = harness.container(replica.id)
    host = container.attrs["HostConfig"]
    assert container.attrs["Config"]["User"] == "10001:10001"
    assert host["ReadonlyRootfs"]
    assert host["CapDrop"] == ["ALL"]
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert host["Memory"] == 256 * 1024**2
    assert host["NanoCpus"] == 500_000_000
    assert host["PidsLimit"] > 0
    assert host["RestartPolicy"]["Name"] == "unless-stopped"
    (binding,) = container.attrs["NetworkSettings"]["Ports"]["8000/tcp"]
    assert f"{binding['HostIp']}:{binding['HostPort']}" == replica.address
    assert replica.address.startswith("127.0.0.1:")

    status = Path(f"/proc/{container.attrs['State']['Pid']}/status").read_text()
    assert "CapEff:\t0000000000000000" in status
    assert "NoNewPrivs:\t1" in status
    for place in ("/", "/model", "/opt/server", "/run/secrets"):
        code, said = inside(container, f"open('{place}/x', 'w')")
        assert code == 1, place
        assert "Read-only file system" in said or "Permission denied" in said
    assert inside(container, "open('/tmp/x', 'w').write('x')")[0] == 0


@pytest.mark.usefixtures("clear")
def test_containers_do_not_reach_each_other(harness: DockerHarness) -> None:
    one, other = harness.container(harness.ready(1).id), harness.container(harness.ready(2).id)
    (network,) = other.attrs["NetworkSettings"]["Networks"].values()
    knock = "import socket; socket.create_connection(('{}', 8000), timeout=2)"
    assert inside(one, knock.format("127.0.0.1"))[0] == 0
    code, said = inside(one, knock.format(network["IPAddress"]))
    assert code == 1
    assert "TimeoutError" in said or "refused" in said


@pytest.mark.usefixtures("clear")
def test_one_that_is_killed_under_load_comes_back(harness: DockerHarness) -> None:
    replica = harness.ready()
    ended = threading.Event()

    def ask() -> tuple[int, int]:
        answered = lost = 0
        while not ended.is_set():
            try:
                assert tell(replica, "say hello") == ["hello"]
                answered += 1
            except httpx.HTTPError:
                lost += 1
                time.sleep(0.05)
        return answered, lost

    with ThreadPoolExecutor(4) as pool:
        asking = [pool.submit(ask) for _ in range(4)]
        try:
            time.sleep(0.5)
            harness.kill(replica.id)
            after = harness.wait(replica.id, lambda r: r.restarts > 0 and r.state == "ready")
            time.sleep(0.5)
        finally:
            ended.set()
        results = [one.result() for one in asking]
    assert after.address == replica.address
    assert all(answered for answered, _ in results), results
    assert any(lost for _, lost in results), "the kill was not noticed"
    assert tell(after, "say hello") == ["hello"]


@pytest.mark.usefixtures("clear")
def test_one_that_wants_too_much_memory_says_so_and_comes_back(harness: DockerHarness) -> None:
    replica = harness.ready()
    with pytest.raises(httpx.HTTPError):
        tell(replica, *["leak 20"] * 50)
    seen = harness.wait(replica.id, lambda r: "256 MiB (OOMKilled)" in r.reason)
    assert seen.state == "starting"
    after = harness.wait(replica.id, lambda r: r.state == "ready")
    assert after.restarts == 1
    assert tell(after, "say hello") == ["hello"]


@pytest.mark.usefixtures("clear")
def test_one_that_is_never_ready_is_reported_with_its_own_words(harness: DockerHarness) -> None:
    patient, harness.runtime = harness.runtime, DockerRuntime(harness.home, start_seconds=1)
    try:
        name = harness.start(env={"FAULT": "never ready"})
        replica = harness.wait(name, lambda r: r.state == "sick")
    finally:
        harness.runtime = patient
    assert "is not ready" in replica.reason
    assert "waiting for a licence server that is not there" in replica.reason


@pytest.mark.usefixtures("clear")
def test_one_that_hangs_is_sick(harness: DockerHarness) -> None:
    replica = harness.ready()
    container = harness.container(replica.id)
    container.pause()
    assert harness.replica(replica.id).state == "sick"
    # Starting it is what repairs it.
    assert harness.start() == replica.id
    harness.wait(replica.id, lambda r: r.state == "ready")


@pytest.mark.usefixtures("clear")
def test_a_package_that_was_changed_in_its_image_is_not_served(
    tmp_path: Path, harness: DockerHarness
) -> None:
    (tmp_path / "Dockerfile").write_text(f"FROM {harness.image}\nCOPY model.py /model/\n")
    (tmp_path / "model.py").write_text("print('anything')")
    changed, _ = harness.engine.images.build(path=str(tmp_path), rm=True)
    replica = harness.wait(harness.start(image=changed.id), lambda r: r.state == "sick")
    assert "has ended 3 times, with exit code 1" in replica.reason
    assert "model.py is changed" in replica.reason


@pytest.mark.usefixtures("clear")
def test_what_a_killed_caller_has_left_is_taken_up(harness: DockerHarness) -> None:
    spec = harness.spec()
    name = f"{spec.deployment}-{spec.spec_hash}-1"
    harness.ready(number=2)  # so that there is a network
    options = container_options(
        spec, name, home=home_id(harness.home), port=29_999, secrets=harness.home, start_seconds=60
    )
    harness.engine.containers.create(**options)
    assert harness.replica(name).state == "dead"
    harness.runtime.start(spec, name, {})
    harness.wait(name, lambda r: r.state == "ready")


@pytest.mark.usefixtures("clear")
def test_one_that_somebody_has_stopped_is_dead_and_starts_again(harness: DockerHarness) -> None:
    replica = harness.ready()
    harness.container(replica.id).stop()
    stopped = harness.replica(replica.id)
    assert (stopped.state, stopped.reason[:27]) == ("dead", "has ended with exit code 0;")
    assert harness.ready().id == replica.id


@pytest.mark.usefixtures("clear")
def test_an_image_that_is_gone_is_named(harness: DockerHarness) -> None:
    missing = f"sha256:{'0' * 64}"
    with pytest.raises(ReplicaFailed, match=r"not in the engine.*constellation model build"):
        harness.start(image=missing)
    with pytest.raises(ReplicaFailed, match="constellation model build obedient@1"):
        harness.start(image=None)
    assert harness.runtime.replicas() == []
