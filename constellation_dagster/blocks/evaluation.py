"""Blocks that judge a way to learn, and tell what a model goes by."""

from typing import Annotated, Any, Literal, TypeAlias, cast

import numpy as np
import polars as pl
from pydantic import Field

from constellation_dagster.blocks.classifiers import class_labels, fit_classifier
from constellation_dagster.blocks.features import choose_features
from constellation_dagster.blocks.models import evaluate_model
from constellation_dagster.blocks.regressors import fit_regressor
from constellation_dagster.domain.config_formats import COLUMN
from constellation_dagster.domain.errors import BlockFailed
from constellation_dagster.domain.ports import Metrics, Model, Table
from constellation_dagster.domain.registry import block
from constellation_dagster.domain.values import Model as FittedModel

Task: TypeAlias = Literal["auto", "classification", "regression"]
Algorithm: TypeAlias = Literal["linear", "random_forest", "gradient_boosting"]

_TREES = 100
# A column of whole numbers with more values than these is taken for a quantity, not for classes.
_MOST_CLASSES = 20


@block(
    kind="evaluate",
    phrases=(
        "cross-validate",
        "cross validation with five folds",
        "how well can this column be predicted",
        "k-fold validation",
        "estimate the accuracy without a test set",
    ),
)
def cross_validate(
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
    task: Annotated[
        Task,
        Field(description="Tell classes apart or predict a number; auto goes by the target."),
    ] = "auto",
    algorithm: Annotated[
        Algorithm,
        Field(description="How: linear is quick and plain, the others find more."),
    ] = "linear",
    folds: Annotated[
        int, Field(ge=2, le=50, description="In how many parts the rows are split.")
    ] = 5,
    seed: Annotated[
        int, Field(ge=0, lt=2**32, description="Another number, another trial of chance.")
    ] = 0,
) -> Metrics:
    """Judge how well a column can be predicted, by learning several times.

    Each part of the rows is judged once by a model that learnt from all others. The metrics are
    those of `evaluate_model`, the mean over the parts, each with the spread between the parts as
    `<metric>_std`; `rows` and `folds` tell how many there were. With `auto` a target of numbers
    with decimals, or of more than 20 whole numbers, is a number to predict; any other has
    classes.

    ```yaml
    - id: judge
      block: cross_validate
      config: {target: species, algorithm: random_forest, folds: 10}
    ```

    **Mistakes it tells:** columns that there are not, missing values, fewer rows or rows of a
    class than parts, a target that does not fit the task.
    """
    chosen = choose_features(table, target, features)
    if table.height < folds:
        raise BlockFailed(f"folds: {table.height} row(s) do not make {folds} parts.", "Take fewer.")
    if task == "auto":
        task = _task_of(table[target])
    scores: dict[str, list[float]] = {}
    for learnt, judged in _parts(table, target, task, folds, seed):
        if task == "classification":
            way = "logistic_regression" if algorithm == "linear" else algorithm
            model = fit_classifier(table[learnt], target, chosen, way, seed)
        else:
            model = fit_regressor(table[learnt], target, chosen, algorithm, _TREES, seed)
        for name, value in evaluate_model(model, table[judged]).metrics.items():
            scores.setdefault(name, []).append(value)
    del scores["rows"]
    metrics = {"rows": float(table.height), "folds": float(folds)}
    for name, values in scores.items():
        metrics[name] = float(np.mean(values))
        metrics[f"{name}_std"] = float(np.std(values))
    return metrics


def _task_of(target: pl.Series) -> Literal["classification", "regression"]:
    if not target.dtype.is_numeric():
        return "classification"
    whole = target.dtype.is_integer() or bool((target == target.round()).all())
    return "classification" if whole and target.n_unique() <= _MOST_CLASSES else "regression"


def _parts(
    table: pl.DataFrame,
    target: str,
    task: Literal["classification", "regression"],
    folds: int,
    seed: int,
) -> list[tuple[list[int], list[int]]]:
    from sklearn import model_selection

    selection = cast("Any", model_selection)
    labels: list[Any] | None = None
    if task == "classification":
        labels = class_labels(table[target])
        counts = pl.Series(labels).value_counts().sort("count")
        value, rows = counts.row(0)
        if rows < folds:
            raise BlockFailed(
                f"folds: {value!r} is in column {target!r} {rows} time(s) only, so it cannot be "
                f"in each of {folds} parts.",
                "Take fewer, or leave such rows out with filter_rows.",
            )
        splitter = selection.StratifiedKFold(folds, shuffle=True, random_state=seed)
    else:
        splitter = selection.KFold(folds, shuffle=True, random_state=seed)
    rows = np.zeros((table.height, 1))
    return [(learnt.tolist(), judged.tolist()) for learnt, judged in splitter.split(rows, labels)]


@block(
    kind="evaluate",
    phrases=(
        "feature importance",
        "which columns matter most",
        "what does the model go by",
        "rank the features",
        "explain the model",
    ),
)
def feature_importance(
    model: Model,
    table: Table,
    *,
    repeats: Annotated[
        int, Field(ge=1, le=100, description="How often each column is shuffled.")
    ] = 5,
    seed: Annotated[
        int, Field(ge=0, lt=2**32, description="Another number, another trial of chance.")
    ] = 0,
) -> Table:
    """Tell which columns a model goes by.

    The importance of a column is how much worse the model gets when its values are shuffled: the
    accuracy that is lost by a classifier, the `r2` by a model that predicts a number. The result
    has a row for each column with `feature`, `importance` and `std` (over the repeats), the most
    important first.

    ```yaml
    - id: reasons
      block: feature_importance
      config: {repeats: 10}
    ```

    **Mistakes it tells:** no rows, a table without the target or without columns that the model
    reads, missing values in them, a target that is the same in all rows.
    """
    measure = "accuracy" if model.task == "classification" else "r2"
    # It also tells whatever is wrong with the table.
    whole = evaluate_model(model, table).metrics
    if measure not in whole:
        raise BlockFailed(
            f"The target {model.target!r} is the same in all rows, so no column could matter."
        )
    chance = np.random.default_rng(seed)
    rows: list[dict[str, object]] = []
    for name in model.features:
        lost = [
            whole[measure] - _shuffled(model, table, name, chance)[measure] for _ in range(repeats)
        ]
        rows.append({"feature": name, "importance": np.mean(lost), "std": np.std(lost)})
    schema = {"feature": pl.String, "importance": pl.Float64, "std": pl.Float64}
    return pl.DataFrame(rows, schema=schema).sort(
        "importance", descending=True, maintain_order=True
    )


def _shuffled(
    model: FittedModel, table: pl.DataFrame, column: str, chance: np.random.Generator
) -> dict[str, float]:
    order = pl.Series(chance.permutation(table.height))
    return evaluate_model(model, table.with_columns(table[column].gather(order))).metrics


@block(
    kind="evaluate",
    phrases=(
        "show the metrics as a table",
        "turn the metrics into rows",
        "list the scores",
        "scores as rows",
    ),
)
def metrics_table(metrics: Metrics) -> Table:
    """Turn metrics into a table with a row for each, its columns `metric` and `value`.

    ```yaml
    - id: figures
      block: metrics_table
    ```
    """
    schema = {"metric": pl.String, "value": pl.Float64}
    return pl.DataFrame(list(metrics.items()), schema=schema, orient="row")
