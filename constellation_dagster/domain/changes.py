"""What changes of a deployment are made of: pools of replicas, routes, and steps."""

from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias

from constellation_dagster.domain.deployments import PoolName
from constellation_dagster.domain.replicas import RuntimeName


class Phase(IntEnum):
    """Stages of a change, in the order in which they follow each other."""

    PROTECT = 1
    CLEAN = 2
    START = 3
    SHIFT = 4
    REMOVE = 5


@dataclass(frozen=True)
class Pool:
    """Replicas that are wanted.

    Attributes:
        name: Which part they play.
        runtime: What runs them.
        spec_hash: What they were started with.
        replicas: How many; at least one.
        weight: Their part of the traffic, in percent.
    """

    name: PoolName
    runtime: RuntimeName
    spec_hash: str
    replicas: int
    weight: int


@dataclass(frozen=True)
class RoutePool:
    """A part of the traffic and where it goes."""

    weight: int
    addresses: frozenset[str]


@dataclass(frozen=True)
class Route:
    """Where an endpoint's requests go: pools by name; none gives 503 and the message."""

    pools: tuple[tuple[PoolName, RoutePool], ...]
    message: str = ""

    @property
    def addresses(self) -> frozenset[str]:
        """All that may get requests."""
        return frozenset[str]().union(*(pool.addresses for _, pool in self.pools))


@dataclass(frozen=True)
class StartReplica:
    """Start a replica of a pool under this id."""

    pool: Pool
    id: str

    def __str__(self) -> str:
        return f"start {self.pool.name} replica {self.id}"


@dataclass(frozen=True)
class AwaitReady:
    """Wait until these are ready."""

    pool: Pool
    ids: tuple[str, ...]

    def __str__(self) -> str:
        return f"wait until {', '.join(self.ids)} can answer"


@dataclass(frozen=True)
class SetRoute:
    """Send the endpoint's requests here from now on."""

    route: Route

    def __str__(self) -> str:
        if not self.route.pools:
            return f"answer 503: {self.route.message}"
        parts = [
            f"{pool.weight} % to {len(pool.addresses)} {name} replica(s)"
            for name, pool in self.route.pools
        ]
        return f"send {', '.join(parts)}"


@dataclass(frozen=True)
class RemoveRoute:
    """Forget the endpoint."""

    def __str__(self) -> str:
        return "remove the route"


@dataclass(frozen=True)
class Drain:
    """Let requests that are on their way arrive."""

    seconds: float

    def __str__(self) -> str:
        return f"wait {self.seconds} s for requests on their way"


@dataclass(frozen=True)
class StopReplica:
    """Let a replica finish what it has accepted, and remove it."""

    runtime: RuntimeName
    id: str
    why: str

    def __str__(self) -> str:
        return f"stop replica {self.id}: {self.why}"


Step: TypeAlias = StartReplica | AwaitReady | SetRoute | RemoveRoute | Drain | StopReplica


@dataclass(frozen=True)
class Work:
    """What to do next. Look again after it, or after any part of it."""

    phase: Phase
    steps: tuple[Step, ...]
