"""Changed blocks, pipelines, deployments and tables → `refresh_search`."""

from collections.abc import Sequence

import dagster as dg

from constellation_dagster.jobs.search import refresh_search
from constellation_dagster.resources.supabase import SupabaseResource
from constellation_dagster.sensors.blocks import PUBLICATION_TAGS
from constellation_dagster.sensors.feed import feed_sensor, in_hand


def _look(
    context: dg.SensorEvaluationContext, supabase: SupabaseResource
) -> Sequence[dg.RunRequest]:
    if not supabase.search_index.outdated():
        return []
    # The whole library at once, not block by block while it is being published.
    under_way = dg.RunsFilter(tags=PUBLICATION_TAGS), dg.RunsFilter(job_name=refresh_search.name)
    if any(in_hand(context.instance, runs) for runs in under_way):
        return []
    return [dg.RunRequest()]


search_changes = feed_sensor(
    name="search_changes",
    description="Makes changed blocks, pipelines, deployments and tables known to search.",
    tables=["blocks", "pipelines", "nodes", "deployments"],
    job=refresh_search,
    look=_look,
)
