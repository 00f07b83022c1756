"""Blocks that train, use and judge models, and the one that draws."""

from datetime import date
from typing import Any

import numpy as np
import PIL.Image
import polars as pl
import pytest

from constellation_dagster.blocks import (
    chart,
    evaluate_model,
    impute_missing,
    predict,
    sample_data,
    split_rows,
    train_classifier,
)
from constellation_dagster.blocks.classifiers import Algorithm
from constellation_dagster.domain.errors import BlockFailed
from constellation_dagster.domain.trees import TREE_TYPE, unsound_trees
from constellation_dagster.domain.values import Model

PENGUINS = impute_missing(sample_data(name="penguins"))
TRAIN, TEST = split_rows(PENGUINS, stratify="species", seed=1)
ALGORITHMS: list[Algorithm] = ["logistic_regression", "random_forest", "gradient_boosting"]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_model_learns_and_can_be_stored_safely(algorithm: Algorithm) -> None:
    import skops.io

    model = train_classifier(TRAIN, target="species", algorithm=algorithm)
    assert model.features == tuple(name for name in PENGUINS.columns if name != "species")
    assert (model.target, model.task) == ("species", "classification")
    assert model.classes == ("Adelie", "Chinstrap", "Gentoo")
    metrics, confusion = evaluate_model(model, TEST)
    assert metrics["accuracy"] > 0.95
    assert set(metrics) == {"accuracy", "precision", "recall", "f1", "rows"}
    assert confusion["count"].sum() == metrics["rows"] == TEST.height
    right = confusion.filter(pl.col("actual") == pl.col("predicted"))["count"].sum()
    assert right / TEST.height == pytest.approx(metrics["accuracy"])

    again = train_classifier(TRAIN, target="species", algorithm=algorithm)
    assert predict(again, TEST).equals(predict(model, TEST))

    stored = skops.io.dumps(model.estimator)
    assert set(skops.io.get_untrusted_types(data=stored)) <= {TREE_TYPE}
    loaded = skops.io.loads(stored, trusted=[TREE_TYPE])
    assert unsound_trees(loaded) is None
    assert loaded.predict(TEST).tolist() == predict(model, TEST)["prediction"].to_list()


def test_predictions_are_a_new_column_and_probabilities_if_asked_for() -> None:
    model = train_classifier(TRAIN, target="species", features=["bill_length_mm", "island"])
    # In another order, with other columns between, and without the target.
    rows = TEST.select("sex", "island", "bill_length_mm")
    result = predict(model, rows, column="guess", probabilities=True)
    assert result.columns == [
        *rows.columns,
        "guess",
        "guess_Adelie",
        "guess_Chinstrap",
        "guess_Gentoo",
    ]
    assert np.allclose(result.select(pl.sum_horizontal("^guess_.*$")).to_series().to_numpy(), 1)
    assert predict(model, rows.head(0), probabilities=True).columns == [
        *rows.columns, "prediction", "prediction_Adelie", "prediction_Chinstrap", "prediction_Gentoo",
    ]  # fmt: skip
    new_island = rows.head(1).with_columns(island=pl.lit("Atlantis"))
    assert predict(model, new_island)["prediction"][0] in model.classes


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        ([True, False] * 10, ("False", "True")),
        ([1, 2] * 10, ("1", "2")),
        ([1.0, 2.0] * 10, ("1", "2")),
        (pl.Series(["a", "b"] * 10, dtype=pl.Categorical), ("a", "b")),
        (["a", "b"] * 10, ("a", "b")),
    ],
)
def test_targets_of_any_kind_of_class(labels: Any, classes: tuple[str, ...]) -> None:
    table = pl.DataFrame({"x": [0.0, 1.0] * 10, "flag": [False, True] * 10, "y": labels})
    model = train_classifier(table, target="y")
    assert model.classes == classes
    assert evaluate_model(model, table).metrics["accuracy"] == 1.0


