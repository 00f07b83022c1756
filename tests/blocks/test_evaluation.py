"""Blocks that judge a way to learn, and tell what a model goes by."""

from typing import Any

import polars as pl
import pytest

from constellation_dagster.blocks.evaluation import (
    cross_validate,
    feature_importance,
    metrics_table,
)
from constellation_dagster.blocks.models import train_classifier
from constellation_dagster.blocks.regressors import train_regressor
from constellation_dagster.blocks.sources import sample_data
from constellation_dagster.domain.errors import BlockFailed

IRIS = sample_data(name="iris")
PLANE = pl.DataFrame({"x": range(30), "noise": [3, 1, 2] * 10}).with_columns(
    (pl.col("x") * 2).alias("y")
)


def test_classes_are_cross_validated() -> None:
    metrics = cross_validate(IRIS, target="target", folds=3)
    assert metrics["accuracy"] > 0.93
    assert 0 <= metrics["accuracy_std"] < 0.05
    assert (metrics["rows"], metrics["folds"]) == (150, 3)
    assert metrics == cross_validate(IRIS, target="target", folds=3)
    assert metrics != cross_validate(IRIS, target="target", folds=3, seed=1)


def test_numbers_are_cross_validated() -> None:
    assert cross_validate(PLANE, target="y")["r2"] == pytest.approx(1)
    assert "accuracy" in cross_validate(PLANE, target="noise")
    assert "r2" in cross_validate(PLANE, target="noise", task="regression")
    forest = cross_validate(PLANE, target="y", algorithm="random_forest", features=["x"], folds=2)
    assert forest["r2"] > 0.9


@pytest.mark.parametrize(
    ("table", "config", "message"),
    [
        (IRIS, {"target": "goal"}, "target: the table does not have a column 'goal'"),
        (IRIS.head(3), {"target": "target"}, "3 row.* do not make 5 parts"),
        (IRIS.head(52), {"target": "target"}, "'versicolor' is in column 'target' 2 time"),
        (IRIS.head(20), {"target": "target"}, "has 1 class"),
        (IRIS, {"target": "target", "task": "regression"}, "has no numbers"),
        (
            IRIS,
            {"target": "petal_width_cm", "task": "classification"},
            "numbers with decimals, which are no classes",
        ),
    ],
)
def test_mistakes(table: pl.DataFrame, config: dict[str, Any], message: str) -> None:
    with pytest.raises(BlockFailed, match=message):
        cross_validate(table, **config)


def test_what_a_model_goes_by() -> None:
    model = train_regressor(PLANE, target="y")
    table = feature_importance(model, PLANE)
    assert table["feature"].to_list() == ["x", "noise"]
    assert table["importance"][0] > 1
    assert table["importance"][1] == pytest.approx(0, abs=1e-9)
    flowers = feature_importance(train_classifier(IRIS, target="target"), IRIS, repeats=2)
    assert flowers["feature"][0].startswith("petal")
    assert flowers.height == 4


def test_what_cannot_be_told() -> None:
    model = train_regressor(PLANE, target="y")
    with pytest.raises(BlockFailed, match="is the same in all rows"):
        feature_importance(model, PLANE.head(1))
    with pytest.raises(BlockFailed, match="the model's features"):
        feature_importance(model, PLANE.drop("x"))


def test_metrics_as_rows() -> None:
    assert metrics_table({"r2": 0.5, "rows": 7.0}).rows() == [("r2", 0.5), ("rows", 7.0)]
    assert metrics_table({}).schema == {"metric": pl.String, "value": pl.Float64}
