"""Replicas of a deployment, and what a runtime does with them."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal, Protocol, TypeAlias

from constellation_dagster.domain.errors import ConstellationError

RuntimeName: TypeAlias = Literal["process", "docker"]
ReplicaState: TypeAlias = Literal["starting", "ready", "sick", "dead"]


class RuntimeUnavailable(ConstellationError):
    """A runtime cannot be used here; the message says what is missing."""


class ReplicaFailed(ConstellationError):
    """A replica could not be started; the message has the last lines that it said."""


@dataclass(frozen=True)
class ReplicaSpec:
    """All that decides what a replica does. Two specs that are equal give the same replica.

    Attributes:
        deployment: The deployment's name.
        package: `name@version`, for people; the digest decides.
        digest: Digest of the package, checked by the server at its start.
        image: What the docker runtime runs, an image id or a reference by digest; None for
            `process`.
        env: Variables for the model's code.
        cpu: Processors it may use, such as 0.5; None for no limit.
        memory_mb: Memory it may use, in MiB; None for no limit.
        batch_size: Most rows that are answered together; 1 turns batching off.
        batch_delay_ms: How long a row may wait for others.
        queue_size: Requests that may wait; more get 429.
        request_timeout_s: After this long a request gets 504.
        epoch: Counts what else must make new replicas: changed secrets, a restart asked for.
    """

    deployment: str
    package: str
    digest: str
    image: str | None = None
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    cpu: float | None = None
    memory_mb: int | None = None
    batch_size: int = 64
    batch_delay_ms: float = 0.0
    queue_size: int = 1024
    request_timeout_s: float = 30.0
    epoch: int = 0

    @property
    def spec_hash(self) -> str:
        """Twelve hex digits that stand for the spec, in names and labels."""
        canonical = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Replica:
    """One replica as its runtime sees it.

    Attributes:
        id: Unique in the runtime: a supervisor program's name, a container's name.
        deployment: The deployment's name.
        spec_hash: Which spec it was started with (`spec_hash`).
        state: `ready` when its server says so (`/v2/health/ready`), `sick` when it was ready and
            is no longer, `dead` when its process has ended for good.
        address: Where it listens, as Caddy dials it: `unix//path` or `127.0.0.1:port`.
        started_at: Unix time.
        restarts: How often the runtime has started it again by itself.
        reason: Why it is sick or dead, for people.
    """

    id: str
    deployment: str
    spec_hash: str
    state: ReplicaState
    address: str
    started_at: float
    restarts: int = 0
    reason: str = ""


class Runtime(Protocol):
    """Starts and stops replicas. Every method may be called again after a crash of the caller."""

    @property
    def name(self) -> RuntimeName:
        """What deployments call it."""
        ...

    def start(self, spec: ReplicaSpec, replica: str, secrets: Mapping[str, str]) -> None:
        """Starts a replica under a name of the caller's; does not wait until it is ready.

        A replica of this name that exists is left alone when it has the same spec hash, and
        replaced when it has not.

        Args:
            spec: What to run.
            replica: Its id, `<deployment>-<spec hash>-<number>`.
            secrets: Files that the replica finds in the folder `CONSTELLATION_SECRETS_DIR`.

        Raises:
            RuntimeUnavailable: There is no supervisor or engine.
            ReplicaFailed: It could not be started at all.
        """
        ...

    def replicas(self, deployment: str | None = None) -> Sequence[Replica]:
        """The replicas that exist, of one deployment or all; only those that this stack made."""
        ...

    def stop(self, replica: str, grace_seconds: float) -> None:
        """Lets a replica finish what it has accepted (SIGTERM), then removes it; none is fine."""
        ...

    def logs(self, replica: str, lines: int) -> str:
        """The last lines that a replica said; empty when there is none."""
        ...
