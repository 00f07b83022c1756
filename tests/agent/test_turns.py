"""A turn from message to draft, with planners that say what they are told to."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

from constellation_dagster.agent.context import Context
from constellation_dagster.agent.turns import Answer, check_and_repair, plan, word_reply
from constellation_dagster.domain.conversations import (
    ChatMessage,
    DraftProposal,
    Provenance,
    Question,
    Thread,
)
from constellation_dagster.domain.errors import Problem
from constellation_dagster.domain.facts import ColumnFact, Facts, FileFact, PipelineFact
from constellation_dagster.domain.proposals import Proposal, Step
from constellation_dagster.domain.registry import load_registry
from constellation_dagster.domain.samples import (
    SampleColumn,
    SampleOutput,
    SampleProblem,
    SampleResult,
)

PIPELINE = UUID("11111111-1111-1111-1111-111111111111")
READ = Step(block="read_csv", config={"url": "houses.csv"})
WRITE = Step(block="write_csv", config={"url": "out.csv"})


class Planner:
    """Proposes one thing after another."""

    def __init__(self, *proposals: Proposal) -> None:
        self.left = list(proposals)
        self.told: list[list[str]] = []

    def plan(self, context: Context) -> Proposal:
        assert context.request
        return self.left.pop(0)

    def repair(self, context: Context, proposal: Proposal, problems: Sequence[Problem]) -> Proposal:
        assert context.request
        self.told.append([problem.code for problem in problems])
        return self.left.pop(0) if self.left else proposal


def context(*pipelines: PipelineFact) -> Context:
    thread = Thread(
        message_id=uuid4(),
        conversation_id=uuid4(),
        owner=uuid4(),
        messages=(ChatMessage(role="user", content="Sort the houses."),),
    )
    houses = FileFact(path="houses.csv", kind="table", columns=(ColumnFact(name="price"),))
    return Context(thread=thread, facts=Facts(files=(houses,), pipelines=pipelines))


def build(*steps: Step, **more: Any) -> Proposal:
    return Proposal(action="build", name="Houses", steps=steps, **more)


def turn(planner: Planner, given: Context | None = None) -> DraftProposal | Answer:
    """All of it, with everything as JSON in between, as it may be between processes."""
    given = Context.model_validate_json((given or context()).model_dump_json())
    proposal = Proposal.model_validate_json(plan(given, planner).model_dump_json())
    outcome = check_and_repair(given, proposal, planner, load_registry())
    return type(outcome).model_validate_json(outcome.model_dump_json())


def draft(planner: Planner, given: Context | None = None) -> DraftProposal:
    outcome = turn(planner, given)
    assert isinstance(outcome, DraftProposal)
    return outcome


def sort(column: str) -> Step:
    return Step(block="sort_rows", config={"by": [column]})


def test_a_good_proposal_is_a_draft_at_once() -> None:
    planner = Planner(build(READ, sort("price"), WRITE))
    made = draft(planner)
    assert made.ready
    assert planner.told == []
    assert made.spec["name"] == "houses"
    assert [e["target"] for e in made.spec["edges"]] == ["sort_rows.table", "write_csv.table"]
    assert made.provenance.request == "Sort the houses."
    reply = word_reply(context(), made)
    assert "1. **read_csv**" in reply
    assert "Approve" in reply


def test_what_is_wrong_is_repaired() -> None:
    planner = Planner(
        build(READ, sort("prize")), build(READ, Step(block="srt")), build(READ, WRITE)
    )
    made = draft(planner)
    assert planner.told == [["unknown_column"], ["unknown_block"]]
    assert (made.ready, made.provenance.rounds) == (True, 3)


def test_it_is_repaired_twice_at_most() -> None:
    planner = Planner(*(build(READ, sort(f"prize_{number}")) for number in range(9)))
    made = draft(planner)
    assert len(planner.told) == 2
    assert [(q.node, q.key, q.options) for q in made.questions] == [("sort_rows", "by", ("price",))]
    assert not made.ready
    assert "`price`" in word_reply(context(), made)


def test_a_planner_that_cannot_repair_is_asked_once() -> None:
    planner = Planner(build(READ, Step(block="srt")))
    made = draft(planner)
    assert len(planner.told) == 1
    assert [problem.code for problem in made.problems] == ["unknown_block"]
    assert "wrong" in word_reply(context(), made)


def test_a_question_needs_no_repair() -> None:
    question = Question(node="sort_rows", key="by", text="Sort by which column?")
    planner = Planner(build(READ, Step(block="sort_rows"), questions=(question,)))
    made = draft(planner)
    assert planner.told == []
    assert [q.text for q in made.questions] == ["Sort by which column?"]


def test_words_stay_words() -> None:
    note = Provenance(planner="embedded", note="The language model does not answer.")
    planner = Planner(Proposal(action="refuse", text="I book no flights.", provenance=note))
    outcome = turn(planner)
    assert isinstance(outcome, Answer)
    reply = word_reply(context(), outcome)
    assert reply == "The language model does not answer.\n\nI book no flights."
    assert outcome.provenance.request == "Sort the houses."


def test_nothing_at_all_is_answered_too() -> None:
    assert "I cannot" in word_reply(context(), turn(Planner(build())))


def stored() -> PipelineFact:
    nodes = [
        {"id": "load", "block": "read_csv", "config": {"url": "houses.csv"}, "retries": 2},
        {"id": "save", "block": "write_csv", "config": {"url": "out.csv"}, "retries": 0},
    ]
    spec = {
        "name": "houses",
        "description": "Old houses.",
        "nodes": nodes,
        "edges": [{"source": "load.table", "target": "save.table"}],
        "schedule": None,
        "tags": {"team": "sales"},
    }
    return PipelineFact(name="houses", id=str(PIPELINE), spec=spec, status="published")


def test_a_new_pipeline_takes_nobodys_name() -> None:
    made = draft(Planner(build(READ, WRITE)), context(stored()))
    assert (made.spec["name"], made.pipeline_id) == ("houses_2", None)


def test_an_edit_keeps_what_it_does_not_change() -> None:
    load = READ.model_copy(update={"id": "load"})
    save = WRITE.model_copy(update={"id": "save"})
    steps = (load, sort("price"), save)
    made = draft(Planner(Proposal(action="edit", base="houses", steps=steps)), context(stored()))
    assert made.pipeline_id == PIPELINE
    assert made.ready
    assert made.spec["description"] == "Old houses."
    assert made.spec["tags"] == {"team": "sales"}
    assert [node.get("retries", 0) for node in made.spec["nodes"]] == [2, 0, 0]
    assert "a change of the pipeline `houses`" in word_reply(context(stored()), made)


def sampled(result: SampleResult) -> str:
    """The reply to a good draft that was run on a sample."""
    made = draft(Planner(build(READ, sort("price"), WRITE)))
    return word_reply(context(), made.model_copy(update={"sample": result.as_json()}))


def test_the_reply_tells_what_a_sample_gave() -> None:
    names = [SampleColumn(name=f"c{number}", type="Int64") for number in range(9)]
    outputs = {
        "read_csv.table": SampleOutput(type="Table", rows=200, columns=tuple(names[:1])),
        "sort_rows.table": SampleOutput(type="Table", rows=1, columns=tuple(names)),
        "draw.image": SampleOutput(type="Image", shape=(2, 3)),
    }
    reply = sampled(SampleResult(ok=True, outputs=outputs))
    assert "`sort_rows.table` has 1 row of `c0`, `c1`," in reply
    assert "`c7`, 1 more." in reply
    reply = sampled(SampleResult(ok=True, outputs={"draw.image": outputs["draw.image"]}))
    assert "it gave `draw.image`." in reply


def test_the_reply_tells_what_failed_on_a_sample() -> None:
    problem = SampleProblem(node="sort_rows", message="There is no column 'prize'.")
    reply = sampled(SampleResult(ok=False, problems=(problem,)))
    assert "it failed: node 'sort_rows': There is no column 'prize'." in reply
    assert "Approve" in reply
