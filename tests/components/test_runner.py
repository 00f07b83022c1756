from collections.abc import Mapping
from typing import Annotated, Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from pydantic import Field

from constellation_dagster.components.runner import (
    NodeEvent,
    NodeFailed,
    NodeSkipped,
    NodeStarted,
    NodeSucceeded,
    run_plan,
)
from constellation_dagster.domain.block import block
from constellation_dagster.domain.compiler import compile_pipeline
from constellation_dagster.domain.errors import BlockFailed
from constellation_dagster.domain.plan import OutputRef, Plan, PlanNode
from constellation_dagster.domain.ports import Metrics
from constellation_dagster.domain.registry import Registry
from constellation_dagster.domain.schemas import parse_pipeline
from tests.small_blocks import plan_of


def no_load(ref: OutputRef) -> Any:
    raise AssertionError(f"{ref} was loaded")


def lend_nothing(node: PlanNode) -> Mapping[str, Any]:
    return {}


def run_all(plan: Plan) -> list[NodeEvent]:
    return list(run_plan(plan, {node.id for node in plan.nodes}, no_load, lend_nothing))


def outcomes(events: list[NodeEvent]) -> dict[str, str]:
    return {
        event.node.id: type(event).__name__.removeprefix("Node").lower()
        for event in events
        if not isinstance(event, NodeStarted)
    }


def test_values_pass_from_node_to_node_and_lists_keep_the_order_of_edges() -> None:
    plan = plan_of(
        "p",
        {"load": "numbers", "halves": "halve", "back": "join"},
        "load.table > halves.table",
        "halves.second > back.tables",
        "halves.first > back.tables",
    )
    events = run_all(plan)
    last = events[-1]
    assert isinstance(last, NodeSucceeded)
    assert_frame_equal(last.values["table"], pl.DataFrame({"number": [2, 3, 0, 1]}))


def test_a_failed_node_withholds_its_descendants_and_nothing_else() -> None:
    plan = plan_of(
        "p",
        {"load": "numbers", "bad": "explode", "after": "count", "later": "count", "good": "count"},
        "load.table > bad.table",
        "bad.table > after.table",
        "load.table > good.table",
        "load.table > later.table",
    )
    events = run_all(plan)
    assert outcomes(events) == {
        "load": "succeeded",
        "bad": "failed",
        "after": "skipped",
        "good": "succeeded",
        "later": "succeeded",
    }
    skipped = next(event for event in events if isinstance(event, NodeSkipped))
    assert skipped.because == "bad"


def test_a_bug_keeps_its_traceback_and_a_mistake_has_none() -> None:
    plan = plan_of(
        "p",
        {"load": "numbers", "bug": "explode", "mistake": "refuse"},
        "load.table > bug.table",
        "load.table > mistake.table",
    )
    failed = {event.node.id: event for event in run_all(plan) if isinstance(event, NodeFailed)}
    assert failed["bug"].message == "ValueError: 4 rows are too many"
    assert "small_blocks.py" in (failed["bug"].traceback or "")
    assert failed["mistake"].message == "There is no column 'x' among ['number']. Choose another."
    assert failed["mistake"].traceback is None


def test_parents_that_are_not_selected_are_loaded_once_each() -> None:
    plan = plan_of(
        "p",
        {"load": "numbers", "one": "count", "two": "count"},
        "load.table > one.table",
        "load.table > two.table",
    )
    loaded: list[OutputRef] = []

    def load(ref: OutputRef) -> pl.DataFrame:
        loaded.append(ref)
        return pl.DataFrame({"number": [1]})

    events = list(run_plan(plan, {"one", "two"}, load, lend_nothing))
    assert outcomes(events) == {"one": "succeeded", "two": "succeeded"}
    assert loaded == [OutputRef("load", "table")]


@pytest.mark.parametrize(("error", "calls"), [(ValueError, 3), (BlockFailed, 1)])
def test_retries_are_for_accidents_not_for_mistakes(error: type[Exception], calls: int) -> None:
    called: list[int] = []

    @block(kind="source")
    def flaky(*, limit: Annotated[int, Field(description="Calls that fail.")] = 9) -> Metrics:
        """Fails a number of times."""
        called.append(limit)
        raise error("not yet")

    spec = {"name": "p", "nodes": [{"id": "a", "block": "flaky", "retries": 2}]}
    plan = compile_pipeline(parse_pipeline(spec), Registry.of([flaky]))
    assert outcomes(run_all(plan)) == {"a": "failed"}
    assert len(called) == calls
