"""The Docker runtime as the contract of runtimes wants it."""

import json
import os
import signal
from pathlib import Path
from typing import Any

from typing_extensions import override

from constellation_dagster.domain.replicas import ReplicaSpec
from constellation_dagster.runtimes.containers import container_name, home_id
from constellation_dagster.runtimes.docker import DockerRuntime
from tests.runtimes.contract import DEPLOYMENT, RuntimeHarness


class DockerHarness(RuntimeHarness):
    """Two stacks on one engine."""

    def __init__(
        self, engine: Any, home: Path, strange_home: Path, image: str, digest: str
    ) -> None:
        self.engine = engine
        self.home = home
        self.image = image
        self.digest = digest
        self.runtime = DockerRuntime(home)
        self.stranger = DockerRuntime(strange_home)

    @override
    def spec(self, **changes: Any) -> ReplicaSpec:
        fields: dict[str, Any] = {
            "deployment": DEPLOYMENT,
            "package": "obedient@1",
            "digest": self.digest,
            "image": self.image,
            "memory_mb": 256,
        }
        return ReplicaSpec(**fields | changes)

    @override
    def kill(self, replica: str) -> None:
        # Not through the engine, which would take it for somebody's wish.
        os.kill(self.container(replica).attrs["State"]["Pid"], signal.SIGKILL)

    @override
    def seen_from_outside(self, replica: str) -> str:
        container = self.container(replica)
        return json.dumps([container.attrs, container.top(ps_args="eww"), container.image.attrs])

    def container(self, replica: str) -> Any:
        """A replica's container."""
        return self.engine.containers.get(container_name(home_id(self.home), replica))
