"""Dagster components that a `defs.yaml` may name."""

from constellation_dagster.components.pipeline_component import PipelineComponent
from constellation_dagster.components.supabase_pipelines import SupabasePipelines

__all__ = ["PipelineComponent", "SupabasePipelines"]
