"""One stack: started part by part, looked at, stopped."""

import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx
import yaml

from constellation_dagster.local import programs
from constellation_dagster.local.database import prepare_embedded, prepare_hosted
from constellation_dagster.local.environment import (
    embedded_environment,
    hosted_environment,
    is_hosted,
    write_stack_env,
)
from constellation_dagster.local.errors import StackError
from constellation_dagster.local.home import REPLICA_PREFIX, Home, write_private
from constellation_dagster.local.person import make_person
from constellation_dagster.local.ports import Ports, chosen_ports, load_ports
from constellation_dagster.local.postgres import PostgresFailed, initialise, wait_ready
from constellation_dagster.local.postgrest import find_postgrest
from constellation_dagster.local.programs import EMBEDDED_PARTS, HOSTED_PARTS, Program
from constellation_dagster.local.readiness import Check, checks
from constellation_dagster.local.secrets import load_secrets
from constellation_dagster.local.supervision import ENDED, Supervisor, log_tail
from constellation_dagster.local.sweep import sweep
from constellation_dagster.settings import PROJECT_ROOT, read_env_file

_READY_SECONDS = 120.0
_STOP_SECONDS = 6.5
_STARTS = 5  # a part may lose one or two to another that is not ready yet


@dataclass(frozen=True)
class Step:
    """A part is ready."""

    part: str
    detail: str
    seconds: float


Report = Callable[[Step], None]


