"""What can go wrong, told so that a person can put it right."""

from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict, Field

from constellation_dagster.domain.plain_errors import ConstellationError


class Problem(BaseModel):
    """One thing that is wrong: what, where, and what to do about it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: str = Field(description="Stable machine-readable name of the kind of problem.")
    message: str = Field(description="What is wrong, as one sentence.")
    pipeline: str | None = Field(default=None, description="The pipeline it is in.")
    node: str | None = Field(default=None, description="The node it is in.")
    port: str | None = Field(default=None, description="The port it is at.")
    hint: str | None = Field(default=None, description="What to do about it.")

    @property
    def place(self) -> str:
        """Where it is, such as "pipeline 'x', node 'y', port 'z'"; empty when it is nowhere."""
        parts = (("pipeline", self.pipeline), ("node", self.node), ("port", self.port))
        return ", ".join(f"{kind} {name!r}" for kind, name in parts if name is not None)

    def __str__(self) -> str:
        place = f"{self.place}: " if self.place else ""
        hint = f" {self.hint}" if self.hint else ""
        return f"{place}{self.message}{hint}"


class PipelineInvalid(ConstellationError):
    """A pipeline cannot be compiled. It carries every problem there is, never only the first."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))

    def __reduce__(self) -> tuple[type["PipelineInvalid"], tuple[tuple[Problem, ...]]]:
        return type(self), (self.problems,)


class BlockFailed(ConstellationError):
    """A block cannot do what it was asked to, for a reason that its user can put right."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        self.message = message
        self.hint = hint
        super().__init__(f"{message} {hint}" if hint else message)

    def __reduce__(self) -> tuple[type["BlockFailed"], tuple[str, str | None]]:
        return type(self), (self.message, self.hint)

    def problem(self, *, pipeline: str | None = None, node: str | None = None) -> Problem:
        """The same as a `Problem`, with the place that only the caller knows."""
        return Problem(
            code="block_failed",
            message=self.message,
            pipeline=pipeline,
            node=node,
            hint=self.hint,
        )


class BlockDeclarationError(ConstellationError):
    """A function decorated with `@block` is not declared as a block has to be."""


class BlockOutputError(ConstellationError):
    """A block returned something else than its return type says."""


class UnknownBlock(ConstellationError):
    """There is no block of the name or version that was asked for."""
