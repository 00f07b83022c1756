"""Replicas as processes of the stack's supervisor."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast
from xmlrpc.client import ServerProxy, Transport

import httpx
import psutil
import pytest
from supervisor.xmlrpc import SupervisorTransport

from constellation_dagster.domain.replicas import ReplicaFailed, RuntimeUnavailable
from constellation_dagster.local.stack import Stack
from constellation_dagster.local.supervision import Supervisor
from constellation_dagster.runtimes.process import ProcessRuntime
from tests.runtimes.contract import DEPLOYMENT, RuntimeContract, tell
from tests.runtimes.packages import Package, obedient_package
from tests.runtimes.supervised import ProcessHarness, supervised


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    return obedient_package(tmp_path_factory.mktemp("package"))


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory, package: Package) -> Iterator[ProcessHarness]:
    folder = tmp_path_factory.mktemp("homes")
    with (
        # Characters that mean something to supervisord or to a shell.
        supervised(folder / "own 100% ; # [of] 'it'") as own,
        supervised(folder / "stranger") as stranger,
    ):
        yield ProcessHarness(own, stranger, package)


class TestProcessRuntime(RuntimeContract):
    """What every runtime does."""


class TestProcesses:
    """What only this one does."""

    @pytest.fixture(autouse=True)
    def _nothing_left(self, harness: ProcessHarness) -> Iterator[None]:
        yield
        harness.clear()
        left = [*harness.home.replicas.iterdir(), *harness.home.launches.iterdir()]
        left += [*harness.home.sockets.glob("replica-*"), *harness.home.logs.glob("replica-*")]
        assert left == []
        assert Supervisor(harness.home).states() == {}

    def test_it_outlives_whoever_made_it(self, harness: ProcessHarness) -> None:
        spec = harness.spec()
        name = f"{DEPLOYMENT}-{spec.spec_hash}-7"
        code = (
            "import sys; from pathlib import Path;"
            "from constellation_dagster.domain.replicas import ReplicaSpec;"
            "from constellation_dagster.runtimes.process import ProcessRuntime;"
            "runtime = ProcessRuntime(Path(sys.argv[1]), lambda _: Path(sys.argv[2]));"
            "spec = ReplicaSpec(*sys.argv[4:]);"
            "runtime.start(spec, sys.argv[3], {})"
        )
        arguments = [str(harness.home.root), str(harness.package.folder), name]
        subprocess.run(
            [sys.executable, "-c", code, *arguments, spec.deployment, spec.package, spec.digest],
            check=True,
        )
        replica = harness.wait(name, lambda r: r.state == "ready")
        assert tell(replica, "say hello") == ["hello"]

    def test_it_gets_its_own_variables_and_none_of_the_platform_s(
        self, harness: ProcessHarness
    ) -> None:
        replica = harness.ready(env={"COLOUR": "red"})
        environment = harness.process(replica.id).environ()
        folder = str(harness.home.replicas / replica.id)
        assert environment.pop("COLOUR") == "red"
        assert environment.pop("HOME") == folder
        assert environment.pop("CONSTELLATION_SECRETS_DIR") == f"{folder}/secrets"
        assert set(environment) == {"PATH", "LC_ALL", "PYTHONUNBUFFERED", "CONSTELLATION_STACK"}

    def test_secrets_are_private_files_and_go_with_it(self, harness: ProcessHarness) -> None:
        name = harness.start(secrets={"LICENCE": "x"})
        folder = harness.home.replicas / name / "secrets"
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert stat.S_IMODE((folder / "LICENCE").stat().st_mode) == 0o600
        harness.runtime.stop(name, 0)
        assert not folder.exists()

    def test_all_that_is_wrong_is_said_at_once(self, harness: ProcessHarness) -> None:
        with pytest.raises(ReplicaFailed) as refused:
            harness.runtime.start(harness.spec(cpu=0.5), "../x", {"../y": "z"})
        for words in ("'obedient'", "cpu 0.5", "'docker'", "'../x'", "'../y'"):
            assert words in str(refused.value)

    def test_a_package_that_is_not_there(self, harness: ProcessHarness) -> None:
        with pytest.raises(ReplicaFailed, match=r"obedient@1 cannot be used: There is no package"):
            harness.start(digest="sha256:00")

    def test_one_that_holds_too_much_memory_is_killed_and_comes_back(
        self, harness: ProcessHarness
    ) -> None:
        before = harness.ready(memory_mb=300)
        leaks = ["leak 40", "sleep 0.1"] * 100
        with pytest.raises(httpx.HTTPError):
            tell(before, *leaks)
        after = harness.wait(before.id, lambda r: r.restarts > 0)
        assert "its limit of 300 MiB" in harness.runtime.logs(before.id, 100)
        assert after.state in {"starting", "ready"}
        after = harness.wait(before.id, lambda r: r.state == "ready")
        assert tell(after, "say hello") == ["hello"]

    def test_one_that_ends_again_and_again_is_dead_and_says_why(
        self, harness: ProcessHarness
    ) -> None:
        name = harness.start(env={"FAULT": "wrong answers"})
        replica = harness.wait(name, lambda r: r.state == "dead")
        assert replica.restarts == 2
        assert "it ends again and again, with exit code 1; it said last:" in replica.reason
        assert "output 'answer' differs" in replica.reason
        # It is left alone until somebody removes it.
        harness.runtime.start(harness.spec(env={"FAULT": "wrong answers"}), name, {})
        assert harness.replica(name) == replica

    def test_one_that_hangs_is_sick(self, harness: ProcessHarness) -> None:
        replica = harness.ready()
        harness.process(replica.id).suspend()
        sick = harness.replica(replica.id)
        assert (sick.state, "does not answer within 2 s" in sick.reason) == ("sick", True)
        harness.process(replica.id).resume()
        assert harness.replica(replica.id) == replica

    def test_what_its_maker_did_not_finish_is_found_and_can_be_done_again(
        self, harness: ProcessHarness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def killed(*_: object) -> None:
            raise KeyboardInterrupt

        for moment in ("add_program", "start_program"):
            with monkeypatch.context() as patch:
                patch.setattr(Supervisor, moment, killed)
                with pytest.raises(KeyboardInterrupt):
                    harness.start(secrets={"LICENCE": "x"})
            [replica] = harness.runtime.replicas()
            assert replica.state in {"dead", "starting"}
            assert harness.ready(secrets={"LICENCE": "x"}).id == replica.id
            harness.runtime.stop(replica.id, 0)

    def test_one_that_was_only_just_started_can_be_stopped(self, harness: ProcessHarness) -> None:
        """A signal between supervisord's fork and exec is lost."""
        name = harness.start()
        program = f"replica-{name}"
        Supervisor(harness.home).stop_programs([program], 10)
        transport = SupervisorTransport(None, None, f"unix://{harness.home.supervisor_socket}")
        proxy = ServerProxy("http://127.0.0.1", transport=cast("Transport", transport))
        at_once = [
            {"methodName": f"supervisor.{method}", "params": [program, False]}
            for method in ("startProcess", "stopProcess")
        ]
        assert cast("Any", proxy).system.multicall(at_once) == [True, True]
        harness.runtime.stop(name, 0)
        assert harness.runtime.replicas() == []

    def test_stopping_ends_what_it_has_started(self, harness: ProcessHarness) -> None:
        replica = harness.ready()
        server = harness.process(replica.id)
        guard = server.parent()
        assert guard is not None
        server.suspend()  # it will not hear SIGTERM
        harness.runtime.stop(replica.id, 0.5)
        assert not any(psutil.pid_exists(process.pid) for process in (server, guard))


def test_without_a_stack_it_says_what_to_do(tmp_path: Path, package: Package) -> None:
    runtime = ProcessRuntime(tmp_path, lambda _: package.folder)
    with pytest.raises(RuntimeUnavailable, match="constellation up"):
        runtime.replicas()
    with pytest.raises(RuntimeUnavailable, match="constellation up"):
        runtime.stop("x", 0)


def test_the_end_of_the_stack_leaves_nothing_of_it(tmp_path: Path, package: Package) -> None:
    with supervised(tmp_path / "home") as home:
        harness = ProcessHarness(home, home, package)
        process = harness.process(harness.ready(secrets={"LICENCE": "x"}).id)
        assert Stack(home).down()
        assert not process.is_running()
        assert list(home.replicas.iterdir()) == []
    with supervised(home.root):
        assert harness.runtime.replicas() == []


def test_it_ends_when_the_supervisor_is_killed(tmp_path: Path, package: Package) -> None:
    with supervised(tmp_path / "home") as home:
        harness = ProcessHarness(home, home, package)
        process = harness.process(harness.ready().id)
        os.kill(psutil.Process(process.ppid()).ppid(), 9)
        process.wait(10)
        with pytest.raises(RuntimeUnavailable):
            harness.runtime.replicas()
