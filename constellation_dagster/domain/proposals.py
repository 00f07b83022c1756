"""What a planner proposes: the steps of a pipeline, an answer, a question or a refusal."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from constellation_dagster.domain.conversations import Provenance, Question

Action = Literal["build", "edit", "answer", "refuse", "ask"]


class Step(BaseModel):
    """One step of a pipeline, before it has edges."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    block: str = Field(description="The block's name, with or without its version.")
    config: dict[str, JsonValue] = Field(default_factory=dict, description="What is known of it.")
    id: str | None = Field(default=None, description="The node's id; made from the block if none.")
    after: tuple[str, ...] = Field(
        default=(), description="Ids of the steps that it takes its inputs from, if that is known."
    )


class Edge(BaseModel):
    """An edge that the planner is sure of, `node.port` to `node.port`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    target: str


class ProposedSchedule(BaseModel):
    """When the pipeline runs by itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cron: str
    timezone: str = "UTC"


class Proposal(BaseModel):
    """What a planner makes of a message."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    action: Action
    name: str | None = Field(default=None, description="The pipeline's name.")
    steps: tuple[Step, ...] = Field(
        default=(), description="All steps in order; for an edit, as they are after it."
    )
    edges: tuple[Edge, ...] | None = Field(
        default=None, description="All edges; none to have them found by type."
    )
    schedule: ProposedSchedule | None = None
    base: str | None = Field(default=None, description="The name of the pipeline that is edited.")
    text: str = Field(default="", description="The wording of an answer, question or refusal.")
    questions: tuple[Question, ...] = ()
    provenance: Provenance | None = None
