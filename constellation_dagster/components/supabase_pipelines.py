"""`SupabasePipelines`: all pipelines that people have published, from rows."""

from pathlib import Path
from uuid import UUID

import dagster as dg
from dagster._core.storage.defs_state.base import DefsStateStorage
from dagster.components import DefsStateConfig, DefsStateConfigArgs
from loguru import logger
from pydantic import BaseModel, ConfigDict, TypeAdapter
from typing_extensions import override

from constellation_dagster.components.fused import Origin, fused_assets
from constellation_dagster.components.pipeline_component import yaml_pipeline_names
from constellation_dagster.components.publication import select_publication
from constellation_dagster.components.schedules import pipeline_schedules
from constellation_dagster.domain.registry import load_registry
from constellation_dagster.resources.pipeline_rows import PipelineRows, PipelineVersion
from constellation_dagster.resources.supabase import service_client

STATE_KEY = "SupabasePipelines"
PUBLISHED_METADATA = "constellation/published"
PIPELINES_FOLDER = Path(__file__).parent.parent / "pipelines"

_STATE = TypeAdapter(list[PipelineVersion])
_PUBLISHED = TypeAdapter(dict[UUID, int])


class NoAttributes(BaseModel):
    """The component takes no attributes: rows say everything."""

    model_config = ConfigDict(extra="forbid")


class SupabasePipelines(dg.StateBackedComponent):
    """The pipelines that people have published in Supabase.

    Loading only reads state that `publish_pipelines` has written: no state gives no definitions,
    and a pipeline that no longer compiles is left out. So no row can take the location down.
    """

    @classmethod
    @override
    def get_model_cls(cls) -> type[BaseModel]:
        return NoAttributes

    @property
    @override
    def defs_state_config(self) -> DefsStateConfig:
        arguments = DefsStateConfigArgs.versioned_state_storage()
        return DefsStateConfig.from_args(
            arguments.model_copy(update={"refresh_if_dev": False}), default_key=STATE_KEY
        )

    @override
    def write_state_to_path(self, state_path: Path) -> None:
        """Writes what can be published now; the code server calls this when asked to refresh."""
        publication = select_publication(
            PipelineRows(service_client()).candidates(),
            load_registry(),
            yaml_pipeline_names(PIPELINES_FOLDER),
        )
        versions = [version for version, _ in publication.accepted]
        state_path.write_bytes(_STATE.dump_json(versions))

    @override
    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """As the base class does, and without an instance as without state.

        A code server that is started by hand with no DAGSTER_HOME has no instance.
        """
        if DefsStateStorage.get() is None:
            return self.build_defs_from_state(context, None)
        return super().build_defs(context)

    @override
    def build_defs_from_state(
        self, context: dg.ComponentLoadContext, state_path: Path | None
    ) -> dg.Definitions:
        """Compiles the versions in the state."""
        versions = _STATE.validate_json(state_path.read_bytes()) if state_path else []
        publication = select_publication(
            versions, load_registry(), yaml_pipeline_names(PIPELINES_FOLDER)
        )
        for version, problems in publication.rejected:
            listed = "; ".join(str(problem) for problem in problems)
            logger.warning("pipeline {!r} is left out: {}", version.name, listed)
        served = {row.pipeline_id: row.version for row, _ in publication.accepted}
        return dg.Definitions(
            assets=[
                fused_assets(plan, Origin(owner=version.owner, row=version))
                for version, plan in publication.accepted
            ],
            schedules=[
                schedule
                for _, plan in publication.accepted
                for schedule in pipeline_schedules(plan.pipeline)
            ],
            metadata={PUBLISHED_METADATA: _PUBLISHED.dump_json(served).decode()},
        )


def loaded_pipelines(repository: dg.RepositoryDefinition) -> dict[UUID, int]:
    """Published version by pipeline of those that a loaded location holds."""
    entry = (repository.metadata or {}).get(PUBLISHED_METADATA)
    return _PUBLISHED.validate_json(str(entry.value)) if entry else {}
