"""The shapes of pipelines and rows: one definition for rows, HTTP, YAML and the agent."""

import hashlib
import json
import math
from datetime import datetime
from typing import Annotated, Any, cast
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
)

from constellation_dagster.domain.errors import PipelineInvalid, Problem
from constellation_dagster.domain.ports import Port
from constellation_dagster.domain.states import PipelineStatus, RunStatus
from constellation_dagster.domain.validation import explain


class _Spec(BaseModel):
    """What people write: a key that means nothing is a mistake, so unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class _Row(BaseModel):
    """What the platform answers: a column added later must not break an older reader."""

    model_config = ConfigDict(frozen=True, extra="ignore", from_attributes=True)


_DEEPEST = 32


def _storable(config: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Refuse what neither JSON nor a database can hold, though Python can."""
    level: list[JsonValue] = [config]
    for _ in range(_DEEPEST):
        below: list[JsonValue] = []
        for value in level:
            if isinstance(value, dict):
                below.extend(value.values())
                below.extend(value)
            elif isinstance(value, list):
                below.extend(value)
            elif isinstance(value, float) and not math.isfinite(value):
                raise ValueError("must hold finite numbers only")
            elif isinstance(value, str) and "\0" in value:
                raise ValueError("must not hold a NUL character")
        if not below:
            return config
        level = below
    raise ValueError(f"must not be nested deeper than {_DEEPEST} levels")


def _without_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("must not hold a NUL character")
    return text


Config = Annotated[dict[str, JsonValue], AfterValidator(_storable)]
PlainText = Annotated[str, AfterValidator(_without_nul)]


# Rules on names, references, blocks and graphs are the compiler's, which tells all problems at
# once and where they are; here stands only what has to be true for it to be able to read a spec.
class NodeSchema(_Spec):
    """One use of a block."""

    id: str = Field(description="The node's name within its pipeline: a-z, 0-9 and _.")
    block: str = Field(description="The block, as `read_csv` (newest version) or `read_csv@1`.")
    config: Config = Field(default_factory=dict, description="The block's configuration.")
    retries: int = Field(
        default=0, ge=0, le=10, description="How many times to try again when the block fails."
    )


class EdgeSchema(_Spec):
    """What one block returns goes into another."""

    source: str = Field(description="Where it comes from, as `node.output`, such as `load.table`.")
    target: str = Field(description="Where it goes, as `node.input`, such as `impute.table`.")


class ScheduleSchema(_Spec):
    """When to run."""

    cron: str = Field(description="A cron expression of five fields, such as `0 6 * * 1-5`.")
    timezone: str = Field(default="UTC", description="The time zone, such as `Europe/Berlin`.")


class PipelineCreateSchema(_Spec):
    """A pipeline as a person or the agent writes it."""

    name: str = Field(description="The pipeline's name, unique per installation: a-z, 0-9 and _.")
    description: PlainText = Field(default="", description="What the pipeline is for, as Markdown.")
    nodes: tuple[NodeSchema, ...] = Field(description="The uses of blocks, in any order.")
    edges: tuple[EdgeSchema, ...] = Field(
        default=(), description="How they are wired; the order matters only into a list port."
    )
    schedule: ScheduleSchema | None = Field(default=None, description="When to run by itself.")
    tags: dict[str, PlainText] = Field(
        default_factory=dict, description="Labels, carried over to Dagster."
    )


class UserResponseSchema(_Row):
    """A person."""

    id: UUID = Field(description="The user's id.")
    email: str | None = Field(default=None, description="The user's e-mail address.")
    display_name: str | None = Field(default=None, description="The user's name as shown.")
    created_at: datetime = Field(description="When the user signed up.")
    updated_at: datetime = Field(description="When the profile last changed.")


class BlockResponseSchema(_Row):
    """A block of the catalogue."""

    id: UUID = Field(description="The row's id.")
    owner: UUID | None = Field(default=None, description="Its owner; null for a shipped block.")
    name: str = Field(description="The block's name.")
    version: int = Field(description="The block's version.")
    kind: str = Field(description="source, transform, train, infer, evaluate or sink.")
    summary: str = Field(description="What it does, in one line.")
    doc: str = Field(description="Its documentation, as Markdown.")
    inputs: tuple[Port, ...] = Field(description="What it takes.")
    outputs: tuple[Port, ...] = Field(description="What it returns.")
    config_schema: dict[str, JsonValue] = Field(description="JSON Schema of its configuration.")
    requirements: tuple[str, ...] = Field(default=(), description="Python packages that it needs.")
    resources: tuple[str, ...] = Field(default=(), description="Platform resources that it uses.")
    code_version: str = Field(description="Changes whenever its code changes.")
    retired_at: datetime | None = Field(
        default=None, description="Since when new pipelines cannot use it."
    )
    created_at: datetime = Field(description="When it was first published.")
    updated_at: datetime = Field(description="When it last changed.")


