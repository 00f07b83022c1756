"""What is said between a person and the agent, and what comes of it."""

from collections.abc import Mapping
from typing import Any, Literal
from uuid import UUID, uuid5

from pydantic import BaseModel, ConfigDict, Field

from constellation_dagster.domain.errors import Problem

Role = Literal["user", "assistant"]
DraftStatus = Literal["ready", "incomplete", "approved", "rejected"]


class ChatMessage(BaseModel):
    """Something that one of the two said."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    role: Role
    content: str


class DueMessage(BaseModel):
    """A message that waits for its reply."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: UUID
    conversation_id: UUID
    owner: UUID
    tries: int = Field(default=0, description="How often answering it came to nothing.")


class Question(BaseModel):
    """Something that only the person can say."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    node: str | None = Field(default=None, description="The node it is about.")
    key: str | None = Field(default=None, description="The configuration key it is about.")
    text: str = Field(description="The question, as one sentence.")
    options: tuple[str, ...] = Field(default=(), description="Answers to choose from, if known.")


class Provenance(BaseModel):
    """How a proposal came to be."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    planner: str = Field(description="Which planner made it, such as `embedded` or `model`.")
    model: str | None = Field(default=None, description="The language model, if there was one.")
    prompt_version: str | None = None
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = Field(default=0.0, description="How long the language model took, in all.")
    cost: float | None = Field(default=None, description="In US dollars, if prices are known.")
    rounds: int = Field(default=1, description="Plans made, repairs included.")
    request: str = Field(default="", description="The message that asked for it.")
    note: str | None = Field(default=None, description="What the person should know about it.")


class DraftProposal(BaseModel):
    """A pipeline that the agent proposes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    spec: dict[str, Any] = Field(description="As `save_pipeline` takes it.")
    pipeline_id: UUID | None = Field(default=None, description="The pipeline that it changes.")
    diagram: str = Field(default="", description="A Mermaid flowchart.")
    explanation: str = Field(default="", description="What it does, in numbered sentences.")
    questions: tuple[Question, ...] = ()
    problems: tuple[Problem, ...] = ()
    sample: dict[str, Any] | None = Field(default=None, description="What a run on a sample gave.")
    provenance: Provenance

    @property
    def ready(self) -> bool:
        """Whether nothing is open, so that it can be approved."""
        return not self.questions and not self.problems


class DraftRow(BaseModel):
    """A proposal as its row has it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: UUID
    conversation_id: UUID
    message_id: UUID
    owner: UUID
    pipeline_id: UUID | None = None
    name: str
    spec: dict[str, Any]
    diagram: str = ""
    explanation: str = ""
    questions: tuple[Question, ...] = ()
    problems: tuple[Problem, ...] = ()
    sample: dict[str, Any] | None = None
    provenance: Provenance
    status: DraftStatus
    reason: str | None = Field(default=None, description="Why it was rejected.")
    created_at: str


class Thread(BaseModel):
    """A conversation up to the message that is to be answered, which comes last."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    message_id: UUID
    conversation_id: UUID
    owner: UUID
    owner_email: str | None = None
    messages: tuple[ChatMessage, ...]
    last_draft: DraftRow | None = None

    @property
    def request(self) -> str:
        """The message that is to be answered."""
        return self.messages[-1].content


class TurnResult(BaseModel):
    """What a turn comes to: it is written in one go."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reply: str
    draft: DraftProposal | None = None
    tokens_in: int = 0
    tokens_out: int = 0
    latency_ms: int = 0
    error: Mapping[str, Any] | None = Field(
        default=None, description="Why the message could not be answered: code and message."
    )


def draft_id(message_id: UUID) -> UUID:
    """The id of the draft that a message leads to: the same one in every run for the message."""
    return uuid5(message_id, "draft")