class Stack:
    """The embedded stack of one home, or Dagster alone against a hosted Supabase."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.supervisor = Supervisor(home)

    def up(self, report: Report) -> bool:
        """Start everything and wait until it is ready; returns False when it ran already.

        What this call has started is stopped again if a part fails.
        """
        self.home.prepare()
        with self.home.lock():
            if self.supervisor.alive and self.home.storage_ready.exists():
                self._start_what_stopped(report)
                return False
            # What an `up` that was killed half-way, or a killed supervisor, has left.
            self._stop()
            self.home.forget_replica_logs()
            try:
                _Start(self, report).run()
            except BaseException:
                self._stop()
                raise
            return True

    def down(self) -> bool:
        """Stop everything; returns False when nothing ran."""
        if not self.home.run.is_dir():
            return False
        with self.home.lock():
            stopped = self._stop()
            self.home.remove_sockets()
            return stopped

    def _stop(self) -> bool:
        ran = self.supervisor.alive
        if ran:
            names = self.supervisor.states().keys()
            # Replicas answer what they have accepted, through a front door that is still there.
            replicas = {name for name in names if name.startswith(REPLICA_PREFIX)}
            self.supervisor.stop_programs(replicas, _STOP_SECONDS)
            # All of its clients at once: then Postgres has nobody to wait for.
            self.supervisor.stop_programs(names - replicas - {"postgres"}, _STOP_SECONDS)
            self.supervisor.shut_down()
        left = sweep(self.home)
        self.home.forget_run()
        return ran or left > 0

    def _start_what_stopped(self, report: Report) -> None:
        states = self.supervisor.states()
        for name in [name for name, state in states.items() if state.state in ENDED]:
            # Replicas are for whoever keeps deployments as their rows say.
            if not name.startswith(REPLICA_PREFIX):
                self.supervisor.start_program(name)
        ports = load_ports(self.home.ports)
        anon_key = read_env_file(self.home.stack_env).get("SUPABASE_KEY", "")
        with httpx.Client(timeout=6.0) as client:
            asked = checks(self.home, ports, anon_key, client, 0.0)
            wanted = {name: check for name, check in asked.items() if name in states}
            self.wait(wanted, report)

    def wait(self, wanted: dict[str, Check], report: Report) -> None:
        """Ask until every part is ready, or one has given up."""
        started = time.monotonic()
        waiting = dict(wanted)
        starts: defaultdict[str, set[int]] = defaultdict(set)
        while waiting:
            self.fail_if_given_up(starts)
            for name in [name for name, check in waiting.items() if check()]:
                del waiting[name]
                report(Step(name, "", time.monotonic() - started))
            if time.monotonic() - started > _READY_SECONDS:
                names = ", ".join(waiting)
                raise StackError(
                    f"Not ready after {_READY_SECONDS:.0f} s: {names}. "
                    f"Their logs are in {self.home.logs}."
                )
            time.sleep(0.05)

    def fail_if_given_up(self, starts: defaultdict[str, set[int]]) -> None:
        """Raise when the supervisor is gone, or with the log of a program that does not stay up.

        Args:
            starts: When each program was seen to be started, kept by the caller between calls. The
                supervisor gives up only on those that end within a second.
        """
        if not self.supervisor.alive:
            raise StackError("The supervisor was stopped meanwhile.")
        for state in self.supervisor.states().values():
            if state.name.startswith(REPLICA_PREFIX):
                continue
            starts[state.name].add(state.since)
            if state.state == "FATAL" or len(starts[state.name]) > _STARTS:
                log = self.home.logs / f"{state.name}.log"
                raise StackError(f"{state.name} does not start. The end of {log}:\n{log_tail(log)}")


class _Start:
    """One start from nothing."""

    def __init__(self, stack: Stack, report: Report) -> None:
        self._stack = stack
        self._home = stack.home
        self._supervisor = stack.supervisor
        self._began = time.monotonic()
        self._since = time.time()
        self._report = report

    def run(self) -> None:
        with chosen_ports(self._home.ports, self._home.shared) as ports:
            if is_hosted(self._home):
                self._run_hosted(ports)
            else:
                self._run_embedded(ports)

    def _run_hosted(self, ports: Ports) -> None:
        environment = hosted_environment(self._home, ports)
        self._prepare_dagster(ports)
        self._supervisor.start(HOSTED_PARTS)
        self._launch(
            *programs.dagster(self._home, ports, environment),
            *self._endpoints(ports, environment, hosted=True),
        )
        applied = prepare_hosted(environment["DATABASE_URL"])
        self._done("database", _migrations(applied))
        self._wait(ports, environment, HOSTED_PARTS)

    def _run_embedded(self, ports: Ports) -> None:
        home = self._home
        secrets = load_secrets(home.secrets)
        environment = embedded_environment(home, ports, secrets)
        with ThreadPoolExecutor(max_workers=2) as pool:
            database = pool.submit(initialise, home.postgres, secrets.postgres_password)
            binary = pool.submit(find_postgrest, home.cache)
            self._prepare_dagster(ports)
            self._supervisor.start(EMBEDDED_PARTS)
            # Python's programs import, which takes longest, while the database is made.
            self._launch(
                *programs.dagster(home, ports, environment),
                programs.auth(home, environment),
                *self._endpoints(ports, environment, hosted=False),
            )
            database.result()
            self._launch(programs.postgres(home, ports))
            self._wait_for_postgres(environment["DATABASE_URL"])
            applied = prepare_embedded(environment["DATABASE_URL"], secrets.authenticator_password)
            self._done("postgres", _migrations(applied))
            self._launch(programs.postgrest(home, ports, secrets, binary.result()))
        self._wait(ports, environment, EMBEDDED_PARTS[1:])
        make_person(environment)

    def _endpoints(
        self, ports: Ports, environment: dict[str, str], *, hosted: bool
    ) -> tuple[Program, ...]:
        return (
            programs.valkey(self._home),
            programs.router(self._home),
            programs.caddy(self._home, ports, environment, hosted=hosted),
        )

    def _prepare_dagster(self, ports: Ports) -> None:
        folder = self._home.dagster
        text = (PROJECT_ROOT / "dagster.yaml").read_text(encoding="utf-8")
        (folder / "dagster.yaml").write_text(text, encoding="utf-8")
        server = {
            "host": "127.0.0.1",
            "port": ports.code_server,
            "location_name": programs.CODE_LOCATION,
        }
        workspace = {"load_from": [{"grpc_server": server}]}
        (folder / "workspace.yaml").write_text(yaml.safe_dump(workspace), encoding="utf-8")

    def _launch(self, *started: Program) -> None:
        for program in started:
            text = program.launch(self._home).as_json()
            write_private(self._home.launches / f"{program.name}.json", text)
            self._supervisor.start_program(program.name)

    def _wait_for_postgres(self, url: str) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        starts: defaultdict[str, set[int]] = defaultdict(set)
        while True:
            self._stack.fail_if_given_up(starts)
            try:
                wait_ready(url, timeout=0.5)
            except PostgresFailed:
                if time.monotonic() > deadline:
                    raise
            else:
                return

    def _wait(self, ports: Ports, environment: dict[str, str], parts: tuple[str, ...]) -> None:
        write_stack_env(self._home, environment)
        self._home.storage_ready.touch()
        with httpx.Client(timeout=6.0) as client:
            asked = checks(self._home, ports, environment["SUPABASE_KEY"], client, self._since)
            self._stack.wait(
                {part: asked[part] for part in parts}, lambda step: self._done(step.part, "")
            )

    def _done(self, part: str, detail: str) -> None:
        self._report(Step(part, detail, time.monotonic() - self._began))


def _migrations(applied: list[str]) -> str:
    if not applied:
        return "schema is up to date"
    return f"{len(applied)} migration{'s' if len(applied) > 1 else ''} applied"


def stack_of(root: Path) -> Stack:
    """The stack of a home."""
    return Stack(Home(root))
