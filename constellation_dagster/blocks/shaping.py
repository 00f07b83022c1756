"""Blocks that change which columns a table has."""

from typing import Annotated, Literal

import polars as pl
from pydantic import Field

from constellation_dagster.blocks.columns import require_columns
from constellation_dagster.blocks.expressions import parse_expression
from constellation_dagster.domain.config_formats import COLUMN, EXPRESSION, NEW_COLUMN
from constellation_dagster.domain.errors import BlockFailed
from constellation_dagster.domain.ports import Table
from constellation_dagster.domain.registry import block

# A table with more columns than this was pivoted by something like an id.
_MOST_COLUMNS = 1_000


@block(
    kind="transform",
    phrases=("rename columns", "rename the column to", "call the column", "give columns new names"),
)
def rename_columns(
    table: Table,
    *,
    names: Annotated[
        dict[str, str],
        Field(
            min_length=1,
            json_schema_extra={"format": COLUMN},
            description="The new name of each column to rename, by its present name.",
        ),
    ],
) -> Table:
    """Give columns other names.

    ```yaml
    - id: rename
      block: rename_columns
      config: {names: {bill_length_mm: bill, body_mass_g: mass}}
    ```

    **Mistakes it tells:** columns that the table does not have, two columns of one name.
    """
    require_columns(table, names, key="names")
    renamed = [names.get(name, name) for name in table.columns]
    twice = sorted({name for name in renamed if renamed.count(name) > 1})
    if twice:
        raise BlockFailed(
            f"names: two columns would be named {twice[0]!r}.", "Give one another name."
        )
    if "" in renamed:
        raise BlockFailed("names: a column needs a name that is not empty.")
    return table.rename(names)


@block(
    kind="transform",
    phrases=(
        "compute a new column",
        "add a column that is",
        "derive a column",
        "calculate one column divided by another",
        "multiply two columns",
    ),
)
def derive_column(
    table: Table,
    *,
    name: Annotated[
        str,
        Field(
            min_length=1,
            json_schema_extra={"format": NEW_COLUMN},
            description="The name of the new column; one of that name is replaced.",
        ),
    ],
    expression: Annotated[
        str,
        Field(
            min_length=1,
            max_length=2000,
            json_schema_extra={"format": EXPRESSION},
            description="What is in it, such as `price / rooms` or `upper(city)`.",
        ),
    ],
) -> Table:
    """Add a column that is computed from the others, row by row.

    Expressions are written as the conditions of filter_rows are; a condition makes a column of
    true and false. Where a value is missing, so is what is computed from it.

    ```yaml
    - id: ratio
      block: derive_column
      config: {name: mass_kg, expression: body_mass_g / 1000}
    ```

    **Mistakes it tells**, with the place in the expression: columns that there are not, wrong
    syntax, calculating with texts.
    """
    return table.with_columns(parse_expression(expression, table.schema).alias(name))


@block(
    kind="transform",
    phrases=(
        "pivot the table",
        "make a cross table",
        "spread values into columns",
        "turn rows into columns",
    ),
)
def pivot(
    table: Table,
    *,
    index: Annotated[
        list[str],
        Field(
            min_length=1,
            json_schema_extra={"format": COLUMN},
            description="The columns that name the rows of the result.",
        ),
    ],
    columns: Annotated[
        str,
        Field(
            json_schema_extra={"format": COLUMN},
            description="The column whose values become columns.",
        ),
    ],
    values: Annotated[
        str,
        Field(json_schema_extra={"format": COLUMN}, description="The column that fills the cells."),
    ],
    aggregate: Annotated[
        Literal["sum", "mean", "median", "min", "max", "count", "first"],
        Field(description="How several rows become one cell."),
    ] = "sum",
) -> Table:
    """Turn the values of a column into columns of their own.

    The result has a row for each combination of `index`, in its order. Rows without a value in
    `columns` are left out.

    ```yaml
    - id: by_island
      block: pivot
      config: {index: [species], columns: island, values: body_mass_g, aggregate: mean}
    ```

    **Mistakes it tells:** columns that there are not or that are named twice, more than 1,000
    new columns, calculating with what are no numbers.
    """
    named = {"index": index, "columns": [columns], "values": [values]}
    for key, names in named.items():
        require_columns(table, names, key=key)
    used = [*index, columns, values]
    if len(set(used)) < len(used):
        raise BlockFailed("index, columns and values have to name different columns.")
    if aggregate in ("sum", "mean", "median") and not table[values].dtype.is_numeric():
        raise BlockFailed(
            f"values: the {aggregate} needs numbers, and {values!r} has none.",
            "Set aggregate to count or first.",
        )
    cell = pl.len() if aggregate == "count" else getattr(pl.col(values), aggregate)()
    cells = (
        table.select(used)
        .with_columns(pl.col(columns).cast(pl.String))
        .drop_nulls(columns)
        .group_by(*index, columns, maintain_order=True)
        .agg(cell.alias(values))
    )
    new = cells[columns].unique().sort().to_list()
    if len(new) > _MOST_COLUMNS:
        raise BlockFailed(
            f"columns: {columns!r} has {len(new)} different values; {_MOST_COLUMNS} new columns "
            "at most can be made."
        )
    taken = [name for name in new if name in index]
    if taken:
        raise BlockFailed(
            f"A new column would be named {taken[0]!r}, as one of index is.", "Rename that one."
        )
    return cells.pivot(columns, index=index, values=values, sort_columns=True).sort(index)
