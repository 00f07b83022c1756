"""Which statuses pipelines and runs can have, and which may follow which.

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


_P = PipelineStatus
_R = RunStatus

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

StatusT = TypeVar("StatusT", PipelineStatus, RunStatus)


def may_follow(
    transitions: Mapping[StatusT, frozenset[StatusT]], present: StatusT, following: StatusT
) -> bool:
    """Whether `following` may be set where `present` stands; the same status always may."""
    return following == present or following in transitions[present]
