"""The judge: what it takes for right, and what not."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import pytest

from constellation_dagster.agent.turns import Answer
from constellation_dagster.domain.conversations import DraftProposal, Provenance, Question
from constellation_dagster.domain.errors import Problem
from tests.agent.cases import Accepted, Case
from tests.agent.judge import judge, mismatch, same

MADE = Provenance(planner="embedded")
LOAD = {"id": "load", "block": "read_csv", "config": {"url": "a.csv"}}
KEEP = {"id": "keep", "block": "filter_rows@1", "config": {"where": "price>1"}}
SAVE = {"id": "save", "block": "write_csv", "config": {"url": "b.csv"}}
CHAIN = Accepted(
    blocks=("read_csv", "filter_rows", "write_csv"),
    config={"filter_rows.where": "price > 1", "write_csv.url": "b.csv"},
)


def draft(*nodes: Mapping[str, Any], questions: tuple[Question, ...] = (), **spec: Any) -> Any:
    edges = [
        {"source": f"{first['id']}.table", "target": f"{second['id']}.table"}
        for first, second in pairwise(nodes)
    ]
    whole = {"name": "p", "nodes": list(nodes), "edges": edges, "schedule": None, **spec}
    return DraftProposal(spec=whole, questions=questions, provenance=MADE)


def case(**wanted: Any) -> Case:
    return Case(id="a", field="tables", request="Do it", **wanted)


def test_the_accepted_pipeline_is_right() -> None:
    found = judge(case(accept=(CHAIN,)), draft(LOAD, KEEP, SAVE))
    assert (found.got, found.right, found.type_correct) == ("draft", True, True)


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (draft(LOAD, SAVE), "blocks: filter_rows missing"),
        (draft(LOAD, KEEP, SAVE, {**SAVE, "id": "again"}), "write_csv too many"),
        (draft(LOAD, SAVE, KEEP), "order: write_csv before filter_rows"),
        (draft(LOAD, {**KEEP, "config": {"where": "price < 1"}}, SAVE), "filter_rows.where"),
        (draft(LOAD, KEEP, {**SAVE, "config": {}}), "write_csv.url"),
        (draft(LOAD, KEEP, SAVE, questions=(Question(node="save", key="url", text="?"),)), "quest"),
        (draft(LOAD, KEEP, SAVE, schedule={"cron": "0 6 * * *"}), "schedule"),
    ],
)
def test_another_pipeline_is_not(made: DraftProposal, why: str) -> None:
    found = judge(case(accept=(CHAIN,)), made)
    assert not found.right
    assert why in found.why


def test_any_of_several_is_right_and_what_may_be_there_does_no_harm() -> None:
    short = Accepted(blocks=("read_csv",), may=("write_csv",))
    assert judge(case(accept=(CHAIN, short)), draft(LOAD, SAVE)).right


def test_a_question_that_the_request_leaves_open_is_right() -> None:
    made = draft(LOAD, questions=(Question(node="load", key="separator", text="?"),))
    left_open = Accepted(blocks=("read_csv",), open=("read_csv.separator",))
    assert judge(case(accept=(left_open,)), made).right
    assert judge(case(ask=True), made).got == "ask"


def test_without_order_only_the_blocks_count() -> None:
    loose = CHAIN.model_copy(update={"unordered": True})
    assert mismatch(draft(LOAD, SAVE, KEEP), loose) is None


def test_schedules() -> None:
    daily = Accepted(blocks=("read_csv",), schedule=("0 6 * * *", "0 6 * * 0-6"))
    assert mismatch(draft(LOAD, schedule={"cron": "0 6 * * *"}), daily) is None
    assert mismatch(draft(LOAD), daily) is not None


def test_a_draft_with_problems_is_not_type_correct() -> None:
    made = draft(LOAD).model_copy(update={"problems": (Problem(code="x", message="Wrong."),)})
    found = judge(case(ask=True), made)
    assert (found.right, found.type_correct) == (False, False)


@pytest.mark.parametrize(
    ("action", "wanted"), [("ask", "ask"), ("refuse", "refuse"), ("answer", "answer")]
)
def test_words(action: Any, wanted: str) -> None:
    answer = Answer(action=action, text="So.", provenance=MADE)
    assert judge(case(**{wanted: True}), answer).right
    for other in {"ask", "refuse", "answer"} - {wanted}:
        assert not judge(case(**{other: True}), answer).right
    assert not judge(case(accept=(CHAIN,)), answer).right


@pytest.mark.parametrize(
    ("setting", "value", "wanted"),
    [
        ("by", ["a", "b"], ["b", "a"]),
        ("by", "a", ["a"]),
        ("kind", "bar", {"one_of": ["line", "bar"]}),
        ("aggregates", {"mean_price": "mean(price)"}, {"x": "mean( price )"}),
        ("where", "a=='x'", 'a == "x"'),
        ("expression", "a*b", "a * b"),
        ("fraction", 0.1, 0.1),
    ],
)
def test_equal_settings(setting: str, value: object, wanted: object) -> None:
    assert same(setting, value, wanted)


def test_unequal_settings() -> None:
    assert not same("by", ["a"], ["a", "b"])
    assert not same("names", {"a": "b"}, {"a": "c"})
    assert not same("where", None, "a > 1")
    assert not same("where", "a >", "a > 1")
