"""Decides which versions of people's pipelines can be published; the rest is put aside."""

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass

from constellation_dagster.domain.compiler import compile_pipeline
from constellation_dagster.domain.errors import PipelineInvalid, Problem
from constellation_dagster.domain.plan import Plan
from constellation_dagster.domain.registry import Registry
from constellation_dagster.domain.schemas import parse_pipeline
from constellation_dagster.resources.pipeline_rows import PipelineVersion


@dataclass(frozen=True)
class Publication:
    """What can be published and what cannot.

    Attributes:
        accepted: One version and its plan per pipeline, the newest that compiles.
        rejected: The newer or only versions that do not, each with all its problems.
    """

    accepted: Sequence[tuple[PipelineVersion, Plan]]
    rejected: Sequence[tuple[PipelineVersion, Sequence[Problem]]]


def select_publication(
    candidates: Iterable[PipelineVersion], registry: Registry, taken: Set[str]
) -> Publication:
    """Chooses per pipeline the newest version that compiles.

    Args:
        candidates: Approved and published versions.
        registry: The blocks there are.
        taken: Names that pipelines in YAML files have; those win.
    """
    by_pipeline: dict[object, list[PipelineVersion]] = {}
    for version in candidates:
        by_pipeline.setdefault(version.pipeline_id, []).append(version)
    accepted: list[tuple[PipelineVersion, Plan]] = []
    rejected: list[tuple[PipelineVersion, Sequence[Problem]]] = []
    for versions in by_pipeline.values():
        for version in sorted(versions, key=lambda version: version.version, reverse=True):
            try:
                accepted.append((version, _compile(version, registry, taken)))
                break
            except PipelineInvalid as error:
                rejected.append((version, error.problems))
    return Publication(accepted, rejected)


def _compile(version: PipelineVersion, registry: Registry, taken: Set[str]) -> Plan:
    problems: tuple[Problem, ...] = ()
    if version.name in taken:
        problems = (
            Problem(
                code="name_taken",
                message="A pipeline in a YAML file of this installation has the same name",
                pipeline=version.name,
                hint="Save it under another name.",
            ),
        )
    try:
        plan = compile_pipeline(parse_pipeline(version.spec), registry)
    except PipelineInvalid as error:
        raise PipelineInvalid((*problems, *error.problems)) from error
    if problems:
        raise PipelineInvalid(problems)
    return plan