SMALL = pl.DataFrame(
    {
        "x": [1.0, 2.0, 3.0, 4.0],
        "gap": [1.0, None, 3.0, float("nan")],
        "when": [date(2026, 1, 1)] * 4,
        "half": [0.5, 1.5, 0.5, 1.5],
        "one": ["a"] * 4,
        "id": ["a", "b", "c", "d"],
        "y": ["a", "b", "a", "b"],
    }
)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": "yy"}, "target: the table does not have a column 'yy'."),
        (
            {"target": "y", "features": ["x", "xx"]},
            "features: the table does not have a column 'xx'.",
        ),
        ({"target": "y", "features": ["x", "y"]}, "features: 'y' is the target itself."),
        (
            {"target": "y"},
            "complete rows only, but values are missing in 'gap' (2). Put an impute_missing",
        ),
        ({"target": "y", "features": ["when", "x"]}, "A model cannot learn from 'when (Date)'."),
        ({"target": "half", "features": ["x"]}, "target: column 'half' has numbers with decimals"),
        ({"target": "when", "features": ["x"]}, "target: column 'when' has values of type Date"),
        ({"target": "one", "features": ["x"]}, "target: column 'one' has 1 class(es)"),
        (
            {"target": "id", "features": ["x"]},
            "target: each of the 4 rows has its own value in 'id'",
        ),
    ],
)
def test_mistakes_with_training(options: dict[str, Any], message: str) -> None:
    with pytest.raises(BlockFailed) as caught:
        train_classifier(SMALL, **options)
    assert message in str(caught.value)


def test_nothing_to_train_from() -> None:
    with pytest.raises(BlockFailed, match="no column to predict from"):
        train_classifier(SMALL.select("y"), target="y")
    with pytest.raises(BlockFailed, match="has 0 class"):
        train_classifier(SMALL.head(0), target="y", features=["x"])


MODEL = train_classifier(SMALL, target="y", features=["x"])


@pytest.mark.parametrize(
    ("table", "options", "message"),
    [
        (SMALL, {"column": "x"}, "The table has 'x' already."),
        (
            SMALL.rename({"y": "y_a"}),
            {"column": "y", "probabilities": True},
            "The table has 'y_a' already.",
        ),
        (SMALL.drop("x"), {}, "the model's features: the table does not have a column 'x'."),
        (SMALL.with_columns(x=None), {}, "complete rows only, but values are missing in 'x' (4)."),
        (SMALL.with_columns(x=pl.lit("a")), {}, "The model cannot read these rows"),
    ],
)
def test_mistakes_with_predictions(
    table: pl.DataFrame, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(BlockFailed) as caught:
        predict(MODEL, table, **options)
    assert message in str(caught.value)


class Doubler:
    """A regression by hand."""

    def predict(self, rows: pl.DataFrame) -> Any:
        return rows["x"].to_numpy() * 2


REGRESSION = Model(Doubler(), ("x",), "z", "regression")


def test_a_model_of_numbers_is_judged_by_its_errors() -> None:
    table = pl.DataFrame({"x": [1.0, 2.0, 3.0], "z": [2, 4, 9]})
    metrics, errors = evaluate_model(REGRESSION, table)
    assert metrics["mean_absolute_error"] == pytest.approx(1)
    assert metrics["root_mean_squared_error"] == pytest.approx(3**0.5)
    assert metrics["r2"] == pytest.approx(1 - 9 / 26)
    assert errors.to_dict(as_series=False) == {
        "actual": [2, 4, 9],
        "predicted": [2, 4, 6],
        "error": [0, 0, -3],
    }
    assert "r2" not in evaluate_model(REGRESSION, table.head(1)).metrics
    with pytest.raises(BlockFailed, match="This model gives no probabilities"):
        predict(REGRESSION, table, probabilities=True)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (SMALL.drop("y"), "the model's target: the table does not have a column 'y'."),
        (SMALL.drop("x"), "the model's features: the table does not have a column 'x'."),
        (SMALL.head(0), "The table has no rows to judge the model by."),
        (
            SMALL.with_columns(y=None),
            "rows with a known target, but values are missing in 'y' (4).",
        ),
    ],
)
def test_mistakes_with_evaluations(table: pl.DataFrame, message: str) -> None:
    with pytest.raises(BlockFailed) as caught:
        evaluate_model(MODEL, table)
    assert message in str(caught.value)


