"""Blocks that learn numbers and groups."""

from datetime import date
from io import BytesIO
from typing import Any, Literal

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from constellation_dagster.blocks.clusterers import train_clusterer
from constellation_dagster.blocks.models import evaluate_model, predict
from constellation_dagster.blocks.regressors import Algorithm, train_regressor
from constellation_dagster.blocks.sources import sample_data
from constellation_dagster.blocks.transforms import split_rows
from constellation_dagster.domain.errors import BlockFailed
from constellation_dagster.domain.ports import PortType
from constellation_dagster.domain.values import Model
from constellation_dagster.resources.formats import FORMATS

PENGUINS = sample_data(name="penguins").drop_nulls()
PLANE = pl.DataFrame({"x": range(20), "kind": ["a", "b"] * 10}).with_columns(
    (pl.col("x") * 2 + (pl.col("kind") == "b") * 10).alias("y")
)


def _stored_and_read(model: Model) -> Model:
    file = BytesIO()
    FORMATS[PortType.MODEL].dump(model, file)
    file.seek(0)
    return FORMATS[PortType.MODEL].load(file)


@pytest.mark.parametrize(
    ("algorithm", "r2"), [("linear", 0.84), ("random_forest", 0.83), ("gradient_boosting", 0.83)]
)
def test_a_regressor_learns_and_is_stored(algorithm: Algorithm, r2: float) -> None:
    parts = split_rows(PENGUINS)
    model = train_regressor(parts.train, target="body_mass_g", algorithm=algorithm, trees=50)
    assert model.task == "regression"
    again = _stored_and_read(model)
    for each in (model, again):
        assert evaluate_model(each, parts.test).metrics["r2"] > r2
    assert_frame_equal(predict(model, parts.test), predict(again, parts.test))


def test_a_plane_is_found_exactly() -> None:
    model = train_regressor(PLANE, target="y", features=["x", "kind", "x"])
    assert model.features == ("x", "kind")
    guessed = predict(model, pl.DataFrame({"x": [100, 100], "kind": ["a", "b"]}), column="guess")
    assert guessed["guess"].to_list() == pytest.approx([200, 210])


@pytest.mark.parametrize("algorithm", ["kmeans", "gaussian_mixture"])
def test_groups_are_found_and_stored(algorithm: Literal["kmeans", "gaussian_mixture"]) -> None:
    found = train_clusterer(
        PENGUINS,
        clusters=3,
        features=["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "sex"],
        algorithm=algorithm,
    )
    assert found.table.height == PENGUINS.height
    assert set(found.table["cluster"]) == {0, 1, 2}
    again = predict(_stored_and_read(found.model), PENGUINS, column="cluster")
    assert_frame_equal(again, found.table)


def test_groups_that_anybody_sees() -> None:
    table = pl.DataFrame({"x": [0.0, 0.1, 9.0, 9.1], "name": list("abcd")})
    groups = train_clusterer(table, clusters=2, features=["x"], column="g").table["g"].to_list()
    assert groups[0] == groups[1] != groups[2] == groups[3]


@pytest.mark.parametrize(
    ("table", "config", "message"),
    [
        (PLANE, {"target": "z"}, "target: the table does not have a column 'z'"),
        (PLANE, {"target": "y", "features": ["z"]}, "features: the table does not have"),
        (PLANE, {"target": "y", "features": ["y"]}, "is the target itself"),
        (PLANE, {"target": "kind"}, "column 'kind' has no numbers"),
        (PLANE.select("y"), {"target": "y"}, "no column to predict from"),
        (PLANE.head(1), {"target": "y"}, "learns from two at least"),
        (PLANE.with_columns(d=date(2026, 1, 1)), {"target": "y"}, "cannot learn from 'd"),
        (sample_data(name="penguins"), {"target": "body_mass_g"}, "values are missing in"),
    ],
)
def test_mistakes_with_regressors(
    table: pl.DataFrame, config: dict[str, Any], message: str
) -> None:
    with pytest.raises(BlockFailed, match=message):
        train_regressor(table, **config)


@pytest.mark.parametrize(
    ("table", "config", "message"),
    [
        (PLANE, {"features": ["z"]}, "features: the table does not have"),
        (PLANE, {"column": "x"}, "column: the table has 'x' already"),
        (PLANE, {"clusters": 21}, "20 different row"),
        (pl.DataFrame(), {}, "has no columns"),
        (pl.DataFrame({"x": [1, None]}), {}, "values are missing in 'x'"),
        (PLANE.select(d=date(2026, 1, 1)), {}, "cannot learn from 'd"),
    ],
)
def test_mistakes_with_groups(table: pl.DataFrame, config: dict[str, Any], message: str) -> None:
    with pytest.raises(BlockFailed, match=message):
        train_clusterer(table, **config)
