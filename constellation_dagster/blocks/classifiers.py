"""Fitting scikit-learn's classifiers to tables."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

import polars as pl

from constellation_dagster.blocks.features import preparation
from constellation_dagster.domain.errors import BlockFailed
from constellation_dagster.domain.values import Model

Algorithm: TypeAlias = Literal["logistic_regression", "random_forest", "gradient_boosting"]


def class_labels(column: pl.Series) -> list[Any]:
    """The values of a target column as classes: texts, whole numbers or truth values.

    Raises:
        BlockFailed: Its values are no classes.
    """
    dtype = column.dtype
    if isinstance(dtype, pl.Categorical | pl.Enum):
        return column.cast(pl.String).to_list()
    if isinstance(dtype, pl.String | pl.Boolean) or dtype.is_integer():
        return column.to_list()
    if dtype.is_float() and bool((column == column.round()).all()):
        return column.cast(pl.Int64).to_list()
    what = "numbers with decimals" if dtype.is_float() else f"values of type {dtype}"
    raise BlockFailed(
        f"target: column {column.name!r} has {what}, which are no classes.",
        "Choose a column of text, whole numbers or truth values.",
    )


def fit_classifier(
    table: pl.DataFrame, target: str, features: Sequence[str], algorithm: Algorithm, seed: int
) -> Model:
    """Fit a pipeline of encoding, scaling and a classifier to a table without missing values.

    It holds scikit-learn's own types only, so that it can be stored and loaded safely.

    Raises:
        BlockFailed: The table cannot be learnt from.
    """
    from sklearn.pipeline import Pipeline

    labels = class_labels(table[target])
    classes = set(labels)
    if len(classes) < 2:
        raise BlockFailed(
            f"target: column {target!r} has {len(classes)} class(es); "
            "it takes two at least to tell apart."
        )
    if len(classes) == len(labels):
        raise BlockFailed(
            f"target: each of the {len(labels)} rows has its own value in {target!r}, "
            "so there is nothing to learn.",
            "Is it an identifier rather than a class?",
        )
    estimator: Any = Pipeline(
        [
            ("prepare", preparation(table.select(features))),
            ("classify", _classifier(algorithm, seed)),
        ]
    )
    estimator.fit(table.select(features), labels)
    return Model(
        estimator=estimator,
        features=tuple(features),
        target=target,
        task="classification",
        classes=tuple(str(name) for name in estimator.classes_.tolist()),
    )


def _classifier(algorithm: Algorithm, seed: int) -> Any:
    from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression

    classifiers: Mapping[Algorithm, Any] = {
        "logistic_regression": LogisticRegression(max_iter=2000, random_state=seed),
        "random_forest": RandomForestClassifier(random_state=seed),
        "gradient_boosting": GradientBoostingClassifier(random_state=seed),
    }
    return classifiers[algorithm]
