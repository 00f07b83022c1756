"""Requested run rows → runs."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
from dagster._core.execution.plan.resume_retry import ReexecutionStrategy
from dagster._core.storage.tags import RETRY_STRATEGY_TAG

from constellation_dagster.components.fused import PIPELINE_TAG, RUN_TAG
from constellation_dagster.components.supabase_pipelines import loaded_pipelines
from constellation_dagster.domain.errors import Problem
from constellation_dagster.domain.states import RunStatus
from constellation_dagster.domain.suggestions import did_you_mean
from constellation_dagster.resources.run_rows import RunRequestRow
from constellation_dagster.resources.supabase import SupabaseResource
from constellation_dagster.sensors.feed import feed_sensor


def _look(
    context: dg.SensorEvaluationContext, supabase: SupabaseResource
) -> Sequence[dg.RunRequest]:
    repository = context.repository_def
    assert repository is not None
    # One asset that is not there would fail the whole tick, and with it everybody's runs: what
    # is not loaded yet waits in its row.
    rows = supabase.runs.requested(list(loaded_pipelines(repository)))
    if not rows:
        return []
    nodes = _nodes(repository)
    due: list[dg.RunRequest] = []
    for row in rows:
        known = nodes.get(row.pipeline, [])
        unknown = [node for node in row.nodes_selected or [] if node not in known]
        if unknown:
            supabase.runs.settle(str(row.id), RunStatus.FAILED, _refusal(row, unknown, known))
        elif known:
            due.append(_request(row, row.nodes_selected or known))
    return due


def _nodes(repository: dg.RepositoryDefinition) -> Mapping[str, Sequence[str]]:
    """Node ids by pipeline, as the location has them."""
    nodes: dict[str, list[str]] = defaultdict(list)
    for key in repository.assets_defs_by_key:
        if len(key.path) == 2:
            nodes[key.path[0]].append(key.path[1])
    return nodes


def _request(row: RunRequestRow, nodes: Sequence[str]) -> dg.RunRequest:
    return dg.RunRequest(
        run_key=str(row.id),
        asset_selection=[dg.AssetKey([row.pipeline, node]) for node in nodes],
        tags={
            **row.tags,
            PIPELINE_TAG: row.pipeline,
            RUN_TAG: str(row.id),
            # Going on after a failure keeps what was materialized; our runs are one step each.
            RETRY_STRATEGY_TAG: ReexecutionStrategy.FROM_ASSET_FAILURE.value,
        },
    )


def _refusal(row: RunRequestRow, unknown: Sequence[str], known: Sequence[str]) -> dict[str, Any]:
    problems = [
        Problem(
            code="unknown_node",
            message="There is no such node.",
            pipeline=row.pipeline,
            node=node,
            hint=did_you_mean(node, known, there_are="The nodes are"),
        )
        for node in unknown
    ]
    return {
        "message": "\n".join(str(problem) for problem in problems),
        "problems": [problem.model_dump(mode="json") for problem in problems],
    }


run_requests = feed_sensor(
    name="run_requests",
    description="Starts the runs that people ask for by inserting a row into `runs`.",
    tables=["runs", "pipelines"],
    asset_selection=dg.AssetSelection.all(),
    look=_look,
)
