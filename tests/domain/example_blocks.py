"""Blocks that stand for any: the compiler sees only their declarations."""

from typing import Annotated, Literal, NamedTuple

import numpy as np
import polars as pl
from pydantic import Field

from constellation_dagster.domain.ports import Array, Metrics, Model, Table
from constellation_dagster.domain.registry import Registry, block
from constellation_dagster.domain.values import Model as FittedModel


@block(kind="source")
def load(
    *,
    url: Annotated[str, Field(description="Where from.", min_length=1)],
    limit: Annotated[int | None, Field(description="Most rows.", ge=1)] = None,
) -> Table:
    """Load a table."""
    return pl.DataFrame({"url": [url]}).head(limit or 1)


@block(kind="transform")
def clean(
    table: Table,
    *,
    strategy: Annotated[Literal["mean", "median"], Field(description="How.")] = "mean",
) -> Table:
    """Clean a table."""
    return table.with_columns(pl.lit(strategy).alias("strategy"))


@block(kind="transform")
def concat(tables: list[Table]) -> Table:
    """Put tables one below the other."""
    return pl.concat(tables)


class Halves(NamedTuple):
    """Two tables."""

    train: Table
    test: Table


@block(kind="transform")
def split(table: Table) -> Halves:
    """Cut a table in two."""
    return Halves(table.head(1), table.slice(1))


@block(kind="train")
def train(table: Table, weights: Array | None = None) -> Model:
    """Fit a model."""
    assert weights is None or weights.size
    return FittedModel(estimator=None, features=tuple(table.columns), target="y", task="regression")


@block(kind="evaluate")
def evaluate(model: Model, table: Table) -> Metrics:
    """Judge a model."""
    return {"rows": table.height, "features": len(model.features)}


@block(kind="transform")
def weigh(table: Table) -> Array:
    """Weigh the rows."""
    return np.ones(table.height)


EXAMPLES = Registry.of([load, clean, concat, split, train, evaluate, weigh])