class EdgeResponseSchema(_Row):
    """An edge of a stored pipeline."""

    id: UUID = Field(description="The row's id.")
    owner: UUID = Field(description="The pipeline's owner.")
    pipeline_id: UUID = Field(description="The pipeline.")
    source: str = Field(description="Where it comes from, as `node.output`.")
    target: str = Field(description="Where it goes, as `node.input`.")
    position: int = Field(default=0, description="Its place among the pipeline's edges.")
    created_at: datetime = Field(description="When it was added.")
    updated_at: datetime = Field(description="When it last changed.")


class PipelineResponseSchema(_Row):
    """A stored pipeline."""

    id: UUID = Field(description="The row's id.")
    owner: UUID = Field(description="Its owner.")
    name: str = Field(description="Its name.")
    description: str = Field(default="", description="What it is for, as Markdown.")
    tags: dict[str, str] = Field(default_factory=dict, description="Labels.")
    schedule: ScheduleSchema | None = Field(default=None, description="When it runs by itself.")
    status: PipelineStatus = Field(description="Where it stands.")
    version: int | None = Field(default=None, description="The version that is published.")
    problems: tuple[Problem, ...] = Field(
        default=(), description="What is wrong with the newest approved version."
    )
    created_at: datetime = Field(description="When it was created.")
    updated_at: datetime = Field(description="When it last changed.")


class PipelineStatusSchema(_Row):
    """Where a pipeline stands, without its content."""

    id: UUID = Field(description="The pipeline's id.")
    name: str = Field(description="Its name.")
    status: PipelineStatus = Field(description="Where it stands.")
    version: int | None = Field(default=None, description="The version that is published.")
    problems: tuple[Problem, ...] = Field(
        default=(), description="What is wrong with the newest approved version."
    )


class RunResponseSchema(_Row):
    """A run of a pipeline."""

    id: UUID = Field(description="The row's id.")
    owner: UUID = Field(description="Its owner.")
    pipeline_id: UUID = Field(description="The pipeline.")
    version: int | None = Field(default=None, description="The pipeline version that runs.")
    nodes_selected: tuple[str, ...] | None = Field(
        default=None, description="The nodes that were asked for; null for all."
    )
    status: RunStatus = Field(description="How far it is.")
    dagster_run_id: str | None = Field(default=None, description="The id of Dagster's run.")
    progress: dict[str, JsonValue] = Field(
        default_factory=dict, description="For each node: status, times, rows, error."
    )
    error: JsonValue = Field(default=None, description="Why it failed.")
    tags: dict[str, str] = Field(default_factory=dict, description="Labels.")
    requested_at: datetime = Field(description="When it was asked for.")
    started_at: datetime | None = Field(default=None, description="When it started.")
    finished_at: datetime | None = Field(default=None, description="When it ended.")


def parse_pipeline(data: object) -> PipelineCreateSchema:
    """Read a pipeline from data as JSON or YAML gives it.

    Raises:
        PipelineInvalid: It does not have the shape of a pipeline; it lists every place.
    """
    try:
        return PipelineCreateSchema.model_validate(data)
    except ValidationError as error:
        problems = tuple(_shape_problems(error, data))
    raise PipelineInvalid(problems)


def _shape_problems(error: ValidationError, data: object) -> list[Problem]:
    name = _text_at(data, ("name",))
    problems: list[Problem] = []
    for issue in explain(error, PipelineCreateSchema, data):
        node: str | None = None
        where = issue.path
        if len(where) >= 2 and where[0] == "nodes" and isinstance(where[1], int):
            node = _text_at(data, ("nodes", where[1], "id"))
            where = where[2:] if node is not None else where
        problems.append(
            Problem(
                code=issue.code,
                message=issue.sentence(where),
                pipeline=name,
                node=node,
                hint=issue.hint,
            )
        )
    return problems


def _text_at(data: object, path: tuple[str | int, ...]) -> str | None:
    for step in path:
        if isinstance(step, str) and isinstance(data, dict):
            data = cast("dict[str, object]", data).get(step)
        elif isinstance(step, int) and isinstance(data, list | tuple):
            data = cast("list[object]", data)[step]
        else:
            return None
    return data if isinstance(data, str) else None


def pipeline_digest(spec: PipelineCreateSchema) -> str:
    """What a pipeline says, as a hash.

    Equal for pipelines that differ only in the order of keys and nodes, in the order of edges
    (except into the same port), or in whether a default is written out.
    """
    content: dict[str, Any] = spec.model_dump(mode="json", exclude_defaults=True)
    content["nodes"] = sorted(content["nodes"], key=_canonical_json)
    if "edges" in content:
        # A stable sort: edges into one port keep their order.
        content["edges"] = sorted(content["edges"], key=lambda edge: edge["target"])
    return f"sha256:{hashlib.sha256(_canonical_json(content).encode()).hexdigest()}"


def _canonical_json(value: object) -> str:
    return json.dumps(
        _canonical(value),
        sort_keys=True,
        ensure_ascii=False,
        separators=(",", ":"),
        allow_nan=False,
    )


def _canonical(value: object) -> object:
    if isinstance(value, dict):
        return {key: _canonical(item) for key, item in cast("dict[str, object]", value).items()}
    if isinstance(value, list):
        return [_canonical(item) for item in cast("list[object]", value)]
    # 1.0 and 1 are one number, and a database may give back either for the other.
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value