def test_a_class_that_was_never_seen_in_training_counts_as_wrong() -> None:
    table = SMALL.with_columns(y=pl.Series(["a", "b", "a", "z"]))
    metrics = evaluate_model(MODEL, table).metrics
    assert metrics["accuracy"] < 1
    assert all(np.isfinite(list(metrics.values())))


@pytest.mark.parametrize(
    "options",
    [
        {"kind": "bar", "x": "species"},
        {"kind": "bar", "x": "year", "y": "body_mass_g", "color": "sex", "aggregate": "mean"},
        {"kind": "line", "x": "year", "y": "body_mass_g", "color": "species", "title": "Growth"},
        {"kind": "scatter", "x": "bill_length_mm", "y": "body_mass_g", "color": "species"},
        {"kind": "scatter", "x": "island", "y": "species"},
        {"kind": "histogram", "x": "bill_length_mm", "bins": 5, "color": "body_mass_g"},
        {"kind": "box", "x": "species", "y": "body_mass_g", "color": "sex"},
    ],
)
def test_charts(options: dict[str, Any]) -> None:
    image = chart(sample_data(name="penguins"), **options)
    assert image.width > 900
    assert image.height > 600
    colors: Any = image.convert("RGB").getcolors(2**24)
    assert len(colors) > 20  # something is drawn


def test_charts_of_odd_data() -> None:
    odd = pl.DataFrame(
        {
            "a.b[0]": [1, 2, 3],
            'it\'s "x"': [0.5, float("nan"), None],
            "when": [date(2026, 1, day) for day in (1, 2, 3)],
            "sure": [True, False, True],
            "price": pl.Series(["1.5", "2.5", "3.5"]).cast(pl.Decimal(10, 2)),
        }
    )
    assert chart(odd, kind="scatter", x="a.b[0]", y='it\'s "x"', color="sure").width
    assert chart(odd, kind="line", x="when", y="price").width
    assert chart(odd.head(1), kind="histogram", x="price").width
    many = pl.DataFrame({"x": np.arange(60_000), "y": np.arange(60_000) % 7})
    assert isinstance(chart(many, kind="scatter", x="x", y="y"), PIL.Image.Image)
    assert isinstance(chart(many, kind="histogram", x="x"), PIL.Image.Image)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"kind": "bar", "x": "specie"},
            "x: the table does not have a column 'specie'. Did you mean",
        ),
        ({"kind": "bar", "x": "year", "y": "no"}, "y: the table does not have a column 'no'."),
        (
            {"kind": "bar", "x": "year", "color": "no"},
            "color: the table does not have a column 'no'.",
        ),
        ({"kind": "histogram", "x": "year", "y": "year"}, "y: a histogram counts rows"),
        ({"kind": "scatter", "x": "year"}, "y: a scatter needs one."),
        ({"kind": "line", "x": "year"}, "y: a line needs one."),
        ({"kind": "box", "x": "year", "y": "sex"}, "y: a box needs numbers, and 'sex' has none."),
        ({"kind": "histogram", "x": "sex"}, "x: a histogram needs numbers, and 'sex' has none."),
        ({"kind": "bar", "x": "row"}, "x: 344 different values make more than 200 bars."),
        ({"kind": "scatter", "x": "year", "y": "year", "color": "name"}, "color: 'name' has 344"),
        ({"kind": "bar", "x": "empty"}, "There are no rows to draw"),
    ],
)
def test_mistakes_with_charts(options: dict[str, Any], message: str) -> None:
    table = PENGUINS.with_row_index("row").with_columns(
        pl.col("row").cast(pl.String).alias("name"), pl.lit(None).alias("empty")
    )
    with pytest.raises(BlockFailed) as caught:
        chart(table, **options)
    assert message in str(caught.value)
