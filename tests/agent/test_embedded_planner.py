"""The embedded planner on requests as people write them."""

from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from constellation_dagster.agent.context import Context
from constellation_dagster.agent.embedded import EmbeddedPlanner
from constellation_dagster.agent.turns import check_and_repair
from constellation_dagster.domain.assembly import Assembly, assemble
from constellation_dagster.domain.conversations import (
    ChatMessage,
    DraftProposal,
    DraftRow,
    Provenance,
    Thread,
)
from constellation_dagster.domain.facts import ColumnFact, Facts, FileFact, TableFact
from constellation_dagster.domain.proposals import Proposal
from constellation_dagster.domain.registry import load_registry

REQUESTS = cast(
    "list[dict[str, Any]]",
    yaml.safe_load((Path(__file__).parent / "embedded_requests.yaml").read_text("utf-8")),
)
REGISTRY = load_registry()
PLANNER = EmbeddedPlanner(REGISTRY)
PENGUINS = (
    "load penguins.csv, drop incomplete rows, train a random forest on species, evaluate it and "
    "chart body_mass_g by species as a bar chart"
)


def columns(**types: str) -> tuple[ColumnFact, ...]:
    """Columns by name, each with its type and a sample: `number 1`."""
    told = {name: text.partition(" ") for name, text in types.items()}
    return tuple(
        ColumnFact.model_validate({"name": name, "type": parts[0], "samples": (parts[2],)})
        for name, parts in told.items()
    )


def table(path: str, **types: str) -> FileFact:
    """A file with columns."""
    return FileFact(path=path, kind="table", columns=columns(**types))


FACTS = Facts(
    files=(
        table(
            "sales.csv",
            order_date="date 2026-01-01",
            region="text North",
            product="text Lamp",
            price="number 2.5",
            quantity="number 3",
            churn="text yes",
        ),
        table(
            "data/customers.parquet",
            customer_id="number 1",
            name="text Ann",
            age="number 31",
            city="text Bonn",
        ),
        table(
            "penguins.csv",
            species="text Adelie",
            island="text Biscoe",
            body_mass_g="number 3750",
            flipper_length_mm="number 181",
        ),
        table("guesses.csv", species="text Adelie", guess="text Adelie"),
        table("orders.csv", order_id="number 1", customer_id="number 1", amount="number 9.5"),
        table("events.json", user="text ann", duration="text 12"),
        FileFact(path="scene.tif", kind="image"),
        FileFact(path="notes.txt", kind="text"),
    ),
    tables=(
        TableFact(name="measurements", columns=columns(station="text A", temperature="number 1")),
        *(TableFact(name=name) for name in ("frost", "items", "live_scores", "scores")),
        TableFact(name="station_means"),
    ),
    deployments=("churn_scorer",),
)


def context(text: str, draft: DraftRow | None = None) -> Context:
    """A conversation in which this was said last."""
    thread = Thread(
        message_id=uuid4(),
        conversation_id=uuid4(),
        owner=uuid4(),
        messages=(ChatMessage(role="user", content=text),),
        last_draft=draft,
    )
    return Context(thread=thread, facts=FACTS)


def put_together(proposal: Proposal) -> Assembly:
    """The pipeline of a proposal."""
    return assemble(
        proposal.name or "pipeline",
        proposal.steps,
        REGISTRY,
        edges=proposal.edges,
        schedule=proposal.schedule,
    )


def draft_of(text: str) -> DraftRow:
    """The draft that a first message led to."""
    assembly = put_together(PLANNER.plan(context(text)))
    return DraftRow(
        id=uuid4(),
        conversation_id=uuid4(),
        message_id=uuid4(),
        owner=uuid4(),
        name=assembly.spec["name"],
        spec=assembly.spec,
        questions=assembly.questions,
        provenance=Provenance(planner="embedded"),
        status="incomplete" if assembly.questions else "ready",
        created_at="2026-01-01T00:00:00Z",
    )


def blocks(proposal: Proposal) -> list[str]:
    """The blocks of a proposal's steps."""
    return [step.block for step in proposal.steps]


def config_of(proposal: Proposal, block: str) -> dict[str, Any]:
    """The configuration of the one step of a block."""
    (found,) = [step.config for step in proposal.steps if step.block == block]
    return dict(found)


def shortcoming(case: dict[str, Any]) -> str:
    """What is wrong with what comes of a request; nothing if it is right."""
    draft = draft_of(case["after"]) if "after" in case else None
    said = context(case["say"], draft)
    proposal = PLANNER.plan(said)
    outcome = check_and_repair(said, proposal, PLANNER, REGISTRY) if proposal.steps else None
    problems = outcome.problems if isinstance(outcome, DraftProposal) else ()
    if problems:
        return "; ".join(str(problem) for problem in problems)
    questions = outcome.questions if outcome is not None else ()
    asked = {question.key for question in questions}
    if case.get("held"):
        is_held = proposal.action in ("ask", "refuse") or asked
        return "" if is_held else f"{blocks(proposal)} instead of a question"
    wanted = case.get("action", "edit" if draft else "build")
    if proposal.action != wanted or ("chains" not in case and proposal.steps):
        return f"{proposal.action} {blocks(proposal)} instead of {wanted}"
    return wrong_step(case, proposal, asked) if "chains" in case else ""


