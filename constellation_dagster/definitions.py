"""What the platform is made of."""

import dagster as dg

from constellation_dagster.assets.blocks import block_assets
from constellation_dagster.assets.deployment_checks import deployment_checks
from constellation_dagster.assets.deployments import deployments
from constellation_dagster.assets.generated_pipelines import (
    generated_pipeline_checks,
    generated_pipelines,
)
from constellation_dagster.assets.model_images import model_images
from constellation_dagster.assets.model_packages import model_packages_asset, package_is_intact
from constellation_dagster.components.lineage import registering_keys
from constellation_dagster.domain.registry import load_registry
from constellation_dagster.jobs.pruning import prune_daily, prune_history
from constellation_dagster.jobs.publishing import publish_pipelines
from constellation_dagster.jobs.search import refresh_search
from constellation_dagster.jobs.turns import agent_turn
from constellation_dagster.resources.artifacts import ArtifactResource
from constellation_dagster.resources.docker import DockerResource
from constellation_dagster.resources.supabase import SupabaseResource
from constellation_dagster.resources.webserver import WebserverResource
from constellation_dagster.sensors.blocks import block_changes
from constellation_dagster.sensors.deployment_health import deployment_health
from constellation_dagster.sensors.deployments import deployment_changes
from constellation_dagster.sensors.messages import message_changes
from constellation_dagster.sensors.model_packages import package_changes
from constellation_dagster.sensors.pipelines import pipeline_changes
from constellation_dagster.sensors.run_status import reconcile_runs, run_status_sensors
from constellation_dagster.sensors.runs import run_requests
from constellation_dagster.sensors.search import search_changes
from constellation_dagster.settings import get_settings


@dg.definitions
def defs() -> dg.Definitions:
    """The code location: people's pipelines, and what makes them appear and run."""
    pipelines = dg.load_from_defs_folder(path_within_project=get_settings().project_root)
    return dg.Definitions.merge(
        pipelines,
        dg.Definitions(
            assets=[
                block_assets(load_registry()),
                model_packages_asset(registering_keys(pipelines.assets or [])),
                model_images,
                deployments,
                generated_pipelines,
            ],
            asset_checks=[package_is_intact, *deployment_checks, *generated_pipeline_checks],
            jobs=[publish_pipelines, refresh_search, agent_turn, prune_history],
            schedules=[prune_daily],
            sensors=[
                block_changes,
                pipeline_changes,
                run_requests,
                package_changes,
                deployment_changes,
                deployment_health,
                search_changes,
                message_changes,
                reconcile_runs,
                *run_status_sensors,
            ],
            resources={
                "io_manager": ArtifactResource(),
                "docker": DockerResource(),
                "supabase": SupabaseResource(),
                "webserver": WebserverResource(),
            },
            # A process per step costs more than most nodes do.
            executor=dg.in_process_executor,
        ),
    )
