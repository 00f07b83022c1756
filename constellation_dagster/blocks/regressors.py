"""The block that learns to predict a number."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TypeAlias

import polars as pl
from pydantic import Field

from constellation_dagster.blocks.features import choose_features, preparation
from constellation_dagster.domain.config_formats import COLUMN
from constellation_dagster.domain.errors import BlockFailed
from constellation_dagster.domain.ports import Model, Table
from constellation_dagster.domain.registry import block
from constellation_dagster.domain.values import Model as FittedModel

Algorithm: TypeAlias = Literal["linear", "random_forest", "gradient_boosting"]


@block(
    kind="train",
    phrases=(
        "train a regressor",
        "learn to predict a number",
        "predict a quantity such as a price",
        "fit a regression model",
        "train a linear regression",
        "estimate a quantity from the other columns",
    ),
)
def train_regressor(
    table: Table,
    *,
    target: Annotated[
        str,
        Field(
            json_schema_extra={"format": COLUMN},
            min_length=1,
            description="The column of numbers to predict.",
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
        Field(description="How: linear is quick and plain, the others find more."),
    ] = "linear",
    trees: Annotated[
        int, Field(ge=1, le=2000, description="How many trees the others than linear grow.")
    ] = 100,
    seed: Annotated[
        int, Field(ge=0, lt=2**32, description="Another number, another trial of chance.")
    ] = 0,
) -> Model:
    """Learn to predict a number, with scikit-learn.

    Numbers are scaled, texts and truth values become one column for each of their values; both is
    part of the model, so that it is used on tables as they are. The same table and seed give the
    same model. `predict` and `evaluate_model` take it.

    ```yaml
    - id: train
      block: train_regressor
      config: {target: body_mass_g, algorithm: random_forest}
    ```

    **Mistakes it tells:** columns that there are not, missing values, a target that has no
    numbers, fewer than two rows, features that are dates or lists.
    """
    chosen = choose_features(table, target, features)
    return fit_regressor(table, target, chosen, algorithm, trees, seed)


def fit_regressor(
    table: pl.DataFrame,
    target: str,
    features: Sequence[str],
    algorithm: Algorithm,
    trees: int,
    seed: int,
) -> FittedModel:
    """Fit a pipeline of encoding, scaling and a regressor to a table without missing values.

    It holds scikit-learn's own types only, so that it can be stored and loaded safely.

    Raises:
        BlockFailed: The table cannot be learnt from.
    """
    from sklearn.pipeline import Pipeline

    if not table[target].dtype.is_numeric():
        raise BlockFailed(
            f"target: column {target!r} has no numbers.",
            "Choose a column of numbers; train_classifier tells classes apart.",
        )
    if table.height < 2:
        raise BlockFailed(f"The table has {table.height} row(s); a model learns from two at least.")
    estimator: Any = Pipeline(
        [
            ("prepare", preparation(table.select(features))),
            ("regress", _regressor(algorithm, trees, seed)),
        ]
    )
    estimator.fit(table.select(features), table[target].cast(pl.Float64).to_numpy())
    return FittedModel(
        estimator=estimator, features=tuple(features), target=target, task="regression"
    )


def _regressor(algorithm: Algorithm, trees: int, seed: int) -> Any:
    from sklearn.ensemble import GradientBoostingRegressor, RandomForestRegressor
    from sklearn.linear_model import LinearRegression

    regressors: Mapping[Algorithm, Any] = {
        "linear": LinearRegression(),
        "random_forest": RandomForestRegressor(n_estimators=trees, random_state=seed),
        "gradient_boosting": GradientBoostingRegressor(n_estimators=trees, random_state=seed),
    }
    return regressors[algorithm]
