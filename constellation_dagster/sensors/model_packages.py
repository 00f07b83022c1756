"""Rows of packages that wait, or that Dagster has not seen → runs of their partitions."""

from collections.abc import Sequence

import dagster as dg
from dagster._core.storage.dagster_run import IN_PROGRESS_RUN_STATUSES
from dagster._core.storage.tags import MAX_RUNTIME_SECONDS_TAG

from constellation_dagster.assets.model_packages import PACKAGES, PACKAGES_KEY
from constellation_dagster.domain.states import PackageStatus
from constellation_dagster.resources.supabase import SupabaseResource
from constellation_dagster.sensors.feed import Due, feed_sensor, in_hand

PACKAGE_TAG = "constellation/package"
REQUESTS_PER_TICK = 50
# A model may answer its example never; run monitoring ends such a run.
MOST_SECONDS = 1800


def _look(context: dg.SensorEvaluationContext, supabase: SupabaseResource) -> Sequence[Due]:
    waiting = supabase.packages.refs([PackageStatus.REGISTERED])
    packaged = supabase.packages.refs([PackageStatus.PACKAGED, PackageStatus.IMAGED])
    seen = context.instance.get_materialized_partitions(PACKAGES_KEY) if packaged else set[str]()
    wanted = [*waiting, *(ref for ref in packaged if ref not in seen)]
    due = [ref for ref in wanted if _can_start(context, ref)][:REQUESTS_PER_TICK]
    if not due:
        return []
    known = set(context.instance.get_dynamic_partitions(str(PACKAGES.name)))
    new = [ref for ref in due if ref not in known]
    return [
        *([PACKAGES.build_add_request(new)] if new else []),
        *(
            dg.RunRequest(
                asset_selection=[PACKAGES_KEY],
                partition_key=ref,
                tags={PACKAGE_TAG: ref, MAX_RUNTIME_SECONDS_TAG: str(MOST_SECONDS)},
            )
            for ref in due
        ),
    ]


def _can_start(context: dg.SensorEvaluationContext, ref: str) -> bool:
    """Whether nobody works on a package already; a run that has just failed is not repeated."""
    tags = {PACKAGE_TAG: ref}
    going_on = dg.RunsFilter(tags=tags, statuses=list(IN_PROGRESS_RUN_STATUSES))
    if context.instance.get_runs_count(going_on) > 0:
        return False
    return not in_hand(context.instance, dg.RunsFilter(tags=tags))


package_changes = feed_sensor(
    name="package_changes",
    description="Packages models that people ask for by a row, and shows what was registered.",
    tables=["model_packages"],
    asset_selection=dg.AssetSelection.assets(PACKAGES_KEY),
    look=_look,
)
