"""Starting, stopping, and being killed at any moment."""

import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import psycopg
import pytest

from constellation_dagster.domain.replicas import ReplicaSpec
from constellation_dagster.local.environment import embedded_environment
from constellation_dagster.local.home import Home
from constellation_dagster.local.ports import Ports
from constellation_dagster.local.secrets import Secrets
from constellation_dagster.resources.locks import FencedLock
from constellation_dagster.resources.router import Router
from constellation_dagster.runtimes.process import ProcessRuntime
from tests.runtimes.packages import obedient_package
from tests.stack_fixture import (
    COMMAND,
    STOP_SECONDS,
    UP_SECONDS,
    RunningStack,
    StackHome,
    end_all,
    still_run,
)

pytestmark = [pytest.mark.xdist_group("stack"), pytest.mark.timeout(400)]


@pytest.fixture
def own(tmp_path: Path) -> Iterator[StackHome]:
    """A home of the test's own, in a place that makes things hard."""
    home = StackHome(tmp_path / "a deep home, 100% ; # 'of' its own" / ("x" * 60))
    try:
        yield home
    finally:
        home.run("down")
        left = home.processes()
        end_all(left)
        assert left == []


def until(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


def run_state(stack: StackHome) -> dict[str, str]:
    return {part["name"]: part["state"] for part in stack.status()["parts"]}


def test_up_twice_is_harmless(stack: RunningStack) -> None:
    before = stack.pids()
    result = stack.run("up")
    assert result.returncode == 0
    assert "running already" in result.stderr
    assert stack.pids() == before


def test_status_says_what_runs_and_where(stack: RunningStack) -> None:
    status = stack.status()
    assert status["running"] is True
    assert status["mode"] == "embedded"
    assert {part["name"] for part in status["parts"]} == {
        *("postgres", "postgrest", "auth", "valkey", "router", "caddy"),
        *("code-server", "webserver", "daemon"),
    }
    for part in status["parts"]:
        assert part["state"] == "running"
        assert psutil.pid_exists(part["pid"])
    for port in status["ports"].values():
        socket.create_connection(("127.0.0.1", port)).close()
    assert httpx.get(status["urls"]["dagster"] + "/server_info").status_code == 200
    answer = httpx.post(status["urls"]["graphql"], json={"query": "{ version }"})
    assert answer.json()["data"]["version"]
    assert "postgrest" in stack.run("status").stdout


def test_status_shows_replicas_of_deployed_models(stack: RunningStack, tmp_path: Path) -> None:
    package = obedient_package(tmp_path / "package")
    runtime = ProcessRuntime(stack.home, lambda _: package.folder)
    spec = ReplicaSpec("seen", "obedient@1", package.digest)
    name = f"seen-{spec.spec_hash}-1"
    assert stack.status()["replicas"] == []
    runtime.start(spec, name, {})
    try:
        until(lambda: runtime.replicas()[0].state == "ready", 60)
        # Nobody waits for replicas: rows say how many there should be.
        assert stack.run("up").returncode == 0
        status = stack.status()
        [replica] = status["replicas"]
        assert replica["name"] == name
        assert psutil.pid_exists(replica["pid"])
        assert status["running"] is True
        assert name not in {part["name"] for part in status["parts"]}
        assert name in stack.run("status").stdout
    finally:
        runtime.stop(name, 1)
    assert stack.status()["replicas"] == []


def test_env_is_for_a_shell(stack: RunningStack) -> None:
    lines = stack.run("env").stdout
    told = subprocess.run(
        ["sh", "-c", f'{lines}\nprintf %s "$SUPABASE_URL $DATABASE_URL"'],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    variables = stack.variables
    assert told == f"{variables['SUPABASE_URL']} {variables['DATABASE_URL']}"


def test_addresses_of_their_own_are_people_s_to_give(own: StackHome) -> None:
    given = {
        "REDIS_URL": "redis://redis.example.org/0",
        "CONSTELLATION_PACKAGES_URL": "s3://models/packages",
        "CONSTELLATION_ENDPOINTS_URL": "https://models.example.org",
        "CONSTELLATION_ROUTER_ADMIN": "http://router.example.org:2019",
        "CONSTELLATION_ARTIFACTS_URL": "s3://models/artifacts",
    }
    home = Home(own.home)
    home.prepare()
    with pytest.MonkeyPatch.context() as patch:
        for name in given:
            patch.delenv(name, raising=False)
        usual = embedded_environment(home, Ports(), Secrets.generate())
        for name, value in given.items():
            patch.setenv(name, value)
        told = embedded_environment(home, Ports(), Secrets.generate())
    assert {name: told[name] for name in given} == given
    assert usual["CONSTELLATION_PACKAGES_URL"] == str(own.home / "packages")
    assert usual["CONSTELLATION_ENDPOINTS_URL"] == "http://127.0.0.1:54321/endpoints"


def test_everything_listens_on_loopback_only(stack: RunningStack) -> None:
    addresses: set[str] = set()
    for process in stack.processes():
        # Postgres' own workers come and go.
        with suppress(psutil.NoSuchProcess):
            addresses |= {
                connection.laddr.ip
                for connection in process.net_connections("inet")
                if connection.status == psutil.CONN_LISTEN
            }
    # gRPC writes the same address in its IPv6 form.
    assert addresses == {"127.0.0.1", "::ffff:127.0.0.1"}


def test_private_files_are_private(stack: RunningStack) -> None:
    for file in ("secrets.json", "stack.env", "run/launches/auth.json"):
        assert stat.S_IMODE((stack.home / file).stat().st_mode) == 0o600
    for folder in ("run", "logs"):
        assert stat.S_IMODE((stack.home / folder).stat().st_mode) == 0o700


def test_settings_follow_the_stack_only_while_it_runs(stack: RunningStack) -> None:
    code = (
        "from constellation_dagster.settings import get_settings as g;"
        "s = g(); print(s.supabase_url, s.dagster_postgres_url is not None)"
    )

    def told(**extra: str) -> list[str]:
        return subprocess.run(
            [sys.executable, "-c", code],
            env=stack.environment(**extra),
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()

    assert told() == [stack.url, "True"]
    # The address of one Supabase never goes with the keys of another.
    assert told(SUPABASE_URL="https://example.supabase.co") == [
        *("https://example.supabase.co", "True")
    ]


def test_ctrl_c_ends_everything_and_taken_ports_are_avoided(own: StackHome) -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if taken.connect_ex(("127.0.0.1", 54321)) != 0:
            taken.bind(("127.0.0.1", 54321))
            taken.listen()
        with subprocess.Popen(
            [COMMAND, "up"], env=own.environment(), stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stderr is not None
            lines: list[str] = []
            while "Ctrl-C" not in "".join(lines[-1:]):
                lines.append(process.stderr.readline())
                assert lines[-1], "".join(lines)
            status = own.status()
            assert status["running"] is True
            assert status["ports"]["caddy"] != 54321
            started = own.processes()
            assert len(started) > 7

            began = time.monotonic()
            process.send_signal(signal.SIGINT)
            assert process.wait(UP_SECONDS) == 0
            assert time.monotonic() - began < STOP_SECONDS
    assert own.processes() == []
    assert still_run(started) == []
    status = own.status()
    assert (status["running"], status["mode"], status["parts"]) == (False, None, [])


def test_it_survives_being_killed(own: StackHome) -> None:
    own.up()
    ports = own.status()["ports"]
    assert stat.S_IMODE((own.home / "run/replicas").stat().st_mode) == 0o700

    # A part: its supervisor brings it back.
    for part in ("postgres", "auth", "valkey", "router", "code-server"):
        pid = own.pids()[part]
        os.kill(pid, signal.SIGKILL)
        until(lambda part=part, pid=pid: own.pids()[part] not in {pid, None}, 30)
    # A guard: the part goes along and comes back too.
    pid = own.pids()["caddy"]
    guard = psutil.Process(pid).parent()
    assert guard is not None
    guard.kill()
    until(lambda: own.pids()["caddy"] not in {pid, None}, 30)
    until(lambda: own.status()["running"], 30)

    # The supervisor: nothing outlives it for long, and the next start works.
    before = own.processes()
    own.supervisor().kill()
    until(lambda: own.run("status").returncode == 1, 10)
    assert own.run("env").returncode == 1
    own.up()
    assert still_run(before) == []
    status = own.status()
    assert status["running"] is True
    assert status["ports"] == ports
    database = RunningStack(own.home).variables["DATABASE_URL"]
    with psycopg.connect(database) as connection:
        assert connection.execute("select count(*) from public.pipelines").fetchone() == (0,)

    # The supervisor, and no next start: all of it ends by itself.
    before = own.processes()
    own.supervisor().kill()
    until(lambda: not still_run(before), STOP_SECONDS)


def test_dagster_alone_against_a_hosted_supabase(stack: RunningStack, own: StackHome) -> None:
    hosted = {
        name: stack.variables[name]
        for name in ("SUPABASE_URL", "SUPABASE_KEY", "SUPABASE_SERVICE_ROLE_KEY", "DATABASE_URL")
    }
    refused = own.run("up", "--detach", SUPABASE_URL=hosted["SUPABASE_URL"])
    assert refused.returncode == 1
    for name in ("SUPABASE_KEY", "SUPABASE_SERVICE_ROLE_KEY", "DATABASE_URL"):
        assert name in refused.stderr

    own.up(**hosted)
    status = own.status()
    assert status["mode"] == "hosted"
    assert status["urls"]["supabase"] == hosted["SUPABASE_URL"]
    assert set(run_state(own)) == {
        *("valkey", "router", "caddy", "code-server", "webserver", "daemon")
    }
    # Its front door is for deployed models only, with the keys of the hosted Supabase.
    variables = RunningStack(own.home).variables
    endpoints = variables["CONSTELLATION_ENDPOINTS_URL"]
    assert (
        endpoints == status["urls"]["endpoints"] != stack.variables["CONSTELLATION_ENDPOINTS_URL"]
    )
    assert httpx.get(f"{endpoints}/iris/v2").status_code == 401
    answer = httpx.get(f"{endpoints}/iris/v2", headers={"apikey": hosted["SUPABASE_KEY"]})
    assert (answer.status_code, "'iris'" in answer.json()["error"]) == (404, True)
    door = endpoints.removesuffix("/endpoints")
    assert httpx.get(f"{door}/health").text == "ok"
    assert httpx.get(f"{door}/rest/v1/", params={"apikey": "x"}).status_code == 404
    Router(variables["CONSTELLATION_ROUTER_ADMIN"]).routes()
    with FencedLock(variables["REDIS_URL"], "iris", timeout=0):
        pass
    with psycopg.connect(hosted["DATABASE_URL"]) as connection:
        found = connection.execute(
            "select schemaname from pg_tables where tablename = 'event_logs'"
        ).fetchall()
    assert found == [("dagster",)]
    assert own.down() < STOP_SECONDS
