from collections.abc import Iterator
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
import pytest
from dagster._utils.schedules import cron_string_iterator

from constellation_dagster.components.fused import PIPELINE_TAG
from constellation_dagster.components.pipeline_component import (
    PipelineAttributes,
    PipelineComponent,
)
from constellation_dagster.components.schedules import pipeline_schedules

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def attributes(**schedule: str) -> PipelineAttributes:
    data: dict[str, Any] = {
        "name": "birds",
        "nodes": [{"id": "load", "block": "sample_data", "config": {"name": "penguins"}}],
    }
    return PipelineAttributes.model_validate(data | ({"schedule": schedule} if schedule else {}))


def test_no_schedule_is_none() -> None:
    assert pipeline_schedules(attributes()) == []


def test_a_pipelines_schedule_keeps_its_time_zone() -> None:
    [schedule] = pipeline_schedules(attributes(cron="30 2 * * *", timezone="Europe/Berlin"))
    assert schedule.name == "birds__schedule"
    assert schedule.execution_timezone == "Europe/Berlin"
    # It runs from the moment it is published.
    assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING
    began = datetime(2026, 3, 28, 12, tzinfo=BERLIN).timestamp()
    cron, timezone = schedule.cron_schedule, schedule.execution_timezone
    assert isinstance(cron, str)
    ticks = cron_string_iterator(began, cron, timezone)
    told = [next(ticks).astimezone(BERLIN).isoformat() for _ in range(2)]
    # On the 29th there is no half past two: clocks go forward.
    assert told == ["2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"]


def test_utc_is_the_default() -> None:
    [schedule] = pipeline_schedules(attributes(cron="@daily"))
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("@daily", "UTC")


def test_a_tick_asks_for_the_whole_pipeline(instance: dg.DagsterInstance) -> None:
    component = PipelineComponent(attributes(cron="0 6 * * *", timezone="Asia/Tokyo"))
    defs = component.build_defs(dg.ComponentTree.for_test().load_context)
    resources = {"io_manager": dg.mem_io_manager, "supabase": dg.ResourceDefinition.none_resource()}
    repository = dg.Definitions.merge(
        defs, dg.Definitions(resources=resources)
    ).get_repository_def()
    schedule = repository.get_schedule_def("birds__schedule")
    assert schedule.execution_timezone == "Asia/Tokyo"
    context = dg.build_schedule_context(
        instance=instance,
        repository_def=repository,
        scheduled_execution_time=datetime(2026, 1, 1, 6, tzinfo=ZoneInfo("Asia/Tokyo")),
    )
    [request] = schedule.evaluate_tick(context).run_requests or []
    assert request.tags[PIPELINE_TAG] == "birds"
    job = repository.get_job(schedule.job_name)
    assert job.asset_layer.executable_asset_keys == {dg.AssetKey(["birds", "load"])}
