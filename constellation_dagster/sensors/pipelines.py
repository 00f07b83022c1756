"""Approved, changed and archived pipelines → `publish_pipelines`."""

from collections.abc import Sequence

import dagster as dg

from constellation_dagster.components.supabase_pipelines import loaded_pipelines
from constellation_dagster.jobs.publishing import publish_pipelines
from constellation_dagster.resources.supabase import SupabaseResource
from constellation_dagster.sensors.feed import feed_sensor, in_hand

_PUBLICATIONS = dg.RunsFilter(job_name=publish_pipelines.name)


def _look(
    context: dg.SensorEvaluationContext, supabase: SupabaseResource
) -> Sequence[dg.RunRequest]:
    if not _differs(context, supabase) or in_hand(context.instance, _PUBLICATIONS):
        return []
    return [dg.RunRequest()]


def _differs(context: dg.SensorEvaluationContext, supabase: SupabaseResource) -> bool:
    """Whether the served definitions are not what the rows say."""
    versions = supabase.pipelines.versions()
    if any(version.status == "approved" for version in versions):
        return True
    assert context.repository_def is not None
    published = {version.pipeline_id: version.version for version in versions}
    return published != loaded_pipelines(context.repository_def)


pipeline_changes = feed_sensor(
    name="pipeline_changes",
    description="Publishes pipelines that people have approved, changed or archived.",
    tables=["pipelines", "pipeline_versions"],
    job=publish_pipelines,
    look=_look,
)
