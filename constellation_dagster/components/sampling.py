"""The sample run: a draft runs on the first rows of its data before anybody approves it.

It runs in a process of its own with limits of time, memory, files and CPU, acts as the person, and
executes no block that writes, registers, deploys or calls a deployed model.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from constellation_dagster.components.sample_child import SampleTask
from constellation_dagster.components.sample_process import Attempt, watch
from constellation_dagster.domain.compiler import compile_pipeline
from constellation_dagster.domain.errors import PipelineInvalid, Problem
from constellation_dagster.domain.plan import Plan, PlanNode
from constellation_dagster.domain.registry import Registry
from constellation_dagster.domain.samples import SampleProblem, SampleResult, SkippedNode
from constellation_dagster.domain.schemas import parse_pipeline
from constellation_dagster.settings import get_settings

SECONDS = 20.0
MEMORY_BYTES = 2 * 2**30
ROWS = 200

_TABLES = "tables"


def sample_run(
    spec: Mapping[str, Any],
    *,
    registry: Registry,
    owner: UUID,
    seconds: float = SECONDS,
    memory_bytes: int = MEMORY_BYTES,
    rows: int = ROWS,
) -> SampleResult:
    """Runs a pipeline on the first rows of its data.

    When those do not do, such as for a target whose first rows are all of one class, it tries
    once more with many more rows. Whatever happens is told in the result.

    Args:
        spec: The pipeline, as `save_pipeline` takes it.
        registry: The blocks.
        owner: The person whose files and tables it reads.
        seconds: How long the nodes may take, all together.
        memory_bytes: How much memory their process may use.
        rows: How many rows of each source they get.
    """
    began = time.monotonic()
    try:
        plan = compile_pipeline(parse_pipeline(dict(spec)), registry)
    except PipelineInvalid as error:
        problems = (SampleProblem(node=p.node, message=_told(p)) for p in error.problems)
        return SampleResult(ok=False, problems=tuple(problems))
    skipped = _not_to_run(plan)
    chosen = [node for node in plan.nodes if node.id not in skipped]
    task = SampleTask(
        spec=plan.pipeline.model_dump(mode="json"),
        modules=tuple(sorted({node.block.function.__module__ for node in plan.nodes})),
        nodes=tuple(node.id for node in chosen),
        owner=owner,
        roots=get_settings().file_roots,
        rows=rows,
        seconds=seconds,
        memory_bytes=memory_bytes,
    )
    attempt = _attempt(task, chosen)
    skipped |= attempt.withheld
    return SampleResult(
        ok=not attempt.problems,
        rows=attempt.rows,
        seconds=round(time.monotonic() - began, 2),
        outputs=attempt.outputs,
        problems=tuple(attempt.problems),
        skipped=tuple(
            SkippedNode(node=node.id, why=skipped[node.id])
            for node in plan.nodes
            if node.id in skipped
        ),
    )


def _attempt(task: SampleTask, chosen: Sequence[PlanNode]) -> Attempt:
    if not chosen:
        return Attempt(task.rows)
    lends = any(_TABLES in node.block.resources for node in chosen)
    return watch(task, database_url=get_settings().database_url if lends else None)


def _told(problem: Problem) -> str:
    return f"{problem.message} {problem.hint}" if problem.hint else problem.message


def _not_to_run(plan: Plan) -> dict[str, str]:
    """The nodes that are not run, and why."""
    skipped: dict[str, str] = {}
    for node in plan.nodes:
        above = next((parent for parent in node.parents if parent in skipped), None)
        why = _why_not(node) or (f"It needs what node {above!r} gives." if above else None)
        if why:
            skipped[node.id] = why
    return skipped


def _why_not(node: PlanNode) -> str | None:
    if node.block.kind == "sink":
        return "It writes, and a run on a sample writes nothing."
    if node.block.requirements:
        return "It needs an environment of its own, which a run on a sample does not make."
    if set(node.block.resources) - {_TABLES}:
        return "It acts outside of its pipeline, which a run on a sample does not."
    return None
