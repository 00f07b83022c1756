"""Replicas as processes of the stack's supervisor, on unix sockets.

They belong to the supervisor, so they outlive whoever made them and end with the stack. Each has a
guard, which ends it with all that it has started, and a folder of its own, which is its HOME.

A process is no prison. It gets none of the platform's variables, but runs as the same user on the
same machine: what that user can read, a model's code can read. Its memory is limited by its guard,
which looks twice a second and kills what holds too much; a burst between two looks passes. There is
no limit for processors. Containers (`runtimes.docker`) have all of this.
"""

import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from constellation_dagster.domain.errors import ConstellationError
from constellation_dagster.domain.replicas import (
    Replica,
    ReplicaFailed,
    ReplicaSpec,
    RuntimeName,
    RuntimeUnavailable,
)
from constellation_dagster.local.errors import StackError
from constellation_dagster.local.home import Home, write_private
from constellation_dagster.local.programs import Program
from constellation_dagster.local.supervision import (
    ENDED,
    Patience,
    ProcessState,
    Supervisor,
    log_tail,
)
from constellation_dagster.runtimes.containers import server_options
from constellation_dagster.runtimes.process_places import Identity, ReplicaPlace
from constellation_dagster.runtimes.process_states import replica_of

# A server that ends within its first ten seconds has not started; the third time it is given up.
# How long its end may take is what `stop` says, and its guard keeps to it.
_PATIENCE = Patience(steady_seconds=10, retries=2, stop_seconds=3600)
# Without a word from `stop`, such as when the supervisor goes away.
_GRACE_SECONDS = 5.0
# What the guard needs besides, to end what has not ended by itself.
_GUARD_SECONDS = 10.0
_PROBES = 8
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")


class ProcessRuntime:
    """Implements `domain.replicas.Runtime` with the supervisor of one home."""

    def __init__(self, home: Path, fetch: Callable[[str], Path]) -> None:
        """Replicas of one stack.

        Args:
            home: The stack's folder.
            fetch: Gives the folder of the package with a digest (`PackageStore.fetch`).
        """
        self._home = Home(home)
        self._fetch = fetch

    @property
    def name(self) -> RuntimeName:
        """What deployments call it."""
        return "process"

    def start(self, spec: ReplicaSpec, replica: str, secrets: Mapping[str, str]) -> None:
        """As `Runtime.start`."""
        supervisor, states = self._supervised()
        _check(spec, replica, secrets)
        place = ReplicaPlace(self._home, replica)
        state = states.get(place.program)
        if state is not None:
            if place.identity() == Identity(spec.deployment, spec.spec_hash):
                # Its maker was killed before it came to this, or somebody has stopped it by hand.
                if state.state == "STOPPED":
                    supervisor.start_program(place.program)
                return
            self._remove(supervisor, place, _GRACE_SECONDS)
        try:
            folder = self._fetch(spec.digest)
        except ConstellationError as error:
            raise ReplicaFailed(
                f"deployment {spec.deployment!r}: its package {spec.package} cannot be used: {error}"
            ) from error
        place.furnish(spec, secrets)
        launch = _program(place, spec, folder).launch(self._home)
        launch = replace(launch, history=str(place.history), memory_mb=spec.memory_mb)
        write_private(place.launch, launch.as_json())
        supervisor.add_program(place.program, _PATIENCE)
        supervisor.start_program(place.program)

    def replicas(self, deployment: str | None = None) -> Sequence[Replica]:
        """As `Runtime.replicas`."""
        _, states = self._supervised()
        found = [
            (place, identity, states.get(place.program))
            for place in ReplicaPlace.all_of(self._home)
            if (identity := place.identity()) and deployment in (None, identity.deployment)
        ]
        if not found:
            return []
        with ThreadPoolExecutor(min(_PROBES, len(found))) as pool:
            asked = [pool.submit(replica_of, *each) for each in found]
        return [replica.result() for replica in asked]

    def stop(self, replica: str, grace_seconds: float) -> None:
        """As `Runtime.stop`."""
        supervisor, _ = self._supervised()
        self._remove(supervisor, ReplicaPlace(self._home, replica), grace_seconds)

    def logs(self, replica: str, lines: int) -> str:
        """As `Runtime.logs`."""
        place = ReplicaPlace(self._home, replica)
        # The supervisor carries lines into the log, and by its answer it has done so.
        _, states = self._supervised()
        return log_tail(place.log, lines) if place.program in states else ""

    def _supervised(self) -> tuple[Supervisor, dict[str, ProcessState]]:
        supervisor = Supervisor(self._home)
        try:
            return supervisor, supervisor.known_programs()
        except StackError as error:
            raise RuntimeUnavailable(
                f"No stack runs in {str(self._home.root)!r}, so there is nothing to keep replicas "
                "running as processes. Run `constellation up`, or use the runtime 'docker'."
            ) from error

    def _remove(self, supervisor: Supervisor, place: ReplicaPlace, grace_seconds: float) -> None:
        if place.program in supervisor.known_programs():
            place.allow(grace_seconds)
            patience = grace_seconds + _GUARD_SECONDS
            supervisor.stop_programs([place.program], patience)
            state = supervisor.known_programs().get(place.program)
            if state is not None and state.state not in ENDED:
                raise ReplicaFailed(
                    f"{place.replica} did not end within {patience:.0f} s after it was killed."
                )
        supervisor.remove_program(place.program)
        place.clear()


def _check(spec: ReplicaSpec, replica: str, secrets: Mapping[str, str]) -> None:
    problems = [
        f"its secret {name!r} cannot be the name of a file"
        for name in secrets
        if name in ("", ".", "..") or os.sep in name
    ]
    if not _NAME.fullmatch(replica):
        problems.append(f"its name {replica!r} has characters other than a-z, 0-9, _ and -")
    if spec.cpu is not None:
        problems.append(
            f"cpu {spec.cpu:g} is asked for, but the runtime 'process' cannot limit processors: "
            "leave cpu out, or use the runtime 'docker'"
        )
    if problems:
        raise ReplicaFailed(f"deployment {spec.deployment!r}: {'; '.join(problems)}")


def _program(place: ReplicaPlace, spec: ReplicaSpec, package: Path) -> Program:
    server = [sys.executable, "-P", "-m", "constellation_dagster.serving", str(package)]
    options = ["--digest", spec.digest, "--unix", str(place.socket)]
    return Program(
        name=place.program,
        argv=[*server, *server_options(spec), *options],
        environment={
            "PYTHONUNBUFFERED": "1",
            "HOME": str(place.folder),
            **spec.env,
            "CONSTELLATION_SECRETS_DIR": str(place.secrets),
        },
        directory=place.folder,
        grace_seconds=_GRACE_SECONDS,
    )
