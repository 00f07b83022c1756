"""Rows of deployments that have changed → runs of their partitions."""

from collections.abc import Iterable, Sequence

import dagster as dg

from constellation_dagster.assets.deployments import DEPLOYMENTS, DEPLOYMENTS_KEY
from constellation_dagster.domain.deployments import DeploymentStatusSchema
from constellation_dagster.resources.deployment_rows import DeploymentRows, PackageNotReady
from constellation_dagster.resources.supabase import SupabaseResource
from constellation_dagster.sensors.feed import Due, feed_sensor, in_hand

DEPLOYMENT_TAG = "constellation/deployment"
GENERATION_TAG = "constellation/generation"
_GONE = "gone"


def can_start(context: dg.SensorEvaluationContext, row: DeploymentStatusSchema) -> bool:
    """Whether a run may be asked for that makes a deployment what its row wants now.

    There is one run for a generation at a time, and one that has just failed is not repeated at
    once. A run for an earlier generation does not matter: what has not begun to answer yet gives
    way, and runs of one deployment wait for each other.
    """
    return not in_hand(context.instance, _runs(row.name, str(row.generation)))


def can_remove(context: dg.SensorEvaluationContext, name: str) -> bool:
    """Whether a run may be asked for that takes away what is left of a deployment."""
    return not in_hand(context.instance, _runs(name, _GONE))


def request(row: DeploymentStatusSchema) -> dg.RunRequest:
    """A run that makes a deployment what its row says, and checks it."""
    return dg.RunRequest(
        asset_selection=[DEPLOYMENTS_KEY],
        partition_key=row.name,
        tags={DEPLOYMENT_TAG: row.name, GENERATION_TAG: str(row.generation)},
    )


def removal(name: str) -> dg.RunRequest:
    """A run that takes away what is left; what is gone has nothing to be checked."""
    return dg.RunRequest(
        asset_selection=[DEPLOYMENTS_KEY],
        asset_check_keys=[],
        partition_key=name,
        tags={DEPLOYMENT_TAG: name, GENERATION_TAG: _GONE},
    )


def with_partitions(
    context: dg.SensorEvaluationContext, requests: Iterable[dg.RunRequest]
) -> list[Due]:
    """Requests, and before each the partition that it is for, where it is not there."""
    due: list[Due] = []
    known = set(context.instance.get_dynamic_partitions(str(DEPLOYMENTS.name)))
    for wanted in requests:
        name = str(wanted.partition_key)
        if name not in known:
            due.append(DEPLOYMENTS.build_add_request([name]))
        due.append(wanted)
    return due


def _runs(name: str, generation: str) -> dg.RunsFilter:
    return dg.RunsFilter(tags={DEPLOYMENT_TAG: name, GENERATION_TAG: generation})


def _look(context: dg.SensorEvaluationContext, supabase: SupabaseResource) -> Sequence[Due]:
    rows = supabase.deployments.all()
    known = {row.name for row in rows}
    unwanted = set(context.instance.get_dynamic_partitions(str(DEPLOYMENTS.name))) - known
    changed = [
        request(row)
        for row in rows
        if row.generation != row.observed_generation
        and _deployable(supabase.deployments, row)
        and can_start(context, row)
    ]
    gone: list[dg.RunRequest] = []
    for name in sorted(unwanted):
        if _is_removed(context, name):
            # A run cannot take away its own partition.
            context.instance.delete_dynamic_partition(str(DEPLOYMENTS.name), name)
        elif can_remove(context, name):
            gone.append(removal(name))
    return with_partitions(context, changed + gone)


def _is_removed(context: dg.SensorEvaluationContext, name: str) -> bool:
    """Whether the last run of a deployment was the one that took it away."""
    runs = context.instance.get_runs(dg.RunsFilter(tags={DEPLOYMENT_TAG: name}), limit=1)
    return bool(
        runs
        and runs[0].tags.get(GENERATION_TAG) == _GONE
        and runs[0].status == dg.DagsterRunStatus.SUCCESS
    )


def _deployable(rows: DeploymentRows, row: DeploymentStatusSchema) -> bool:
    """Whether its packages are there; what is refused for good is for the run to tell."""
    if not row.wants_replicas:
        return True
    refs = [row.package, *([row.canary.package] if row.canary else [])]
    try:
        for ref in refs:
            rows.resolve(ref, row.owner)
    except PackageNotReady as error:
        return error.final
    return True


deployment_changes = feed_sensor(
    name="deployment_changes",
    description="Makes deployments what their rows say, when people or aliases change them.",
    tables=["deployments", "model_aliases", "model_packages"],
    asset_selection=dg.AssetSelection.assets(DEPLOYMENTS_KEY),
    look=_look,
)
