"""The requests of cases.yaml, and what there is for the person who makes them."""

import hashlib
from functools import cache
from pathlib import Path
from typing import Any, Literal
from uuid import UUID, uuid5

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from constellation_dagster.agent.context import Context
from constellation_dagster.agent.file_facts import read_file_facts
from constellation_dagster.domain.conversations import ChatMessage, DraftRow, Provenance, Thread
from constellation_dagster.domain.facts import ColumnFact, Facts, PipelineFact, TableFact
from constellation_dagster.domain.places import Places

HERE = Path(__file__).parent
FILES = HERE / "files"
Kind = Literal["draft", "ask", "refuse", "answer"]
_PERSON = UUID(int=5)


class Accepted(BaseModel):
    """A pipeline that is right."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    blocks: tuple[str, ...]
    may: tuple[str, ...] = ()
    unordered: bool = False
    config: dict[str, Any] = Field(default_factory=dict)
    open: tuple[str, ...] = ()
    schedule: str | tuple[str, ...] | None = None

    @property
    def crons(self) -> tuple[str, ...]:
        """The schedules that are right; none for a pipeline without one."""
        if self.schedule is None:
            return ()
        return (self.schedule,) if isinstance(self.schedule, str) else self.schedule


class Case(BaseModel):
    """A request and what would be right."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    field: str
    request: str
    pipeline: str | None = None
    draft: str | None = None
    accept: tuple[Accepted, ...] = ()
    ask: bool = False
    refuse: bool = False
    answer: bool = False

    @property
    def wanted(self) -> Kind:
        """What kind of outcome is right."""
        if self.ask:
            return "ask"
        if self.refuse:
            return "refuse"
        return "answer" if self.answer else "draft"

    @property
    def frozen(self) -> bool:
        """Whether it is one of those that are only counted, never looked at."""
        return int(hashlib.sha256(self.id.encode()).hexdigest(), 16) % 3 == 0


@cache
def load_cases() -> tuple[Case, ...]:
    """All cases."""
    text = (HERE / "cases.yaml").read_text(encoding="utf-8")
    return TypeAdapter(tuple[Case, ...]).validate_python(yaml.safe_load(text))


@cache
def facts() -> Facts:
    """What the person has: the files beside this one, and what pipelines.yaml says."""
    there = yaml.safe_load((HERE / "pipelines.yaml").read_text(encoding="utf-8"))
    return Facts(
        files=read_file_facts(Places((FILES.resolve(),))),
        tables=tuple(
            TableFact(
                name=name,
                columns=tuple(ColumnFact(name=key, type=type_) for key, type_ in columns.items()),
            )
            for name, columns in there["tables"].items()
        ),
        deployments=tuple(there["deployments"]),
        packages=tuple(there["packages"]),
        pipelines=tuple(
            PipelineFact(
                name=spec["name"],
                id=str(uuid5(_PERSON, spec["name"])),
                spec=spec,
                status="published",
            )
            for spec in there["pipelines"]
        ),
    )


def context_of(case: Case) -> Context:
    """What a planner knows when the person has said that."""
    id_ = uuid5(_PERSON, case.id)
    thread = Thread(
        message_id=id_,
        conversation_id=id_,
        owner=_PERSON,
        messages=(ChatMessage(role="user", content=case.request),),
        last_draft=_draft(case.draft, id_) if case.draft else None,
    )
    return Context(thread=thread, facts=facts())


def _draft(name: str, id_: UUID) -> DraftRow:
    pipeline = facts().pipeline(name)
    if pipeline is None:
        raise KeyError(name)
    return DraftRow(
        id=id_,
        conversation_id=id_,
        message_id=id_,
        owner=_PERSON,
        name=name,
        spec=pipeline.spec,
        provenance=Provenance(planner="embedded"),
        status="ready",
        created_at="2026-01-01T00:00:00+00:00",
    )
