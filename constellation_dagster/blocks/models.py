"""Blocks that train models, use them and judge them."""

import math
from typing import Annotated, Any, NamedTuple

import numpy as np
import polars as pl
from pydantic import Field

from constellation_dagster.blocks.classifiers import Algorithm, class_labels, fit_classifier
from constellation_dagster.blocks.columns import require_columns, require_complete
from constellation_dagster.blocks.features import choose_features
from constellation_dagster.domain.config_formats import COLUMN, NEW_COLUMN
from constellation_dagster.domain.errors import BlockFailed
from constellation_dagster.domain.ports import Metrics, Model, Table
from constellation_dagster.domain.registry import block
from constellation_dagster.domain.suggestions import listing
from constellation_dagster.domain.values import Model as FittedModel


@block(
    kind="train",
    phrases=(
        "train a classifier",
        "learn to tell classes apart",
        "predict a category",
        "classify by a column",
        "train a random forest",
        "fit a classification model",
    ),
)
def train_classifier(
    table: Table,
    *,
    target: Annotated[
        str,
        Field(
            json_schema_extra={"format": COLUMN}, min_length=1, description="The column to predict."
        ),
    ],
    features: Annotated[
        list[str] | None,
        Field(
            json_schema_extra={"format": COLUMN},
            min_length=1,
            description="The columns to predict from; all others if not given.",
        ),
    ] = None,
    algorithm: Annotated[
        Algorithm,
        Field(description="How: logistic_regression is quick and plain, the others find more."),
    ] = "logistic_regression",
    seed: Annotated[
        int, Field(ge=0, lt=2**32, description="Another number, another trial of chance.")
    ] = 0,
) -> Model:
    """Learn to tell classes apart, with scikit-learn.

    Numbers are scaled, texts and truth values become one column for each of their values; both is
    part of the model, so that it is used on tables as they are. The same table and seed give the
    same model.

    ```yaml
    - id: train
      block: train_classifier
      config: {target: species, algorithm: random_forest}
    ```

    **Mistakes it tells:** columns that there are not, missing values, a target with less than two
    classes or with a number with decimals, features that are dates or lists.
    """
    chosen = choose_features(table, target, features)
    return fit_classifier(table, target, chosen, algorithm, seed)


@block(
    kind="infer",
    phrases=(
        "predict with the model",
        "apply the trained model",
        "add predictions",
        "score rows with the model",
    ),
)
def predict(
    model: Model,
    table: Table,
    *,
    column: Annotated[
        str,
        Field(
            json_schema_extra={"format": NEW_COLUMN},
            min_length=1,
            description="The name of the new column.",
        ),
    ] = "prediction",
    probabilities: Annotated[
        bool, Field(description="Also add a column `<column>_<class>` for each class.")
    ] = False,
) -> Table:
    """Add a column with what a model predicts for each row.

    ```yaml
    - id: predict
      block: predict
      config: {column: species_guess, probabilities: true}
    ```

    **Mistakes it tells:** columns that the model reads and the table lacks, missing values in
    them, a new column that is there already, probabilities of a model that has none.
    """
    new = [column]
    if probabilities:
        if not hasattr(model.estimator, "predict_proba"):
            raise BlockFailed("This model gives no probabilities.", "Set `probabilities: false`.")
        new += [f"{column}_{name}" for name in model.classes]
    taken = [name for name in new if name in table.columns]
    if taken:
        raise BlockFailed(
            f"The table has {listing(taken)} already.", "Set `column` to another name."
        )
    rows = _rows_for(model, table)
    added = [pl.Series(column, _predicted(model, rows))]
    if probabilities:
        shares: Any = (
            model.estimator.predict_proba(rows) if rows.height else np.empty((0, len(new)))
        )
        added += [pl.Series(name, shares[:, index]) for index, name in enumerate(new[1:])]
    return table.with_columns(added)


