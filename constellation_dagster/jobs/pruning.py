"""Deletes, once a day, what is kept for a set time only."""

import dagster as dg

from constellation_dagster.agent_settings import get_agent_settings
from constellation_dagster.resources.supabase import SupabaseResource


@dg.op(description="Deletes what language models were asked and said, when it is old enough.")
def prune_completions(context: dg.OpExecutionContext, supabase: SupabaseResource) -> None:
    """`CONSTELLATION_COMPLETIONS_DAYS` says how old that is."""
    days = get_agent_settings().completions_days
    gone = supabase.conversations.prune_completions(days)
    context.log.info(f"{gone} completions older than {days} days are deleted.")


@dg.op(description="Deletes old events of the change feed.")
def prune_changes(context: dg.OpExecutionContext, supabase: SupabaseResource) -> None:
    """A reader that is further behind begins at the head."""
    context.log.info(f"{supabase.feed.prune()} events are deleted.")


@dg.job(
    description="Deletes old events of the change feed, and old completions.",
    executor_def=dg.in_process_executor,
)
def prune_history() -> None:
    """Can be repeated at any time."""
    prune_completions()
    prune_changes()


prune_daily = dg.ScheduleDefinition(
    name="prune_daily",
    description="Deletes each night what is kept for a set time only.",
    job=prune_history,
    cron_schedule="17 3 * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
