"""Which statuses pipelines, runs, packages and deployments can have, and which may follow which.

The database enforces the same transitions; a test compares them.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final, TypeVar


class PipelineStatus(StrEnum):
    """Where a pipeline is between an idea and an archive."""

    DRAFT = "draft"
    APPROVED = "approved"
    PUBLISHED = "published"
    INVALID = "invalid"
    ARCHIVED = "archived"


class RunStatus(StrEnum):
    """Where a run is between being asked for and its end."""

    REQUESTED = "requested"
    STARTING = "starting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class PackageStatus(StrEnum):
    """Where a version of a model package is between being asked for and having an image."""

    REGISTERED = "registered"
    PACKAGED = "packaged"
    IMAGED = "imaged"
    REJECTED = "rejected"


class DeploymentStatus(StrEnum):
    """Where a deployment is between being wanted and answering."""

    PENDING = "pending"
    STARTING = "starting"
    HEALTHY = "healthy"
    DEGRADED = "degraded"
    STOPPED = "stopped"
    FAILED = "failed"


_P = PipelineStatus
_R = RunStatus
_K = PackageStatus
_D = DeploymentStatus

PIPELINE_TRANSITIONS: Final[Mapping[PipelineStatus, frozenset[PipelineStatus]]] = MappingProxyType(
    {
        _P.DRAFT: frozenset({_P.APPROVED, _P.ARCHIVED}),
        _P.APPROVED: frozenset({_P.PUBLISHED, _P.INVALID, _P.ARCHIVED}),
        _P.PUBLISHED: frozenset({_P.APPROVED, _P.ARCHIVED}),
        _P.INVALID: frozenset({_P.APPROVED, _P.ARCHIVED}),
        _P.ARCHIVED: frozenset({_P.APPROVED}),
    }
)

FINAL_RUN_STATUSES: Final = frozenset({_R.SUCCEEDED, _R.FAILED, _R.CANCELLED})

RUN_TRANSITIONS: Final[Mapping[RunStatus, frozenset[RunStatus]]] = MappingProxyType(
    {
        # A reader may hear of the later status first, so stages may be skipped, never revisited.
        _R.REQUESTED: frozenset({_R.STARTING, _R.RUNNING}) | FINAL_RUN_STATUSES,
        _R.STARTING: frozenset({_R.RUNNING}) | FINAL_RUN_STATUSES,
        _R.RUNNING: FINAL_RUN_STATUSES,
        _R.SUCCEEDED: frozenset[RunStatus](),
        _R.FAILED: frozenset[RunStatus](),
        _R.CANCELLED: frozenset[RunStatus](),
    }
)

PACKAGE_TRANSITIONS: Final[Mapping[PackageStatus, frozenset[PackageStatus]]] = MappingProxyType(
    {
        _K.REGISTERED: frozenset({_K.PACKAGED, _K.REJECTED}),
        _K.PACKAGED: frozenset({_K.IMAGED, _K.REJECTED}),
        _K.IMAGED: frozenset[PackageStatus](),
        _K.REJECTED: frozenset[PackageStatus](),
    }
)

DEPLOYMENT_TRANSITIONS: Final[Mapping[DeploymentStatus, frozenset[DeploymentStatus]]] = (
    MappingProxyType(
        {
            _D.PENDING: frozenset({_D.STARTING, _D.STOPPED, _D.FAILED}),
            _D.STARTING: frozenset({_D.HEALTHY, _D.DEGRADED, _D.STOPPED, _D.FAILED}),
            _D.HEALTHY: frozenset({_D.STARTING, _D.DEGRADED, _D.STOPPED, _D.FAILED}),
            _D.DEGRADED: frozenset({_D.STARTING, _D.HEALTHY, _D.STOPPED, _D.FAILED}),
            # What is over begins again: with a new generation, or another attempt.
            _D.STOPPED: frozenset({_D.STARTING, _D.FAILED}),
            _D.FAILED: frozenset({_D.STARTING, _D.STOPPED}),
        }
    )
)

StatusT = TypeVar("StatusT", PipelineStatus, RunStatus, PackageStatus, DeploymentStatus)


def may_follow(
    transitions: Mapping[StatusT, frozenset[StatusT]], present: StatusT, following: StatusT
) -> bool:
    """Whether `following` may be set where `present` stands; the same status always may."""
    return following == present or following in transitions[present]
