"""What a planner knows when it plans."""

from pydantic import BaseModel, ConfigDict, Field

from constellation_dagster.domain.conversations import Thread
from constellation_dagster.domain.facts import Facts


class Context(BaseModel):
    """The conversation, what is there to work with, and the blocks that may be meant."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    thread: Thread
    facts: Facts = Field(default_factory=Facts)
    candidates: tuple[str, ...] = Field(
        default=(), description="Names of blocks, the likeliest first; none for all of them."
    )

    @property
    def request(self) -> str:
        """What the person said last."""
        said = [message.content for message in self.thread.messages if message.role == "user"]
        return said[-1] if said else ""
