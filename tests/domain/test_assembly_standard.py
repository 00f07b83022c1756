"""Steps put together of the blocks that are shipped: how a person would have wired them."""

from functools import lru_cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from constellation_dagster.domain.assembly import Assembly, assemble
from constellation_dagster.domain.errors import BlockDeclarationError
from constellation_dagster.domain.proposals import Edge, Step
from constellation_dagster.domain.registry import Registry, load_registry


@lru_cache(maxsize=1)
def shipped() -> Registry:
    registry = load_registry()
    if registry.failures:
        raise BlockDeclarationError(str(registry.failures))
    return registry


def made(*steps: str, given: tuple[Edge, ...] | None = None, **after: tuple[str, ...]) -> Assembly:
    """The assembly of steps that are written `block` or `block:id`."""
    parts = [step.partition(":") for step in steps]
    return assemble(
        "p",
        [
            Step(block=block, id=node or None, after=after.get(node or block, ()))
            for block, _, node in parts
        ],
        shipped(),
        edges=given,
    )


def edges(*steps: str, given: tuple[Edge, ...] | None = None, **after: tuple[str, ...]) -> set[str]:
    spec = made(*steps, given=given, **after).spec
    return {f"{edge['source']} {edge['target']}" for edge in spec["edges"]}


A, B = "read_csv:a", "read_csv:b"


def test_a_chain_is_a_chain() -> None:
    assert edges(A, "drop_missing", "filter_rows", "write_csv") == {
        "a.table drop_missing.table",
        "drop_missing.table filter_rows.table",
        "filter_rows.table write_csv.table",
    }


def test_what_only_looks_does_not_stand_between() -> None:
    assert edges(A, "chart", "write_image", "describe_table", "write_csv") == {
        "a.table chart.table",
        "chart.image write_image.image",
        "a.table describe_table.table",
        "describe_table.table write_csv.table",
    }


def test_a_join_takes_the_latest_open_ends_in_their_order() -> None:
    found = edges(A, "drop_missing", B, "filter_rows", "join_tables", "write_csv")
    assert {"drop_missing.table join_tables.left", "filter_rows.table join_tables.right"} <= found
    assert "join_tables.table write_csv.table" in found


def test_a_table_is_joined_with_figures_of_its_own() -> None:
    found = edges(A, "aggregate", "join_tables")
    assert {"a.table join_tables.left", "aggregate.table join_tables.right"} <= found


def test_one_table_is_not_joined_with_itself() -> None:
    found = made(A, "join_tables")
    assert [q.key for q in found.questions if q.node == "join_tables"] == ["right", "keys"]
    assert found.problems == ()


@pytest.mark.parametrize("train", ["train_classifier", "train_regressor"])
def test_a_split_feeds_learning_judging_and_predicting(train: str) -> None:
    assert edges(A, "split_rows", train, "evaluate_model", "predict", "write_csv") == {
        "a.table split_rows.table",
        f"split_rows.train {train}.table",
        f"{train}.model evaluate_model.model",
        "split_rows.test evaluate_model.table",
        f"{train}.model predict.model",
        "split_rows.test predict.table",
        "predict.table write_csv.table",
    }


def test_new_rows_are_predicted_where_there_are_some() -> None:
    found = edges(A, "train_classifier", B, "predict", "write_csv")
    assert {"train_classifier.model predict.model", "b.table predict.table"} <= found


def test_without_a_split_all_rows_are_predicted() -> None:
    assert "a.table predict.table" in edges(A, "train_classifier", "predict")


def test_groups_are_part_of_the_table_from_then_on() -> None:
    found = edges(A, "train_clusterer", "chart", "write_csv")
    assert {"train_clusterer.table chart.table", "train_clusterer.table write_csv.table"} <= found


@pytest.mark.parametrize(
    ("judge", "sink", "port"),
    [("cross_validate", "write_csv", "table"), ("cross_validate", "html_report", "sections")],
)
def test_figures_are_written_as_a_table(judge: str, sink: str, port: str) -> None:
    found = made(A, judge, sink)
    ids = [node["id"] for node in found.spec["nodes"]]
    assert ids == ["a", judge, "metrics_table", sink]
    written = {"source": "metrics_table.table", "target": f"{sink}.{port}"}
    assert written in found.spec["edges"]


def test_the_bridge_is_no_second_step_of_its_own() -> None:
    names = [n["id"] for n in made(A, "cross_validate", "metrics_table", "write_csv").spec["nodes"]]
    assert names == ["a", "cross_validate", "metrics_table", "write_csv"]


def test_a_report_takes_what_was_found_out() -> None:
    found = edges(A, "split_rows", "train_classifier", "evaluate_model", "chart", "html_report")
    assert {
        "evaluate_model.confusion html_report.sections",
        "evaluate_model.metrics html_report.metrics",
        "chart.image html_report.images",
    } <= found


def test_an_optional_input_is_not_filled_with_what_was_used() -> None:
    found = edges("read_image", "image_statistics", "html_report")
    assert found == {
        "read_image.image image_statistics.image",
        "image_statistics.table html_report.sections",
    }


def test_given_edges_stand_and_the_rest_is_found() -> None:
    given = (Edge(source="b.table", target="join_tables.left"),)
    found = edges(A, B, "join_tables", "write_csv", given=given)
    assert found == {
        "b.table join_tables.left",
        "a.table join_tables.right",
        "join_tables.table write_csv.table",
    }


def test_a_given_edge_may_leave_out_its_port() -> None:
    given = (Edge(source="a", target="sort_rows"),)
    found = made(A, B, "sort_rows", given=given)
    assert [edge["target"] for edge in found.spec["edges"]] == ["sort_rows"]


def test_after_says_where_from() -> None:
    found = edges(A, "filter_rows:f", "sort_rows:s", "write_csv:w", s=("a",), w=("f",))
    assert found == {"a.table f.table", "a.table s.table", "f.table w.table"}


def test_what_nothing_uses_is_asked_about() -> None:
    questions = made(A, B, "write_csv").questions
    assert [(q.node, "Nothing uses" in q.text) for q in questions if q.key is None] == [("a", True)]


STRUCTURE = {
    "cycle",
    "double_edge",
    "duplicate_node",
    "malformed_edge",
    "missing_input",
    "self_loop",
    "too_many_edges",
    "unknown_node",
    "unknown_port",
    "wrong_type",
}


@settings(deadline=None, max_examples=200)
@given(st.lists(st.sampled_from(shipped().names), min_size=1, max_size=9))
def test_whatever_the_steps_the_wiring_is_right(names: list[str]) -> None:
    found = made(*names)
    assert not {problem.code for problem in found.problems} & STRUCTURE, found
    blocks = {node["id"]: shipped().get(node["block"]) for node in found.spec["nodes"]}
    for edge in found.spec["edges"]:
        source, _, output = edge["source"].partition(".")
        target, _, port = edge["target"].partition(".")
        give, take = blocks[source].output(output), blocks[target].input(port)
        assert give is not None
        assert take is not None
        assert give.type is take.type
    assert not found.problems or found.questions, found
