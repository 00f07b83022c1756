"""Turns of the agent with a language model behind a real socket."""

import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid4

from pydantic import SecretStr

from constellation_dagster.agent.context import Context
from constellation_dagster.agent.embedded.planner import EmbeddedPlanner
from constellation_dagster.agent.model_planner import ModelPlanner
from constellation_dagster.agent.turns import Answer, check_and_repair, plan
from constellation_dagster.agent_settings import AgentSettings
from constellation_dagster.domain.conversations import ChatMessage, DraftProposal, Thread
from constellation_dagster.domain.facts import ColumnFact, Facts, FileFact
from constellation_dagster.domain.proposals import Proposal
from constellation_dagster.domain.registry import load_registry
from constellation_dagster.resources.budgets import Budget
from constellation_dagster.resources.language_model import language_model
from tests.agent.openai_server import KEY, Exchange, OpenAIServer, saying

REGISTRY = load_registry()
HOUSES = FileFact(
    path="houses.csv",
    kind="table",
    columns=(
        ColumnFact(name="city", type="text", samples=("Graz", "Bonn")),
        ColumnFact(name="area", type="number"),
        ColumnFact(name="price", type="number"),
    ),
)
REQUEST = "read houses.csv, sort it by price and write sorted.csv"
READ = {"block": "read_csv", "config": {"url": "houses.csv"}}
SORT = {"block": "sort_rows", "config": {"by": ["price"]}}
WRITE = {"block": "write_csv", "config": {"url": "sorted.csv"}}
BLOCKS = ["read_csv", "sort_rows", "write_csv"]


class Kept:
    """Keeps completions in a list."""

    def __init__(self) -> None:
        self.rows: list[tuple[UUID, str, Mapping[str, Any], Mapping[str, Any]]] = []

    def add(
        self,
        message_id: UUID,
        model: str,
        request: Mapping[str, Any],
        response: Mapping[str, Any],
    ) -> None:
        self.rows.append((message_id, model, request, response))


def planner(server: OpenAIServer, kept: Kept | None = None, **settings: Any) -> ModelPlanner:
    given = AgentSettings.model_validate(
        {
            "openai_base_url": server.url,
            "openai_model": "small",
            "openai_api_key": SecretStr(KEY),
            "completion_seconds": 5.0,
            "price_in": 1.0,
            "price_out": 2.0,
            **settings,
        }
    )
    model = language_model(given)
    assert model is not None

    def budget(owner: UUID) -> Budget:
        return Budget(None, owner, given.daily_tokens)

    embedded = EmbeddedPlanner(REGISTRY)
    return ModelPlanner(REGISTRY, model, given, instead=embedded, budget=budget, completions=kept)


def context(request: str = REQUEST, *before: str, **facts: Any) -> Context:
    messages = [ChatMessage(role="user", content=text) for text in (*before, request)]
    thread = Thread(
        message_id=uuid4(), conversation_id=uuid4(), owner=uuid4(), messages=tuple(messages)
    )
    return Context(thread=thread, facts=Facts.model_validate({"files": (HOUSES,), **facts}))


def build(*steps: dict[str, Any], **more: Any) -> Exchange:
    return saying(json.dumps({"action": "build", "name": "sorted", "steps": steps, **more}))


def turn(
    server: OpenAIServer, given: Context | None = None, kept: Kept | None = None, **settings: Any
) -> DraftProposal | Answer:
    """All of it, by two planners, as two ops have one each."""
    given = given or context()
    proposal = plan(given, planner(server, kept, **settings))
    proposal = Proposal.model_validate_json(proposal.model_dump_json())
    return check_and_repair(given, proposal, planner(server, kept, **settings), REGISTRY)


def draft(
    server: OpenAIServer, given: Context | None = None, kept: Kept | None = None, **settings: Any
) -> DraftProposal:
    outcome = turn(server, given, kept, **settings)
    assert isinstance(outcome, DraftProposal)
    return outcome


def blocks(made: DraftProposal) -> list[str]:
    return [node["block"].partition("@")[0] for node in made.spec["nodes"]]
