"""Makes changed blocks, pipelines, deployments and tables known to search."""

import dagster as dg

from constellation_dagster.resources.supabase import SupabaseResource


@dg.op(description="Embeds what search does not know as it is now, and forgets what is gone.")
def refresh_index(context: dg.OpExecutionContext, supabase: SupabaseResource) -> None:
    """Can be repeated at any time."""
    refreshed = supabase.search_index.refresh()
    context.log.info(f"{refreshed.written} written, {refreshed.forgotten} forgotten.")


@dg.job(
    description="Makes changed blocks, pipelines, deployments and tables known to search.",
    executor_def=dg.in_process_executor,
)
def refresh_search() -> None:
    """One at a time: `search_changes` starts none while one runs."""
    refresh_index()
