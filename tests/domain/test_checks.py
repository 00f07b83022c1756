"""What is true of every good value."""

import math
from typing import Any

import numpy as np
import PIL.Image
import polars as pl
import pytest

from constellation_dagster.domain.checks import check_value
from constellation_dagster.domain.ports import Port, PortType
from constellation_dagster.domain.states import (
    PIPELINE_TRANSITIONS,
    RUN_TRANSITIONS,
    PipelineStatus,
    RunStatus,
    may_follow,
)
from constellation_dagster.domain.values import File, Model


class Predictor:
    def predict(self) -> None: ...


@pytest.mark.parametrize(
    ("kind", "value", "passed", "description"),
    [
        ("Table", pl.DataFrame({"a": [1, None]}), True, "2 rows, 1 columns."),
        ("Table", pl.DataFrame({"a": []}), False, "The table has no rows."),
        ("Table", pl.DataFrame(), False, "The table has no columns."),
        ("Table", pl.DataFrame({" ": [1]}), False, "1 column(s) have a blank name."),
        ("Table", pl.DataFrame({"a": [1], "A ": [1]}), False, "'a' and 'A ' have the same name."),
        ("Array", np.ones((2, 3)), True, "An array of 2 x 3."),
        ("Array", np.array(1.0), True, "An array of one number."),
        ("Array", np.ones((0, 3)), False, "The array is empty."),
        ("Image", PIL.Image.new("RGB", (3, 2)), True, "3 x 2 pixels."),
        ("Image", PIL.Image.new("RGB", (0, 2)), False, "The image has no pixels."),
        ("Model", Model(Predictor(), ("a",), "y", "regression"), True, "Predicts 'y'."),
        ("Model", Model(None, ("a",), "y", "regression"), False, "a NoneType, cannot predict."),
        ("Model", Model(Predictor(), (), "y", "regression"), False, "reads no features."),
        ("Metrics", {"a": 1.0}, True, "1 finite number(s)."),
        ("Metrics", {"a": math.nan, "b": math.inf, "c": 1}, False, "finite number: 'a' and 'b'."),
        ("Metrics", {}, False, "There are no metrics."),
        ("Text", "a", True, "1 characters."),
        ("Text", " \n", False, "The text is blank."),
        ("Json", {"a": 1}, True, "A JSON object."),
        ("Json", False, True, "A JSON boolean."),
        ("Json", None, False, "The value is null."),
        ("File", File("a", 3, "x"), True, "3 bytes."),
        ("File", File("a", 0, "x"), False, "The file 'a' is empty."),
    ],
)
def test_checks(kind: str, value: Any, passed: bool, description: str) -> None:
    outcome = check_value(Port(name="x", type=PortType(kind)), value)
    assert (outcome.passed, outcome.description[-len(description) :]) == (passed, description)
    assert all(type(item) in (int, float, str) for item in outcome.values.values())


def test_a_table_tells_its_missing_values() -> None:
    port = Port(name="table", type=PortType.TABLE)
    outcome = check_value(port, pl.DataFrame({"a": [1, None], "b": [None, None]}))
    assert outcome.values == {"rows": 2, "columns": 2, "missing values": 3}


def test_statuses_move_forward_only() -> None:
    assert set(PIPELINE_TRANSITIONS) == set(PipelineStatus)
    assert set(RUN_TRANSITIONS) == set(RunStatus)
    final = {status for status, following in RUN_TRANSITIONS.items() if not following}
    assert final == {RunStatus.SUCCEEDED, RunStatus.FAILED, RunStatus.CANCELLED}
    assert may_follow(RUN_TRANSITIONS, RunStatus.REQUESTED, RunStatus.RUNNING)
    assert may_follow(RUN_TRANSITIONS, RunStatus.FAILED, RunStatus.FAILED)
    assert not may_follow(RUN_TRANSITIONS, RunStatus.RUNNING, RunStatus.STARTING)
    assert not may_follow(RUN_TRANSITIONS, RunStatus.FAILED, RunStatus.SUCCEEDED)
    assert not may_follow(PIPELINE_TRANSITIONS, PipelineStatus.DRAFT, PipelineStatus.PUBLISHED)
