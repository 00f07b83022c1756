"""Steps put together: edges fit by type, and what is open is told."""

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import JsonValue

from constellation_dagster.domain.assembly import assemble
from constellation_dagster.domain.proposals import Step
from tests.domain.example_blocks import EXAMPLES

CONFIG: dict[str, dict[str, JsonValue]] = {"load": {"url": "a.csv"}}


def edges(*names: str) -> set[tuple[str, str]]:
    made = assemble("p", [Step(block=n, config=CONFIG.get(n, {})) for n in names], EXAMPLES)
    assert (made.problems, made.questions) == ((), ())
    return {(edge["source"], edge["target"]) for edge in made.spec["edges"]}


def test_a_model_learns_from_train_and_is_judged_by_test() -> None:
    assert edges("load", "split", "train", "evaluate") == {
        ("load.table", "split.table"),
        ("split.train", "train.table"),
        ("train.model", "evaluate.model"),
        ("split.test", "evaluate.table"),
    }


def test_a_list_takes_all_open_ends() -> None:
    assert edges("load", "clean", "load", "concat") == {
        ("load.table", "clean.table"),
        ("clean.table", "concat.tables"),
        ("load_2.table", "concat.tables"),
    }


def test_what_is_missing_is_asked_for() -> None:
    made = assemble("p", [Step(block="load"), Step(block="evaluate")], EXAMPLES)
    assert {(q.node, q.key) for q in made.questions} >= {("load", "url"), ("evaluate", "model")}
    assert made.problems == ()


@settings(deadline=None, max_examples=150)
@given(st.lists(st.sampled_from(EXAMPLES.names), min_size=1, max_size=9))
def test_never_an_edge_of_the_wrong_type(names: list[str]) -> None:
    made = assemble("p", [Step(block=n, config=CONFIG.get(n, {})) for n in names], EXAMPLES)
    codes = {p.code for p in made.problems}
    assert not codes & {"wrong_type", "self_loop", "double_edge", "cycle", "too_many_edges"}, made
    assert not made.problems or made.questions, made
