"""Replicas as containers of a Docker engine, as closed as a container can be."""

import math
import shutil
import time
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import repeat
from pathlib import Path
from typing import Any

from constellation_dagster.domain.replicas import (
    Replica,
    ReplicaFailed,
    ReplicaSpec,
    RuntimeName,
)
from constellation_dagster.resources.docker import docker_client
from constellation_dagster.runtimes.container_states import End, replica_of
from constellation_dagster.runtimes.containers import (
    DEPLOYMENT_LABEL,
    HOME_LABEL,
    SPEC_LABEL,
    container_name,
    container_options,
    free_port,
    home_id,
    network_name,
    network_options,
)

START_SECONDS = 120.0
# A port that was free a moment ago may be taken now.
_PORT_ATTEMPTS = 5
_PORT_TAKEN = ("port is already allocated", "address already in use")
# The engine remembers its last 256 events, whatever their age.
_EVENTS_SECONDS = 24 * 3600
_PROBES = 8


class DockerRuntime:
    """Implements `domain.replicas.Runtime`.

    The engine keeps all there is to know, in labels: two of these never disagree, and one that
    was killed leaves nothing that the next one does not see. A container that ends is started
    again by the engine, at the same address.
    """

    def __init__(self, home: Path, start_seconds: float = START_SECONDS) -> None:
        """Replicas of one stack.

        Args:
            home: The stack's folder; replicas' secrets are kept in it.
            start_seconds: How long a replica may take to become ready before it counts as sick.
        """
        self._home = home_id(home)
        self._secrets = home / "run" / "container-secrets"
        self._start_seconds = start_seconds

    @property
    def name(self) -> RuntimeName:
        """What deployments call it."""
        return "docker"

    def start(self, spec: ReplicaSpec, replica: str, secrets: Mapping[str, str]) -> None:
        """As `Runtime.start`."""
        if spec.image is None:
            raise ReplicaFailed(
                f"Package {spec.package} has no image yet. Build it: `constellation model build "
                f"{spec.package}`."
            )
        with docker_client() as client:
            container = self._find(client, replica)
            if container is not None:
                if container.labels.get(SPEC_LABEL) == spec.spec_hash:
                    self._revive(container)
                    return
                _remove(container, 0)
            folder = self._write_secrets(replica, secrets)
            self._ensure_network(client)
            self._run(client, spec, replica, folder)

    def replicas(self, deployment: str | None = None) -> Sequence[Replica]:
        """As `Runtime.replicas`."""
        labels = [f"{HOME_LABEL}={self._home}"]
        if deployment is not None:
            labels.append(f"{DEPLOYMENT_LABEL}={deployment}")
        with docker_client() as client:
            found: list[Any] = client.containers.list(
                all=True, filters={"label": labels}, ignore_removed=True
            )
            with ThreadPoolExecutor(_PROBES) as pool:
                seen = list(pool.map(self._seen, repeat(client), found))
        return sorted(seen, key=lambda replica: replica.id)

    def stop(self, replica: str, grace_seconds: float) -> None:
        """As `Runtime.stop`."""
        with docker_client() as client:
            container = self._find(client, replica)
            if container is not None:
                _remove(container, grace_seconds)
        shutil.rmtree(self._secrets / replica, ignore_errors=True)

    def logs(self, replica: str, lines: int) -> str:
        """As `Runtime.logs`."""
        with docker_client() as client:
            container = self._find(client, replica)
            return _last_lines(container, lines) if container is not None else ""

    def _seen(self, client: Any, container: Any) -> Replica:
        return replica_of(
            container.attrs,
            last_end=lambda: _last_end(client, container),
            last_line=lambda: _last_lines(container, 1).strip(),
        )

    def _find(self, client: Any, replica: str) -> Any | None:
        from docker.errors import NotFound

        try:
            container: Any = client.containers.get(container_name(self._home, replica))
        except NotFound:
            return None
        return container if container.labels.get(HOME_LABEL) == self._home else None

    def _revive(self, container: Any) -> None:
        """Starts what was made and not started, or has been stopped by hand."""
        if container.status in {"created", "exited"}:
            with _told("started", container.labels.get(DEPLOYMENT_LABEL)):
                container.start()
        elif container.status == "paused":
            container.unpause()

    def _run(self, client: Any, spec: ReplicaSpec, replica: str, secrets: Path) -> None:
        for attempt in range(1, _PORT_ATTEMPTS + 1):
            options = container_options(
                spec,
                replica,
                home=self._home,
                port=free_port(),
                secrets=secrets,
                start_seconds=self._start_seconds,
            )
            try:
                with _told("started", spec.deployment):
                    client.containers.create(**options).start()
            except ReplicaFailed as error:
                # Left behind, it would be taken for one that only has to be started.
                if (failed := self._find(client, replica)) is not None:
                    failed.remove(force=True, v=True)
                taken = any(words in str(error) for words in _PORT_TAKEN)
                if not taken or attempt == _PORT_ATTEMPTS:
                    raise
            else:
                return

    def _ensure_network(self, client: Any) -> None:
        from docker.errors import APIError

        if client.networks.list(names=[network_name(self._home)]):
            return
        try:
            client.networks.create(**network_options(self._home))
        except APIError as error:
            # Somebody else was quicker.
            if error.status_code != 409:
                raise ReplicaFailed(f"The engine makes no network: {error.explanation}") from error

    def _write_secrets(self, replica: str, secrets: Mapping[str, str]) -> Path:
        """Files on this machine, since the engine shows everybody what else it is told.

        The folder above is for its owner only; below it the container's account, which is another
        one, has to be able to read.
        """
        self._secrets.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._secrets.chmod(0o700)
        folder = self._secrets / replica
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        folder.chmod(0o755)
        for name, value in secrets.items():
            if Path(name).name != name:
                raise ReplicaFailed(f"A secret's name {name!r} is no name of a file.")
            file = folder / name
            file.write_text(value, encoding="utf-8")
            file.chmod(0o444)
        return folder


