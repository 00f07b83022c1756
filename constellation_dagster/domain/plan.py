"""What the compiler makes of a pipeline."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from pydantic import JsonValue

from constellation_dagster.domain.block import AnyBlock
from constellation_dagster.domain.schemas import PipelineCreateSchema


@dataclass(frozen=True)
class OutputRef:
    """One output port of one node."""

    node: str
    port: str

    def __str__(self) -> str:
        return f"{self.node}.{self.port}"


@dataclass(frozen=True)
class PlanNode:
    """A node that is known to be right: its block exists, its config is valid, its inputs fit."""

    id: str
    block: AnyBlock
    config: Mapping[str, JsonValue]
    """The whole configuration with defaults filled in, as JSON."""
    retries: int
    inputs: Mapping[str, tuple[OutputRef, ...]]
    """What feeds each input port that has an edge; several, in order, only into a list port."""
    parents: tuple[str, ...]
    """The nodes that it reads from, each once, sorted."""
    children: tuple[str, ...]
    """The nodes that read from it, each once, sorted."""


@dataclass(frozen=True)
class Plan:
    """A compiled pipeline."""

    pipeline: PipelineCreateSchema
    nodes: tuple[PlanNode, ...]
    """Parents before children; in the same order however the pipeline lists its nodes."""
    digest: str

    @cached_property
    def _nodes(self) -> Mapping[str, PlanNode]:
        return {node.id: node for node in self.nodes}

    def node(self, node_id: str) -> PlanNode:
        """The node of that id."""
        return self._nodes[node_id]
