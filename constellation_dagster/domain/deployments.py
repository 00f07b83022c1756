"""Deployments: what a person wants to run, and what it is resolved to.

A row says which package, how many replicas and how. A *pool* is the replicas of one package; a
deployment has a champion pool and, while a canary is tried, a second one.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, TypeAlias
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from constellation_dagster.domain.packages import NAME_PATTERN, VERSION_PATTERN
from constellation_dagster.domain.replicas import ReplicaSpec, RuntimeName
from constellation_dagster.domain.states import DeploymentStatus

# Codes of errors in rows.
NOT_READY = "not_ready"
REPAIR_FAILED = "repair_failed"
UNAVAILABLE = "unavailable"
PACKAGE_REFUSED = "package_refused"
CANARY_ROLLED_BACK = "canary_rolled_back"

PoolName: TypeAlias = Literal["champion", "canary"]

PackageRef: TypeAlias = Annotated[
    str,
    Field(
        pattern=rf"^{NAME_PATTERN}@{VERSION_PATTERN}$",
        description="A package as name@version or name@alias.",
    ),
]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Resources(_Part):
    """What one replica may use."""

    cpu: float | None = Field(default=None, gt=0, le=64, description="Processors, such as 0.5.")
    memory_mb: int | None = Field(default=None, ge=32, description="Memory in MiB.")


class Batching(_Part):
    """How a replica puts requests together."""

    size: int = Field(default=64, ge=1, le=4096, description="Most rows at a time; 1 is off.")
    delay_ms: float = Field(
        default=0.0, ge=0, le=1000, description="How long a row may wait for others."
    )
    queue: int = Field(
        default=1024, ge=1, le=100_000, description="Requests that may wait; more get 429."
    )


class Canary(_Part):
    """A package that a part of the traffic tries."""

    package: PackageRef
    percent: int = Field(ge=1, le=99, description="Its part of the requests.")


class DeploymentSpec(_Part):
    """What a person wants of a deployment; any change of it is a new generation."""

    package: PackageRef
    replicas: int = Field(default=1, ge=0, le=16, description="How many servers answer.")
    runtime: RuntimeName = Field(default="process", description="What runs them.")
    resources: Resources = Field(default=Resources(), description="What each may use.")
    env: Mapping[str, str] = Field(
        default_factory=dict, description="Variables for the model's code; no secrets."
    )
    batching: Batching = Field(default=Batching(), description="How requests are put together.")
    latency_budget_ms: float | None = Field(
        default=None, gt=0, description="What 99 of 100 requests must stay below."
    )
    ready_timeout_s: float = Field(
        default=60, gt=0, le=600, description="A new replica must be ready after this long."
    )
    canary: Canary | None = Field(default=None, description="A package on trial.")
    desired_state: Literal["running", "stopped"] = Field(
        default="running", description="`stopped` keeps the row and removes the replicas."
    )
    epoch: int = Field(
        default=0, description="Counts changed secrets and restarts: each makes new replicas."
    )


class DeploymentStatusSchema(DeploymentSpec):
    """A row of `deployments`."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: UUID
    owner: UUID
    name: str = Field(pattern=rf"^{NAME_PATTERN}$", description="Its name, and part of its URL.")
    note: str = Field(default="", description="Why it is as it is.")
    status: DeploymentStatus = Field(description="Where it stands.")
    url: str | None = Field(default=None, description="The base address of its endpoint.")
    generation: int = Field(description="Counts changes of what is wanted.")
    observed_generation: int = Field(description="The generation that the status is about.")
    observed: dict[str, Any] = Field(description="What runs: package, replicas, traffic.")
    error: dict[str, Any] | None = Field(default=None, description="What went wrong.")
    fence: int = Field(description="Token of the last writer's lock.")
    expires_at: datetime | None = Field(default=None, description="When it is taken away.")

    @property
    def wants_replicas(self) -> bool:
        """Whether anything is to run."""
        return self.desired_state == "running" and self.replicas > 0

    @property
    def given_up(self) -> bool:
        """Whether the present generation was tried and has failed; only another one is tried.

        A generation that was healthy before is repaired, however often that fails, and what was
        missing may come back.
        """
        return (
            self.status == DeploymentStatus.FAILED
            and self.observed_generation == self.generation
            and (self.error or {}).get("code") not in (REPAIR_FAILED, UNAVAILABLE)
        )


class ResolvedPackage(_Part):
    """What a reference to a package stands for at this moment."""

    ref: str = Field(description="name@version.")
    digest: str = Field(description="The content's digest.")
    image: str | None = Field(default=None, description="Its image, if one was built.")


class Revision(_Part):
    """All that is needed to run a champion pool again as it was."""

    package: str = Field(description="name@version, never an alias.")
    digest: str
    image: str | None = None
    replicas: int
    runtime: RuntimeName
    resources: Resources = Resources()
    env: Mapping[str, str] = Field(default_factory=dict)
    batching: Batching = Batching()
    latency_budget_ms: float | None = None
    ready_timeout_s: float = 60
    epoch: int = 0


def revision_of(spec: DeploymentSpec, package: ResolvedPackage) -> Revision:
    """What a deployment runs as its champion, with its package resolved."""
    return Revision(
        package=package.ref,
        digest=package.digest,
        image=package.image if spec.runtime == "docker" else None,
        replicas=spec.replicas,
        runtime=spec.runtime,
        resources=spec.resources,
        env=spec.env,
        batching=spec.batching,
        latency_budget_ms=spec.latency_budget_ms,
        ready_timeout_s=spec.ready_timeout_s,
        epoch=spec.epoch,
    )


def replica_spec(deployment: str, revision: Revision) -> ReplicaSpec:
    """What each replica of a revision is started with."""
    return ReplicaSpec(
        deployment=deployment,
        package=revision.package,
        digest=revision.digest,
        image=revision.image,
        env=dict(revision.env),
        cpu=revision.resources.cpu,
        memory_mb=revision.resources.memory_mb,
        batch_size=revision.batching.size,
        batch_delay_ms=revision.batching.delay_ms,
        queue_size=revision.batching.queue,
        epoch=revision.epoch,
    )


def canary_replicas(replicas: int, percent: int) -> int:
    """How many replicas a canary gets: its part of the champion's, at least one."""
    return max(1, round(replicas * percent / 100))
