"""The block that computes figures of groups."""

import re
from typing import Annotated

import polars as pl
from pydantic import Field

from constellation_dagster.blocks.columns import require_columns
from constellation_dagster.domain.config_formats import COLUMN
from constellation_dagster.domain.errors import BlockFailed
from constellation_dagster.domain.ports import Table
from constellation_dagster.domain.registry import block
from constellation_dagster.domain.suggestions import did_you_mean

_WRITTEN = re.compile(r"\s*(\w+)\s*\((.*)\)\s*", re.DOTALL)
_OF_NUMBERS = ("sum", "mean", "median", "std")
_FUNCTIONS = (*_OF_NUMBERS, "min", "max", "count", "count_distinct", "first")


@block(
    kind="transform",
    phrases=(
        "group by",
        "average per group",
        "the mean of a column by another",
        "sum for each",
        "count rows per group",
        "total by category",
    ),
)
def aggregate(
    table: Table,
    *,
    by: Annotated[
        list[str],
        Field(
            json_schema_extra={"format": COLUMN},
            description="The columns that make the groups; without any, the whole table is one.",
        ),
    ] = [],  # noqa: B006 - becomes a field's default, which pydantic copies
    aggregates: Annotated[
        dict[str, str],
        Field(
            min_length=1,
            description="The new columns, each with what is in it, such as `mean(price)`.",
        ),
    ],
) -> Table:
    """Compute figures of groups of rows.

    The result has a row for each group, sorted by `by`. What can be computed: `count()` of rows,
    and of a column `count(x)` (its values), `count_distinct(x)`, `sum(x)`, `mean(x)`,
    `median(x)`, `std(x)`, `min(x)`, `max(x)`, `first(x)`. Missing values are left out of all.

    ```yaml
    - id: by_species
      block: aggregate
      config: {by: [species], aggregates: {birds: count(), mean_mass: mean(body_mass_g)}}
    ```

    **Mistakes it tells:** columns and functions that there are not, calculating with what are no
    numbers, a new column named as one of `by`.
    """
    require_columns(table, by, key="by")
    taken = [name for name in aggregates if name in by]
    if taken:
        raise BlockFailed(f"aggregates: {taken[0]!r} is one of by.", "Give it another name.")
    figures = [_figure(table, name, text) for name, text in aggregates.items()]
    groups = list(dict.fromkeys(by))
    return table.group_by(groups).agg(figures).sort(groups) if groups else table.select(figures)


def _figure(table: pl.DataFrame, name: str, text: str) -> pl.Expr:
    where = f"aggregates.{name}"
    written = _WRITTEN.fullmatch(text)
    if written is None:
        raise BlockFailed(
            f"{where}: {text!r} is not a function of a column.", "Write such as `mean(price)`."
        )
    function, column = written[1], written[2].strip()
    if function not in _FUNCTIONS:
        hint = did_you_mean(function, _FUNCTIONS, there_are="The functions are")
        raise BlockFailed(f"{where}: there is no function {function!r}.", hint)
    if not column:
        if function == "count":
            return pl.len().cast(pl.Int64).alias(name)
        raise BlockFailed(f"{where}: {function} needs a column.", f"Write `{function}(column)`.")
    require_columns(table, [column], key=where)
    dtype = table[column].dtype
    if function in _OF_NUMBERS and not dtype.is_numeric():
        raise BlockFailed(f"{where}: {function} needs numbers, and {column!r} has none.")
    values = pl.col(column).fill_nan(None) if dtype.is_float() else pl.col(column)
    present = values.drop_nulls()
    if function in ("count", "count_distinct"):
        counted = present.len() if function == "count" else present.n_unique()
        return counted.cast(pl.Int64).alias(name)
    if function == "first":
        # A group may have no value at all.
        return present.first().alias(name)
    return getattr(values, function)().alias(name)
