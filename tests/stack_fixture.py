"""A real stack for tests; `tests/conftest.py` makes the fixture known to all of them."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
import pytest
from supabase import Client, ClientOptions, create_client

from constellation_dagster.local.guard import STACK_MARK
from constellation_dagster.settings import SUPABASE_VARIABLES, read_env_file

COMMAND = Path(sys.executable).with_name("constellation")
UP_SECONDS = 150.0
STOP_SECONDS = 30.0


@dataclass(frozen=True)
class StackHome:
    """A home and the command line on it."""

    home: Path

    def environment(self, **extra: str) -> dict[str, str]:
        """The process environment without anybody else's Supabase or language model."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if name not in (*SUPABASE_VARIABLES, "REDIS_URL")
            and not name.startswith(("CONSTELLATION_", "OPENAI_"))
        }
        return {**kept, "CONSTELLATION_HOME": str(self.home), **extra}

    def run(self, *arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
        """`constellation ARGUMENTS`, to its end."""
        return subprocess.run(
            [COMMAND, *arguments],
            env=self.environment(**extra),
            capture_output=True,
            text=True,
            timeout=UP_SECONDS,
            check=False,
        )

    def up(self, **extra: str) -> None:
        """Start it in the background."""
        result = self.run("up", "--detach", **extra)
        assert result.returncode == 0, result.stdout + result.stderr

    def down(self) -> float:
        """Stop it; returns how long that took."""
        began = time.monotonic()
        result = self.run("down")
        assert result.returncode == 0, result.stdout + result.stderr
        return time.monotonic() - began

    def status(self) -> dict[str, Any]:
        """What `status --json` says."""
        return json.loads(self.run("status", "--json").stdout)

    def pids(self) -> dict[str, int]:
        """The process of each part."""
        return {part["name"]: part["pid"] for part in self.status()["parts"]}

    def processes(self) -> list[psutil.Process]:
        """Everything that was started for this home and still runs."""
        found: list[psutil.Process] = []
        for process in psutil.process_iter():
            try:
                if process.environ().get(STACK_MARK) == str(self.home):
                    found += [process, *process.children(recursive=True)]
            except (psutil.Error, OSError):
                continue
        return found

    def supervisor(self) -> psutil.Process:
        """The supervisor's process."""
        record = json.loads((self.home / "run/records/supervisord.json").read_text())
        return psutil.Process(record["pid"])


@dataclass(frozen=True)
class RunningStack(StackHome):
    """A stack that is up."""

    @property
    def variables(self) -> dict[str, str]:
        """What `constellation env` exports."""
        return read_env_file(self.home / "stack.env")

    @property
    def url(self) -> str:
        """The front door."""
        return self.variables["SUPABASE_URL"]

    def client(self, key: str = "SUPABASE_KEY") -> Client:
        """A client as a frontend makes one; with the service key, as a backend does."""
        options = ClientOptions(auto_refresh_token=False, persist_session=False)
        return create_client(self.url, self.variables[key], options)

    def service(self) -> Client:
        """A client that passes row level security. Nobody may sign in on it."""
        return self.client("SUPABASE_SERVICE_ROLE_KEY")

    def person(self) -> Client:
        """A client of somebody new, signed in."""
        client = self.client()
        client.auth.sign_up({"email": f"{uuid4().hex}@example.org", "password": "correct horse"})
        return client


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """One stack for the whole session. Tests that use it belong to xdist's group `stack`."""
    running = RunningStack(tmp_path_factory.mktemp("stack"))
    running.up()
    try:
        yield running
    finally:
        running.down()
        end_all(running.processes())


def still_run(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those that have not ended; one that nobody has taken note of has."""
    return [process for process in processes if _runs(process)]


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:  # it has ended between the two questions
        return False


def end_all(processes: list[psutil.Process]) -> None:
    """What a failed test has left."""
    for process in processes:
        try:
            process.send_signal(signal.SIGKILL)
        except psutil.NoSuchProcess:
            continue
