"""What a small model really answered to some of the cases, and what comes of it.

The recordings are of Qwen2.5-Coder-1.5B-Instruct behind llama.cpp's server.
"""

from collections.abc import Iterator

import pytest

from constellation_dagster.agent.turns import plan
from constellation_dagster.domain.conversations import DraftProposal
from tests.agent.cases import context_of, load_cases
from tests.agent.judge import judge
from tests.agent.model_turns import Kept, planner, turn
from tests.agent.openai_server import OpenAIServer, openai_server, recording


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with openai_server() as player:
        yield player


@pytest.mark.parametrize(
    ("case_id", "name"),
    [
        ("sales-north-csv", "good"),
        ("daily-six", "timed"),
        ("edit-also-parquet", "half_an_edit"),
        ("ask-which-file", "invented"),
        ("refuse-flight", "declined"),
    ],
)
def test_a_recorded_answer_comes_to_what_is_right(
    server: OpenAIServer, case_id: str, name: str
) -> None:
    server.play(recording(name))
    case = next(case for case in load_cases() if case.id == case_id)
    kept = Kept()
    outcome = turn(server, context_of(case), kept)
    assert judge(case, outcome).right
    assert len(server.requests) == 1
    assert (outcome.provenance.planner, outcome.provenance.note) == ("model", None)
    assert kept.rows[0][3]["model"] == "qwen2.5-coder-1.5b"


def test_what_is_asked_about_rows_is_looked_up(server: OpenAIServer) -> None:
    server.play(recording("looked_up"))
    case = next(case for case in load_cases() if case.id == "answer-run-failed")
    proposal = plan(context_of(case), planner(server))
    assert (proposal.action, proposal.text) == ("answer", "")


def test_what_a_model_made_up_is_in_no_draft(server: OpenAIServer) -> None:
    """It was asked to "train a classifier", no more, and named a file and a column."""
    server.play(recording("invented"))
    case = next(case for case in load_cases() if case.id == "ask-which-file")
    kept = Kept()
    outcome = turn(server, context_of(case), kept)
    assert "flowers.csv" in kept.rows[0][3]["content"]
    assert isinstance(outcome, DraftProposal)
    assert "flowers.csv" not in str(outcome.spec)
    assert {(q.node, q.key) for q in outcome.questions} >= {
        ("read_csv", "url"),
        ("train_classifier", "target"),
    }
