"""What a person has, gathered with their rights."""

from collections.abc import Iterator
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import sql

from constellation_dagster.agent.embedded import EmbeddedPlanner
from constellation_dagster.agent.turns import Answer, check_and_repair, gather
from constellation_dagster.agent_settings import get_agent_settings
from constellation_dagster.domain.conversations import ChatMessage, Provenance, Thread
from constellation_dagster.domain.proposals import Proposal
from constellation_dagster.domain.registry import load_registry
from constellation_dagster.resources.block_rows import BlockRows
from constellation_dagster.resources.search_index import SearchIndex
from constellation_dagster.settings import get_settings
from tests.stack_fixture import RunningStack

pytestmark = pytest.mark.xdist_group("stack")

SPEC = {
    "nodes": [{"id": "load", "block": "sample_data", "config": {"name": "iris"}}],
    "edges": [],
}


@pytest.fixture
def in_the_stack(stack: RunningStack, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningStack]:
    """This process as one of the stack's, with a language model that nobody asks."""
    for name, value in stack.variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CONSTELLATION_HOME", str(stack.home))
    # Which blocks may be meant is found out for a model only.
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    monkeypatch.setenv("OPENAI_MODEL", "none")
    get_settings.cache_clear()
    get_agent_settings.cache_clear()
    yield stack
    get_settings.cache_clear()
    get_agent_settings.cache_clear()


def test_a_person_sees_what_is_theirs(in_the_stack: RunningStack) -> None:
    stack = in_the_stack
    files = stack.home / "files"
    files.mkdir(exist_ok=True)
    file, table = (f"{kind}_{uuid4().hex[:8]}" for kind in ("file", "orders"))
    (files / f"{file}.csv").write_text("price,city\n1,Rome\n")
    own, other = stack.person(), stack.person()
    mine, theirs = (f"p_{uuid4().hex[:8]}" for _ in range(2))
    own.rpc("save_pipeline", {"spec": {"name": mine, **SPEC}}).execute()
    other.rpc("save_pipeline", {"spec": {"name": theirs, **SPEC}}).execute()
    with psycopg.connect(stack.variables["DATABASE_URL"]) as connection:
        create = "create table public.{} (price numeric, city text, paid boolean, day date)"
        connection.execute(sql.SQL(create).format(sql.Identifier(table)))
        grant = sql.SQL("grant select on public.{} to authenticated")
        connection.execute(grant.format(sql.Identifier(table)))
    user = own.auth.get_user()
    assert user is not None
    person = UUID(user.user.id)
    thread = Thread(
        message_id=uuid4(),
        conversation_id=uuid4(),
        owner=person,
        messages=(ChatMessage(role="user", content="throw out rows with gaps"),),
    )
    for name in ("read_csv", "drop_missing", "chart"):
        BlockRows(stack.service()).publish(load_registry().get(name))
    SearchIndex(stack.service()).refresh()
    try:
        context = gather(thread, person)
    finally:
        with psycopg.connect(stack.variables["DATABASE_URL"]) as connection:
            connection.execute(sql.SQL("drop table public.{}").format(sql.Identifier(table)))
    found = context.facts.file(f"{file}.csv")
    assert found is not None
    assert [column.type for column in found.columns] == ["number", "text"]
    known = context.facts.table(table)
    assert known is not None
    assert [column.type for column in known.columns] == ["number", "text", "boolean", "date"]
    assert not {fact.name for fact in context.facts.tables} & {"messages", "pipelines", "runs"}
    assert [(p.name, p.spec["nodes"][0]["block"]) for p in context.facts.pipelines] == [
        (mine, "sample_data")
    ]
    assert "drop_missing" in context.candidates
    # An answer is looked up, with the same rights.
    proposal = Proposal(action="answer", provenance=Provenance(planner="embedded"))
    outcome = check_and_repair(context, proposal, EmbeddedPlanner(load_registry()))
    assert isinstance(outcome, Answer)
    assert outcome.text
