"""What the platform is made of."""

import dagster as dg

from constellation_dagster.assets.blocks import block_assets
from constellation_dagster.domain.registry import load_registry
from constellation_dagster.jobs import publish_pipelines
from constellation_dagster.resources.artifacts import ArtifactResource
from constellation_dagster.resources.supabase import SupabaseResource
from constellation_dagster.resources.webserver import WebserverResource
from constellation_dagster.sensors.blocks import block_changes
from constellation_dagster.sensors.pipelines import pipeline_changes
from constellation_dagster.sensors.run_status import reconcile_runs, run_status_sensors
from constellation_dagster.sensors.runs import run_requests
from constellation_dagster.settings import get_settings


@dg.definitions
def defs() -> dg.Definitions:
    """The code location: people's pipelines, and what makes them appear and run."""
    return dg.Definitions.merge(
        dg.load_from_defs_folder(path_within_project=get_settings().project_root),
        dg.Definitions(
            assets=[block_assets(load_registry())],
            jobs=[publish_pipelines],
            sensors=[
                block_changes,
                pipeline_changes,
                run_requests,
                reconcile_runs,
                *run_status_sensors,
            ],
            resources={
                "io_manager": ArtifactResource(),
                "supabase": SupabaseResource(),
                "webserver": WebserverResource(),
            },
            # A process per step costs more than most nodes do.
            executor=dg.in_process_executor,
        ),
    )
