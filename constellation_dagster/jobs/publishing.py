"""Publishes the pipelines that people have approved."""

import dagster as dg

from constellation_dagster.components.pipeline_component import yaml_pipeline_names
from constellation_dagster.components.publication import select_publication
from constellation_dagster.components.supabase_pipelines import PIPELINES_FOLDER, STATE_KEY
from constellation_dagster.domain.registry import load_registry
from constellation_dagster.resources.supabase import SupabaseResource
from constellation_dagster.resources.webserver import WebserverResource


@dg.op(description="Compiles what waits, serves what compiles, tells each row what became of it.")
def publish(
    context: dg.OpExecutionContext, supabase: SupabaseResource, webserver: WebserverResource
) -> None:
    """Makes the served definitions what the rows say; can be repeated at any time."""
    publication = select_publication(
        supabase.pipelines.candidates(), load_registry(), yaml_pipeline_names(PIPELINES_FOLDER)
    )
    for version, problems in publication.rejected:
        supabase.pipelines.invalid(version, problems)
        listed = "".join(f"\n- {problem}" for problem in problems)
        context.log.warning(
            f"pipeline {version.name!r}, version {version.version}: put aside.{listed}"
        )
    origin = context.run.remote_job_origin
    if origin is None:
        raise dg.Failure("publish_pipelines needs a running stack: start it from the UI or a row.")
    location = origin.repository_origin.code_location_origin.location_name
    webserver.refresh_component_state(location, STATE_KEY)
    # Only now are they there for everyone to see, so only now may the rows say so.
    for version, plan in publication.accepted:
        if version.status == "approved":
            blocks = {node.block.name: node.block.ref for node in plan.nodes}
            supabase.pipelines.published(version, plan.digest, blocks)
            context.log.info(f"pipeline {version.name!r}, version {version.version}: published.")


@dg.job(
    description="Makes pipelines that people have approved appear as assets.",
    executor_def=dg.in_process_executor,
)
def publish_pipelines() -> None:
    """One at a time: `pipeline_changes` starts none while one runs."""
    publish()