class Evaluation(NamedTuple):
    """How good a model is."""

    metrics: Annotated[Metrics, Field(description="The figures.")]
    confusion: Annotated[
        Table,
        Field(description="How often which class was taken for which; of a number, its errors."),
    ]


@block(
    kind="evaluate",
    phrases=(
        "evaluate the model",
        "judge how good the model is",
        "measure the accuracy",
        "test the model",
        "confusion matrix",
    ),
)
def evaluate_model(model: Model, table: Table) -> Evaluation:
    """Judge a model by rows whose target is known.

    Give it rows that the model has not learnt from, such as the `test` part of split_rows.

    `metrics` of a classifier are `accuracy`, `precision`, `recall` and `f1` (the means over the
    classes) and the number of `rows`; `confusion` has a row for each pair of an `actual` and a
    `predicted` class with its `count`. Of a model that predicts a number, `metrics` are
    `r2`, `mean_absolute_error`, `root_mean_squared_error` and `rows`; `confusion` has `actual`,
    `predicted` and `error` of each row.

    ```yaml
    - id: evaluate
      block: evaluate_model
    ```

    **Mistakes it tells:** no rows, the target or columns that the model reads are missing in the
    table, missing values in them.
    """
    require_columns(table, [model.target], key="the model's target")
    if table.height == 0:
        raise BlockFailed("The table has no rows to judge the model by.")
    require_complete(table, [model.target], why="A model is judged by rows with a known target")
    rows = _rows_for(model, table)
    if model.task == "classification":
        return _classes_evaluated(class_labels(table[model.target]), _predicted(model, rows))
    return _numbers_evaluated(table[model.target].cast(pl.Float64), _predicted(model, rows))


def _classes_evaluated(actual: list[Any], predicted: list[Any]) -> Evaluation:
    import sklearn.metrics

    metrics: Any = sklearn.metrics
    scores = metrics.precision_recall_fscore_support(
        actual, predicted, average="macro", zero_division=0, labels=sorted(set(actual))
    )
    pairs = pl.DataFrame({"actual": actual, "predicted": predicted}, strict=False)
    return Evaluation(
        metrics={
            "accuracy": float(metrics.accuracy_score(actual, predicted)),
            "precision": float(scores[0]),
            "recall": float(scores[1]),
            "f1": float(scores[2]),
            "rows": len(actual),
        },
        confusion=pairs.group_by("actual", "predicted").len("count").sort("actual", "predicted"),
    )


def _numbers_evaluated(actual: pl.Series, predicted: list[Any]) -> Evaluation:
    frame = pl.DataFrame({"actual": actual, "predicted": pl.Series(predicted, dtype=pl.Float64)})
    frame = frame.with_columns((pl.col("predicted") - pl.col("actual")).alias("error"))
    squares = float((frame["error"] ** 2).sum())
    spread = float(((frame["actual"] - frame["actual"].mean()) ** 2).sum())
    scores = {
        "mean_absolute_error": float(frame["error"].abs().sum()) / frame.height,
        "root_mean_squared_error": math.sqrt(squares / frame.height),
        "rows": float(frame.height),
    }
    # Of rows that are all alike there is no spread that a model could explain.
    if spread:
        scores["r2"] = 1 - squares / spread
    return Evaluation(metrics=scores, confusion=frame)


def _rows_for(model: FittedModel, table: pl.DataFrame) -> pl.DataFrame:
    require_columns(table, model.features, key="the model's features")
    require_complete(table, model.features, why="A model predicts from complete rows only")
    return table.select(model.features)


def _predicted(model: FittedModel, rows: pl.DataFrame) -> list[Any]:
    # scikit-learn refuses to predict for no rows at all.
    if not rows.height:
        return []
    try:
        return list(model.estimator.predict(rows).tolist())
    except ValueError as error:
        raise BlockFailed(
            f"The model cannot read these rows: {str(error).splitlines()[0]}",
            "Give it columns of the types that it was trained with.",
        ) from error
