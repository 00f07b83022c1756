"""What became of a Dagster run → its row."""

import dagster as dg

from constellation_dagster.components.fused import RUN_TAG
from constellation_dagster.domain.states import RunStatus
from constellation_dagster.jobs.publishing import publish_pipelines
from constellation_dagster.resources.run_rows import OpenRunRow
from constellation_dagster.resources.supabase import SupabaseResource

_STATUS = {
    dg.DagsterRunStatus.STARTING: RunStatus.STARTING,
    dg.DagsterRunStatus.STARTED: RunStatus.RUNNING,
    dg.DagsterRunStatus.SUCCESS: RunStatus.SUCCEEDED,
    dg.DagsterRunStatus.FAILURE: RunStatus.FAILED,
    dg.DagsterRunStatus.CANCELED: RunStatus.CANCELLED,
}
RECONCILE_SECONDS = 30
# How Dagster puts it when a worker died.
_FROM_OUTSIDE = "This run has been marked as failed from outside"


def _status_sensor(dagster_status: dg.DagsterRunStatus) -> dg.SensorDefinition:
    status = _STATUS[dagster_status]

    @dg.run_status_sensor(
        run_status=dagster_status,
        name=f"run_{status}",
        description=f"Writes {status!r} into the row of a run that is.",
        minimum_interval_seconds=1,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def sensor(context: dg.RunStatusSensorContext, supabase: SupabaseResource) -> None:
        run = context.dagster_run
        if run.job_name != publish_pipelines.name and supabase.configured:
            settle(supabase, context.instance, run, status)

    return sensor


def settle(
    supabase: SupabaseResource, instance: dg.DagsterInstance, run: dg.DagsterRun, status: RunStatus
) -> None:
    """Writes a status into the rows of a run, with a reason where it did not succeed."""
    ended_badly = status in (RunStatus.FAILED, RunStatus.CANCELLED)
    error = {"message": _reason(instance, run, status)} if ended_badly else None
    for row in supabase.runs.of_dagster_run(run.run_id, run.tags.get(RUN_TAG)):
        supabase.runs.settle(row, status, error)


def _reason(instance: dg.DagsterInstance, run: dg.DagsterRun, status: RunStatus) -> str:
    """What Dagster says of a run's end, or of the worker's where it says nothing else."""
    said = [
        event.get_dagster_event()
        for event in instance.all_logs(
            run.run_id,
            of_type={
                dg.DagsterEventType.ENGINE_EVENT,
                dg.DagsterEventType.RUN_FAILURE,
                dg.DagsterEventType.RUN_CANCELED,
            },
        )
    ]
    last = said[-1].message if said else None
    if len(said) > 1 and last and last.startswith(_FROM_OUTSIDE):
        last = said[-2].message
    return last or f"The Dagster run {status}."


@dg.sensor(
    name="reconcile_runs",
    description="Settles rows of runs that ended without anybody saying so.",
    minimum_interval_seconds=RECONCILE_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def reconcile_runs(
    context: dg.SensorEvaluationContext, supabase: SupabaseResource
) -> dg.SkipReason:
    """Compares rows that are not final with Dagster's runs: a killed worker, a missed tick."""
    if not supabase.configured:
        return dg.SkipReason("No Supabase: run `constellation up` or set SUPABASE_URL.")
    settled = 0
    for row in supabase.runs.open():
        run = _run_of(context.instance, row)
        if run is None and row.dagster_run_id:
            lost = {"message": "Dagster does not know this run any more."}
            settled += supabase.runs.settle(str(row.id), RunStatus.FAILED, lost)
        elif run is not None and run.is_finished:
            settle(supabase, context.instance, run, _STATUS[run.status])
            settled += 1
    return dg.SkipReason(f"{settled} rows settled.")


def _run_of(instance: dg.DagsterInstance, row: OpenRunRow) -> dg.DagsterRun | None:
    """The row's run; a row whose run died before its first node is named by the run's tag only."""
    if row.dagster_run_id:
        return instance.get_run_by_id(row.dagster_run_id)
    runs = instance.get_runs(dg.RunsFilter(tags={RUN_TAG: str(row.id)}), limit=1)
    return runs[0] if runs else None


run_status_sensors = [
    _status_sensor(status) for status in _STATUS if status != dg.DagsterRunStatus.STARTED
]