def wrong_step(case: dict[str, Any], proposal: Proposal, asked: set[str | None]) -> str:
    """What is wrong with the steps of a proposal, their configuration and its questions."""
    if blocks(proposal) not in [chain.split() for chain in case["chains"]]:
        return f"{blocks(proposal)} instead of {case['chains']}"
    for block, keys in case.get("config", {}).items():
        config = config_of(proposal, block)
        if (got := {key: config.get(key) for key in keys}) != keys:
            return f"{block}: {got} instead of {keys}"
    cron = proposal.schedule.cron if proposal.schedule else None
    if cron != case.get("cron"):
        return f"the schedule {cron} instead of {case.get('cron')}"
    is_asked = case["asks"] in asked if "asks" in case else not asked
    return "" if is_asked else f"asks for {asked} instead of {case.get('asks')}"


@pytest.mark.parametrize("case", REQUESTS, ids=[str(case["say"])[:50] for case in REQUESTS])
def test_what_people_ask_for(case: dict[str, Any]) -> None:
    assert shortcoming(case) == ""


@pytest.mark.parametrize(
    ("said", "added", "gone"),
    [
        ("also write it to clean.parquet", ["write_parquet"], []),
        ("also write it to Parquet", ["write_parquet"], []),
        ("remove the chart", [], ["chart"]),
        ("also drop duplicates", ["deduplicate"], []),
        ("keep only rows where the island is Biscoe", ["filter_rows"], []),
    ],
)
def test_an_edit_keeps_the_rest(said: str, added: list[str], gone: list[str]) -> None:
    draft = draft_of(PENGUINS)
    before = [node["block"] for node in draft.spec["nodes"]]
    proposal = PLANNER.plan(context(said, draft))
    assert proposal.action == "edit"
    assert proposal.base == draft.name
    assert sorted(blocks(proposal)) == sorted([*(b for b in before if b not in gone), *added])
    assert put_together(proposal).problems == ()


def test_an_edit_changes_what_a_step_does() -> None:
    draft = draft_of(PENGUINS)
    proposal = PLANNER.plan(context("make the chart a scatter plot instead", draft))
    assert config_of(proposal, "chart")["kind"] == "scatter"
    scheduled = PLANNER.plan(context("run it every monday at 7:30", draft))
    assert scheduled.schedule is not None
    assert scheduled.schedule.cron == "30 7 * * 1"


def test_a_regressor_takes_another_number_of_trees() -> None:
    draft = draft_of("train a random forest on penguins.csv to predict body_mass_g")
    proposal = PLANNER.plan(context("use 500 trees instead", draft))
    assert config_of(proposal, "train_regressor")["trees"] == 500


def test_an_answer_fills_in_what_was_asked() -> None:
    draft = draft_of("convert sales.csv to parquet")
    proposal = PLANNER.plan(context("out.parquet", draft))
    assert proposal.action == "edit"
    assert config_of(proposal, "write_parquet") == {"url": "out.parquet"}


def test_what_is_not_understood_of_an_edit_is_asked() -> None:
    assert PLANNER.plan(context("hmm, nicer", draft_of(PENGUINS))).action == "ask"


def test_a_repair_gives_the_same_proposal() -> None:
    said = context(PENGUINS)
    proposal = PLANNER.plan(said)
    assert PLANNER.repair(said, proposal, ()) is proposal


@settings(max_examples=40)
@given(st.text(max_size=200))
def test_any_text_has_a_proposal(text: str) -> None:
    proposal = PLANNER.plan(context(text or " "))
    assert proposal.action in ("build", "answer", "refuse", "ask")


WORDS = sorted({word for case in REQUESTS for word in str(case["say"]).split()})


@settings(max_examples=40)
@given(st.lists(st.sampled_from(WORDS), min_size=1, max_size=25))
def test_a_jumble_of_words_never_leads_to_a_pipeline_with_problems(words: list[str]) -> None:
    proposal = PLANNER.plan(context(" ".join(words)))
    if proposal.steps:
        assert put_together(proposal).problems == ()


def test_what_no_setting_is_for_is_said() -> None:
    proposal = PLANNER.plan(
        context("train a random forest with 500 trees on species, penguins.csv")
    )
    assert blocks(proposal) == ["read_csv", "train_classifier"]
    assert proposal.provenance is not None
    assert "500 trees" in (proposal.provenance.note or "")


@pytest.mark.parametrize(
    "said",
    [
        "delete all my files",
        "wipe the database",
        "cut the video holiday.mp4",
        "what's the weather?",
    ],
)
def test_what_no_pipeline_does_is_refused_with_what_can_be_done(said: str) -> None:
    proposal = PLANNER.plan(context(said))
    assert proposal.action == "refuse"
    assert "read" in proposal.text


def test_the_columns_of_public_data_are_known_beside_files_with_others() -> None:
    request = "Load the penguins sample data and keep only the columns species and island."
    proposal = PLANNER.plan(context(request))
    assert blocks(proposal) == ["sample_data", "select_columns"]
    assert config_of(proposal, "select_columns")["columns"] == ["species", "island"]


@pytest.mark.parametrize(
    ("said", "block"),
    [
        ("Learn to predict price from quantity in sales.csv", "train_regressor"),
        ("learn to classify churn in sales.csv", "train_classifier"),
    ],
)
def test_the_type_of_what_is_predicted_says_which_model(said: str, block: str) -> None:
    assert block in blocks(PLANNER.plan(context(said)))
