"""What a language model answers with: its JSON Schema, made from the domain's, and how it is read."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, field_validator

from constellation_dagster.domain.block import AnyBlock
from constellation_dagster.domain.conversations import Question
from constellation_dagster.domain.errors import ConstellationError
from constellation_dagster.domain.proposals import Action, Edge, Proposal, ProposedSchedule, Step
from constellation_dagster.domain.registry import Registry

SCHEMA_NAME = "proposal"
_LONGEST_TEXT = 600
_MOST_QUESTIONS = 4
_KEPT = ("type", "enum", "const")
_FENCED = re.compile(r"```(?:json)?\s*(\{.*?)\s*(?:```|\Z)", re.DOTALL)


class Unreadable(ConstellationError):
    """A language model's answer is no proposal."""


def answer_schema(registry: Registry, blocks: Iterable[str]) -> dict[str, Any]:
    """The JSON Schema of an answer: a proposal of these blocks and no others.

    A block's configuration has its keys and types. None of them has to be given: what the
    person has not said is asked for, never made up.

    Args:
        registry: The blocks.
        blocks: Names of those that may be used.
    """
    whole = Proposal.model_json_schema()
    parts = cast("Mapping[str, Any]", whole["properties"])
    definitions = cast("Mapping[str, Any]", whole["$defs"])
    steps = [
        _object(
            {"block": {"type": "string", "enum": [block.name]}, "config": _config(block)},
            required=("block", "config"),
        )
        for block in map(registry.get, blocks)
    ]
    text = {"type": "string"}
    # In this order: servers that hold a model to a schema have it write the keys so.
    return _object(
        {
            "action": _plain(parts["action"], definitions),
            "base": text,
            "name": text,
            "steps": {"type": "array", "items": {"anyOf": steps}},
            "schedule": _plain(parts["schedule"], definitions),
            "edges": _plain(parts["edges"], definitions),
            "text": text,
            "questions": {"type": "array", "items": text},
        },
        required=("action",),
    )


def read_answer(text: str) -> Proposal:
    """The proposal that an answer is, with what it leaves open left open.

    Raises:
        Unreadable: It is none; the message says why.
    """
    try:
        found: object = json.loads(_json(text))
    except ValueError as error:
        raise Unreadable(f"it is no complete JSON: {error}.") from error
    if not isinstance(found, dict):
        raise Unreadable("it is no JSON object.")
    try:
        return _Answer.model_validate(_without_nulls(found)).proposal()
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the answer"
        raise Unreadable(f"{place}: {first['msg']}.") from error


def write_answer(proposal: Proposal) -> str:
    """A proposal as a model would have answered with it."""
    whole: dict[str, Any] = {
        "action": proposal.action,
        "base": proposal.base,
        "name": proposal.name if proposal.base is None else None,
        "steps": [{"block": bare(step.block), "config": step.config} for step in proposal.steps],
        "schedule": proposal.schedule.model_dump() if proposal.schedule else None,
        "text": proposal.text,
        "questions": [question.text for question in proposal.questions],
    }
    return as_json({key: value for key, value in whole.items() if value})


def as_json(value: Any) -> str:
    """JSON that nobody can end a section of a prompt with."""
    text = json.dumps(value, ensure_ascii=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e")


def bare(block: str) -> str:
    """A block's name without its version."""
    return block.partition("@")[0]


class _Step(BaseModel):
    model_config = ConfigDict(extra="ignore")

    block: str
    config: dict[str, JsonValue] = Field(default_factory=dict)


class _Answer(BaseModel):
    model_config = ConfigDict(extra="ignore")

    action: Action
    base: str | None = None
    name: str | None = None
    steps: tuple[_Step, ...] = ()
    schedule: ProposedSchedule | None = None
    edges: tuple[Edge, ...] | None = None
    text: str = ""
    questions: tuple[str, ...] = ()

    @field_validator("questions", mode="before")
    @classmethod
    def _texts(cls, value: object) -> object:
        """A question may come as the domain has it, too."""
        if not isinstance(value, list):
            return value
        items = cast("list[object]", value)
        return [
            cast("dict[str, object]", item).get("text") if isinstance(item, dict) else item
            for item in items
        ]

    def proposal(self) -> Proposal:
        builds = self.action in ("build", "edit")
        return Proposal(
            action=self.action,
            name=self.name,
            base=self.base if self.action == "edit" else None,
            steps=tuple(Step(block=s.block, config=s.config) for s in self.steps) if builds else (),
            edges=self.edges or None if builds else None,
            schedule=self.schedule if builds else None,
            # What is true of the platform's rows is looked up in them, whatever a model says.
            text="" if self.action == "answer" else self.text.strip()[:_LONGEST_TEXT],
            # What a step lacks is found from its block; a question beside it is no use.
            questions=()
            if builds
            else tuple(
                Question(text=text.strip()[:_LONGEST_TEXT])
                for text in self.questions[:_MOST_QUESTIONS]
                if text.strip()
            ),
        )


def _json(text: str) -> str:
    """The object within what may be around it."""
    fenced = _FENCED.search(text)
    if fenced is not None:
        return fenced[1]
    begin, end = text.find("{"), text.rfind("}")
    return text[begin : end + 1] if 0 <= begin < end else text


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value).items()
        return {key: _without_nulls(item) for key, item in items if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in cast("list[Any]", value) if item is not None]
    return value


def _object(properties: Mapping[str, Any], *, required: Sequence[str] = ()) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(required),
        "additionalProperties": False,
    }


def _config(block: AnyBlock) -> dict[str, Any]:
    schema = block.config_schema
    properties = cast("Mapping[str, Any]", schema.get("properties", {}))
    definitions = cast("Mapping[str, Any]", schema.get("$defs", {}))
    return _object({key: _plain(part, definitions) for key, part in properties.items()})


def _plain(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    """A schema with no more than every server understands: no null, bound, default or reference."""
    if "$ref" in schema:
        return _plain(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    for union in ("anyOf", "oneOf"):
        if union in schema:
            options = [o for o in schema[union] if o.get("type") != "null"]
            plain = [_plain(option, definitions) for option in options]
            return plain[0] if len(plain) == 1 else {"anyOf": plain}
    kept: dict[str, Any] = {key: schema[key] for key in _KEPT if key in schema}
    if "items" in schema:
        kept["items"] = _plain(schema["items"], definitions)
    if "properties" in schema:
        properties = cast("Mapping[str, Any]", schema["properties"])
        return _object(
            {key: _plain(part, definitions) for key, part in properties.items()},
            required=schema.get("required", ()),
        )
    if isinstance(schema.get("additionalProperties"), Mapping):
        kept["additionalProperties"] = _plain(schema["additionalProperties"], definitions)
    return kept
