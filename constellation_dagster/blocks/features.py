"""What models learn from: columns chosen and prepared."""

from collections.abc import Sequence
from typing import Any

import polars as pl

from constellation_dagster.blocks.columns import require_columns, require_complete
from constellation_dagster.domain.errors import BlockFailed
from constellation_dagster.domain.suggestions import listing


def choose_features(table: pl.DataFrame, target: str, features: Sequence[str] | None) -> list[str]:
    """The columns to predict `target` from: `features`, or all others.

    Raises:
        BlockFailed: There are no such columns, or values are missing in them or in the target.
    """
    require_columns(table, [target], key="target")
    chosen = [name for name in table.columns if name != target]
    if features is not None:
        require_columns(table, features, key="features")
        chosen = list(dict.fromkeys(features))
    if target in chosen:
        raise BlockFailed(f"features: {target!r} is the target itself.", "Leave it out.")
    if not chosen:
        raise BlockFailed("There is no column to predict from beside the target.")
    require_complete(table, [target, *chosen], why="A model learns from complete rows only")
    return chosen


def preparation(table: pl.DataFrame) -> Any:
    """A scikit-learn transformer of a table's columns into numbers of like size.

    Numbers are scaled, texts and truth values become one column for each of their values.

    Raises:
        BlockFailed: There are columns of other types.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers, categories = _by_kind(table)
    return ColumnTransformer(
        [
            ("numbers", StandardScaler(), numbers),
            # A value that was not there in training says nothing about the target.
            ("categories", OneHotEncoder(handle_unknown="ignore"), categories),
        ]
    )


def _by_kind(table: pl.DataFrame) -> tuple[list[str], list[str]]:
    """The columns of numbers, and those of texts and truth values."""
    numbers: list[str] = []
    categories: list[str] = []
    others: list[str] = []
    for name, dtype in table.schema.items():
        if dtype.is_numeric():
            numbers.append(name)
        elif isinstance(dtype, pl.String | pl.Categorical | pl.Enum | pl.Boolean):
            categories.append(name)
        else:
            others.append(f"{name} ({dtype})")
    if others:
        raise BlockFailed(
            f"A model cannot learn from {listing(others)}.",
            "Leave such columns out by `features`, or with select_columns.",
        )
    return numbers, categories
