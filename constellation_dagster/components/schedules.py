"""The Dagster schedule of a pipeline that has one."""

import dagster as dg

from constellation_dagster.components.fused import PIPELINE_TAG
from constellation_dagster.domain.schemas import PipelineCreateSchema


def pipeline_schedules(pipeline: PipelineCreateSchema) -> list[dg.ScheduleDefinition]:
    """The pipeline's schedule, running from the moment it is published; or none."""
    if pipeline.schedule is None:
        return []
    return [
        dg.ScheduleDefinition(
            name=f"{pipeline.name}__schedule",
            target=dg.AssetSelection.groups(pipeline.name),
            cron_schedule=pipeline.schedule.cron,
            execution_timezone=pipeline.schedule.timezone,
            default_status=dg.DefaultScheduleStatus.RUNNING,
            description=f"Runs pipeline {pipeline.name!r}.",
            tags={PIPELINE_TAG: pipeline.name},
        )
    ]
