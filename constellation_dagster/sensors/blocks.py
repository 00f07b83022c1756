"""A block library that differs from its rows → materialization of `[blocks, name]`."""

import dagster as dg

from constellation_dagster.assets.blocks import GROUP, block_key
from constellation_dagster.domain.registry import load_registry
from constellation_dagster.resources.supabase import SupabaseResource
from constellation_dagster.sensors.feed import in_hand

PUBLICATION_TAGS = {"constellation/task": "publish_blocks"}


@dg.sensor(
    name="block_changes",
    description="Publishes the block library to Supabase when its rows are not what the code is.",
    asset_selection=dg.AssetSelection.groups(GROUP),
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def block_changes(
    context: dg.SensorEvaluationContext, supabase: SupabaseResource
) -> dg.RunRequest | dg.SkipReason:
    """Asks for the blocks whose rows are missing or old."""
    if not supabase.configured:
        return dg.SkipReason("No Supabase: run `constellation up` or set SUPABASE_URL.")
    rows = supabase.blocks.code_versions()
    changed = {block.name for block in load_registry() if rows.get(block.ref) != block.code_version}
    if not changed:
        return dg.SkipReason("The rows are what the code is.")
    if in_hand(context.instance, dg.RunsFilter(tags=PUBLICATION_TAGS)):
        return dg.SkipReason("A run that publishes blocks is under way, or has just failed.")
    return dg.RunRequest(
        asset_selection=[block_key(name) for name in sorted(changed)], tags=PUBLICATION_TAGS
    )
