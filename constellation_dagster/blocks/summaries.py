"""Blocks that sum a table up."""

from typing import Annotated

import polars as pl
from polars import selectors as cs
from pydantic import Field

from constellation_dagster.blocks.columns import missing_count, require_columns
from constellation_dagster.domain.config_formats import COLUMN
from constellation_dagster.domain.errors import BlockFailed
from constellation_dagster.domain.ports import Table
from constellation_dagster.domain.registry import block


@block(
    kind="evaluate",
    phrases=(
        "describe the data",
        "summarize the table",
        "summary statistics",
        "profile the columns",
        "show the mean and range of each column",
    ),
)
def describe_table(table: Table) -> Table:
    """Sum up each column: how many values it has, and their mean, spread and range.

    The result has a row for each column with `column`, `type`, `count` (of values), `missing`,
    `distinct`, and for numbers `mean`, `std`, `min` and `max`.

    ```yaml
    - id: describe
      block: describe_table
    ```
    """
    rows: list[dict[str, object]] = []
    for column in table.select(pl.all()).with_columns(cs.float().fill_nan(None)):
        missing = missing_count(column)
        numbers = column.cast(pl.Float64) if column.dtype.is_numeric() else None
        rows.append(
            {
                "column": column.name,
                "type": str(column.dtype),
                "count": len(column) - missing,
                "missing": missing,
                "distinct": None if column.dtype.is_nested() else column.drop_nulls().n_unique(),
                "mean": None if numbers is None else numbers.mean(),
                "std": None if numbers is None else numbers.std(),
                "min": None if numbers is None else numbers.min(),
                "max": None if numbers is None else numbers.max(),
            }
        )
    figures = dict.fromkeys(("mean", "std", "min", "max"), pl.Float64)
    counts = dict.fromkeys(("count", "missing", "distinct"), pl.Int64)
    return pl.DataFrame(rows, schema={"column": pl.String, "type": pl.String, **counts, **figures})


@block(
    kind="evaluate",
    phrases=(
        "count the values",
        "how often each value occurs",
        "frequency of each category",
        "value counts",
    ),
)
def count_values(
    table: Table,
    *,
    columns: Annotated[
        list[str],
        Field(
            min_length=1,
            json_schema_extra={"format": COLUMN},
            description="The columns whose values, or combinations of such, are counted.",
        ),
    ],
) -> Table:
    """Count how often each value occurs, the most frequent first.

    Of several columns it counts the combinations of their values.

    ```yaml
    - id: count
      block: count_values
      config: {columns: [species]}
    ```

    **Mistakes it tells:** columns that there are not, a column that is named `count`.
    """
    require_columns(table, columns, key="columns")
    if "count" in columns:
        raise BlockFailed("columns: 'count' is the name of the result.", "Rename that column.")
    names = list(dict.fromkeys(columns))
    counted = table.group_by(names).agg(pl.len().cast(pl.Int64).alias("count"))
    order = [True, *(False for _ in names)]
    return counted.sort(["count", *names], descending=order, nulls_last=True)
