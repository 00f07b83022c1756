"""`PipelineComponent`: one reviewed YAML file is one pipeline."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self, cast
from uuid import UUID

import dagster as dg
import yaml
from pydantic import BaseModel, Field
from typing_extensions import override

from constellation_dagster.components.fused import Origin, fused_assets
from constellation_dagster.components.schedules import pipeline_schedules
from constellation_dagster.domain.compiler import compile_pipeline
from constellation_dagster.domain.registry import load_registry
from constellation_dagster.domain.schemas import PipelineCreateSchema

TYPE_NAME = "constellation_dagster.components.PipelineComponent"


class PipelineAttributes(PipelineCreateSchema):
    """A pipeline as a YAML file says it."""

    owner: UUID | None = Field(
        default=None,
        description="The person as whom blocks that use Supabase tables read and write.",
    )


class PipelineComponent(dg.Component):
    """A pipeline of typed blocks: nodes joined by edges.

    It compiles to one asset per node, `[pipeline, node]`, in a group of the pipeline's name.
    """

    def __init__(self, attributes: PipelineAttributes) -> None:
        self.attributes = attributes

    @classmethod
    @override
    def get_model_cls(cls) -> type[BaseModel]:
        """A plain Pydantic model, so that `dg check yaml` points to lines."""
        return PipelineAttributes

    @classmethod
    @override
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> Self:
        return cls(cast("PipelineAttributes", attributes))

    @override
    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Compiles the pipeline.

        Raises:
            PipelineInvalid: With all its problems; `dg check defs` shows them.
        """
        spec = PipelineCreateSchema.model_validate(self.attributes.model_dump(exclude={"owner"}))
        plan = compile_pipeline(spec, load_registry())
        return dg.Definitions(
            assets=[fused_assets(plan, Origin(owner=self.attributes.owner))],
            schedules=pipeline_schedules(spec),
        )


def yaml_pipeline_names(folder: Path) -> frozenset[str]:
    """Names of the pipelines in YAML files below a folder."""
    names: set[str] = set()
    for path in sorted(folder.rglob("defs.yaml")):
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            names |= _name(document)
    return frozenset(names)


def _name(document: Mapping[str, Any] | None) -> set[str]:
    if not document or document.get("type") != TYPE_NAME:
        return set()
    return {document["attributes"]["name"]}
