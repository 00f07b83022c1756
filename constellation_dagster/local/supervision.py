"""supervisord: its configuration, its start, and what is asked of it."""

import fcntl
import http.client
import os
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from supervisor.xmlrpc import SupervisorTransport  # pyright: ignore[reportMissingTypeStubs]

from constellation_dagster.local import guard
from constellation_dagster.local.errors import StackError
from constellation_dagster.local.home import Home, write_private
from constellation_dagster.settings import socket_answers

SUPERVISOR = "supervisord"
RUNNING = "RUNNING"
# Not running, and nobody is about to change that.
ENDED = frozenset({"STOPPED", "EXITED", "FATAL", "UNKNOWN"})

_PYTHON = "CONSTELLATION_GUARD_PYTHON"
_GUARD = "CONSTELLATION_GUARD"
_SOCKET = "CONSTELLATION_SOCKET"
_LATER = 999  # the priority of what comes while the stack runs
_START_SECONDS = 15.0
_SHUTDOWN_SECONDS = 10.0
_SIGNAL_SECONDS = 0.5

# Paths are relative to the folder it runs in, or come from the environment: in the file itself a %,
# a quote or a # in one would be syntax.
_CONFIGURATION = f"""\
[unix_http_server]
file = %(ENV_{_SOCKET})s
chmod = 0700

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface

[supervisord]
nodaemon = true
silent = true
{{user}}logfile = ../logs/supervisord.log
logfile_maxbytes = 1MB
logfile_backups = 2
pidfile = supervisord.pid
"""
_SECTION = "\n[program:"
_PROGRAM = f"""{_SECTION}{{name}}]
command = "%(ENV_{_PYTHON})s" -I "%(ENV_{_GUARD})s" launches/{{name}}.json
autostart = false
autorestart = true
startsecs = {{steady_seconds}}
startretries = {{retries}}
stopsignal = TERM
stopwaitsecs = {{stop_seconds}}
killasgroup = true
redirect_stderr = true
stdout_logfile = ../logs/{{name}}.log
stdout_logfile_maxbytes = 5MB
stdout_logfile_backups = 3
priority = {{priority}}
"""


@dataclass(frozen=True)
class ProcessState:
    """What supervisord says about one program.

    Attributes:
        name: The program's name.
        state: RUNNING, STARTING, BACKOFF, FATAL, …
        since: Unix time of its last start; 0 when it has never been started.
    """

    name: str
    state: str
    since: int


@dataclass(frozen=True)
class Patience:
    """What supervisord puts up with.

    Attributes:
        steady_seconds: A program that ends earlier after its start counts as one that does not start.
        retries: So many starts in a row may fail, after the first.
        stop_seconds: Its guard has so long to end it; then both are killed.
    """

    steady_seconds: int = 1
    retries: int = 4
    stop_seconds: int = 6