@contextmanager
def _told(done: str, deployment: str | None) -> Generator[None]:
    """The engine's refusals as the replica's failure."""
    from docker.errors import APIError, ImageNotFound

    try:
        yield
    except ImageNotFound as error:
        raise ReplicaFailed(
            f"deployment {deployment!r}: its image is not in the engine ({error.explanation}). "
            "Build it again: `constellation model build NAME@VERSION`."
        ) from error
    except APIError as error:
        raise ReplicaFailed(
            f"deployment {deployment!r}: a container could not be {done}: {error.explanation}"
        ) from error


def _remove(container: Any, grace_seconds: float) -> None:
    from docker.errors import APIError

    try:
        if grace_seconds > 0:
            container.stop(timeout=math.ceil(grace_seconds))
        container.remove(force=True, v=True)
    except APIError as error:
        # Somebody else removes it, or has done so.
        if error.status_code not in {404, 409}:
            raise


def _last_lines(container: Any, lines: int) -> str:
    from docker.errors import APIError

    try:
        said: bytes = container.logs(tail=lines)
    except APIError:  # it has just been removed
        return ""
    return said.decode(errors="replace")


def _last_end(client: Any, container: Any) -> End | None:
    """How it ended before it was started again, which its own state no longer says."""
    now = time.time()
    events = client.api.events(
        since=f"{now - _EVENTS_SECONDS:.6f}",
        # Whole seconds would leave out the latest, or wait for them to be over.
        until=f"{now:.6f}",
        filters={"container": [container.id], "event": ["die", "oom"]},
        decode=True,
    )
    end: End | None = None
    out_of_memory = False
    for event in events:
        if event["Action"] == "oom":
            out_of_memory = True
        else:
            end = End(int(event["Actor"]["Attributes"]["exitCode"]), out_of_memory)
            out_of_memory = False
    return end
