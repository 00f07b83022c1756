"""How sensors react to rows: look at what the rows want, else wait for the feed and look again.

What a sensor does follows from the rows as they are, never from the events alone, so a tick that
is lost or repeated changes nothing. The feed only says when to look.
"""

import time
from collections.abc import Callable, Sequence

import dagster as dg
from dagster._core.storage.dagster_run import IN_PROGRESS_RUN_STATUSES

from constellation_dagster.resources.change_feed import Cursor
from constellation_dagster.resources.supabase import SupabaseResource

# The daemon starts no tick of a sensor more often than each 5 s. Waiting inside a tick is what
# makes reactions quick; longer than this would delay a reload or a shutdown.
WAIT_SECONDS = 20.0
# What makes a run of ours fail, such as a service that is down, seldom ends within seconds.
PAUSE_AFTER_FAILURE_SECONDS = 30

Due = dg.RunRequest | dg.AddDynamicPartitionsRequest
Look = Callable[[dg.SensorEvaluationContext, SupabaseResource], Sequence[Due]]


def feed_sensor(
    *,
    name: str,
    description: str,
    tables: Sequence[str],
    look: Look,
    job: dg.JobDefinition | None = None,
    asset_selection: dg.AssetSelection | None = None,
) -> dg.SensorDefinition:
    """Makes a sensor that wakes when rows of some tables change.

    Args:
        name: The sensor's name.
        description: What it does, for the UI.
        tables: Tables whose changes wake it.
        look: Reads rows and says which runs are due, and which partitions must be there for them.
            Called at least once a tick, so what it asks for again must carry a run key or be
            harmless; a partition that is there already is.
        job: The job that it may start.
        asset_selection: The assets that it may materialize instead, through the implicit job: as
            `target` they would make a second job of the same assets in every snapshot.
    """

    @dg.sensor(
        name=name,
        description=description,
        job=job,
        asset_selection=asset_selection,
        minimum_interval_seconds=1,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def sensor(
        context: dg.SensorEvaluationContext, supabase: SupabaseResource
    ) -> dg.SensorResult | dg.SkipReason:
        if not supabase.configured:
            return dg.SkipReason("No Supabase: run `constellation up` or set SUPABASE_URL.")
        due = look(context, supabase)
        if due:
            return _result(due, context.cursor)
        cursor = Cursor.model_validate_json(context.cursor) if context.cursor else None
        after = supabase.feed.wait(cursor, tables, WAIT_SECONDS)
        if after != cursor:
            due = look(context, supabase)
        if not due:
            reason = f"Nothing due after change {after.xid}/{after.id} of {', '.join(tables)}."
            return dg.SensorResult(skip_reason=reason, cursor=after.model_dump_json())
        return _result(due, after.model_dump_json())

    return sensor


def _result(due: Sequence[Due], cursor: str | None) -> dg.SensorResult:
    """Dagster adds the partitions first, so that runs of the same tick may be of them."""
    return dg.SensorResult(
        run_requests=[item for item in due if isinstance(item, dg.RunRequest)],
        dynamic_partitions_requests=[
            item for item in due if isinstance(item, dg.AddDynamicPartitionsRequest)
        ],
        cursor=cursor,
    )


def in_hand(instance: dg.DagsterInstance, runs: dg.RunsFilter) -> bool:
    """Whether the latest of some runs is still going, or has just failed."""
    records = instance.get_run_records(runs, limit=1)
    if not records:
        return False
    latest = records[0]
    if latest.dagster_run.status in IN_PROGRESS_RUN_STATUSES:
        return True
    failed = latest.dagster_run.status == dg.DagsterRunStatus.FAILURE
    ended = latest.end_time or latest.update_timestamp.timestamp()
    return failed and time.time() - ended < PAUSE_AFTER_FAILURE_SECONDS