class Supervisor:
    """The supervisor of one home."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._process: subprocess.Popen[bytes] | None = None
        transport = SupervisorTransport(None, None, f"unix://{home.supervisor_socket}")
        # The host is never looked up: the transport speaks to the socket.
        proxy = xmlrpc.client.ServerProxy(
            "http://127.0.0.1", transport=cast("xmlrpc.client.Transport", transport)
        )
        self._rpc = cast("Any", proxy).supervisor

    @property
    def _configuration(self) -> Path:
        return self._home.run / "supervisord.conf"

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return socket_answers(self._home.supervisor_socket)

    def start(self, names: Iterable[str]) -> None:
        """Start it with these programs, none of which it starts by itself."""
        home = self._home
        user = "user = root\n" if os.geteuid() == 0 else ""
        text = _CONFIGURATION.format(user=user) + "".join(
            _program(name, priority, Patience()) for priority, name in enumerate(names)
        )
        configuration = self._configuration
        write_private(configuration, text)
        home.supervisor_socket.unlink(missing_ok=True)
        environment: Mapping[str, str] = {
            **os.environ,
            _PYTHON: sys.executable,
            _GUARD: guard.__file__,
            _SOCKET: str(home.supervisor_socket),
            guard.STACK_MARK: str(home.root),
        }
        output = home.logs / "supervisord.out"
        with output.open("wb") as target:
            self._process = process = subprocess.Popen(
                [sys.executable, "-I", "-m", "supervisor.supervisord", "-c", str(configuration)],
                stdin=subprocess.DEVNULL,
                stdout=target,
                stderr=subprocess.STDOUT,
                cwd=home.run,
                env=environment,
                # Ctrl-C is for `up`, which stops the programs in their order.
                start_new_session=True,
            )
        guard.Record.of(process.pid).save(home.records / f"{SUPERVISOR}.json")
        deadline = time.monotonic() + _START_SECONDS
        while not self.alive:
            if process.poll() is not None or time.monotonic() > deadline:
                told = output.read_text(encoding="utf-8", errors="replace").strip()
                raise StackError(f"The supervisor did not start: {told or 'it gave no reason'}")
            time.sleep(0.02)

    def states(self) -> dict[str, ProcessState]:
        """All programs by name; none when the supervisor is on its way down."""
        try:
            return self.known_programs()
        except StackError:
            return {}

    def known_programs(self) -> dict[str, ProcessState]:
        """All programs by name, for whoever draws conclusions from one that is not there.

        Raises:
            StackError: The supervisor does not answer.
        """
        try:
            told = cast("list[dict[str, Any]]", self._rpc.getAllProcessInfo())
        except (xmlrpc.client.Error, http.client.HTTPException, OSError) as error:
            raise StackError(f"The supervisor does not answer: {error}") from error
        return {
            info["name"]: ProcessState(info["name"], info["statename"], info["start"])
            for info in told
        }

    def start_program(self, name: str) -> None:
        """Start one program; does not wait until it runs."""
        try:
            self._rpc.startProcess(name, False)
        except xmlrpc.client.Fault as fault:
            if not fault.faultString.startswith("ALREADY_STARTED"):
                raise StackError(f"{name} did not start: {fault.faultString}") from fault

    def add_program(self, name: str, patience: Patience) -> None:
        """Make a program known while the supervisor runs; it may be already. Does not start it.

        Its launch file has to be there.
        """
        with self._changed_configuration() as sections:
            sections[name] = _program(name, _LATER, patience)
        try:
            self._rpc.addProcessGroup(name)
        except xmlrpc.client.Fault as fault:
            if not fault.faultString.startswith("ALREADY_ADDED"):
                raise StackError(f"{name} was not added: {fault.faultString}") from fault

    def remove_program(self, name: str) -> None:
        """Forget a program that `add_program` made known and that has ended; one not known is fine."""
        try:
            self._rpc.removeProcessGroup(name)
        except xmlrpc.client.Fault as fault:
            if not fault.faultString.startswith("BAD_NAME"):
                raise StackError(f"{name} was not removed: {fault.faultString}") from fault
        with self._changed_configuration() as sections:
            sections.pop(name, None)

    @contextmanager
    def _changed_configuration(self) -> Generator[dict[str, str]]:
        """The programs' sections, to be changed; afterwards supervisord has read them."""
        with (self._home.run / "supervisord.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            head, *sections = self._configuration.read_text(encoding="utf-8").split(_SECTION)
            programs = {text.partition("]")[0]: _SECTION + text for text in sections}
            before = dict(programs)
            yield programs
            if programs != before:
                write_private(self._configuration, head + "".join(programs.values()))
            self._rpc.reloadConfig()

    def stop_programs(self, names: Iterable[str], timeout: float) -> None:
        """Stop programs, all at once, and wait until they have ended."""
        waiting: set[str] = set(names)
        for name in sorted(waiting):
            self._tell_stop(self._rpc.stopProcess, name, False)
        deadline = time.monotonic() + timeout
        again = time.monotonic() + _SIGNAL_SECONDS
        while waiting and time.monotonic() < deadline:
            states = self.states()
            waiting = {name for name in waiting & states.keys() if states[name].state not in ENDED}
            if time.monotonic() > again:
                # One that was only just started may not have heard it: between supervisord's fork and
                # exec a signal is lost. A guard that has heard it does not mind.
                for name in sorted(waiting):
                    self._tell_stop(self._rpc.signalProcess, name, "TERM")
                again = time.monotonic() + _SIGNAL_SECONDS
            time.sleep(0.05)

    def _tell_stop(self, request: Callable[..., object], *arguments: object) -> None:
        try:
            request(*arguments)
        except xmlrpc.client.Fault as fault:
            # It has ended, or has been removed, in the meantime.
            if not fault.faultString.startswith(("NOT_RUNNING", "BAD_NAME")):
                raise

    def shut_down(self) -> None:
        """Stop what still runs, and the supervisor itself."""
        record = guard.Record.load(self._home.records / f"{SUPERVISOR}.json")
        self._rpc.shutdown()
        deadline = time.monotonic() + _SHUTDOWN_SECONDS
        while time.monotonic() < deadline:
            if self._process is not None:
                # It is a child of this process, which alone can take note of its end.
                self._process.poll()
            if not self.alive and (record is None or record.process() is None):
                return
            time.sleep(0.05)


def _program(name: str, priority: int, patience: Patience) -> str:
    return _PROGRAM.format(name=name, priority=priority, **asdict(patience))


def log_tail(log: Path, lines: int = 15) -> str:
    """The end of a program's log."""
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])
