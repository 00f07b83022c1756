"""Blocks that make one table of several."""

from typing import Annotated, Literal

import polars as pl
from pydantic import Field

from constellation_dagster.blocks.columns import require_columns
from constellation_dagster.domain.config_formats import COLUMN
from constellation_dagster.domain.errors import BlockFailed
from constellation_dagster.domain.ports import Table
from constellation_dagster.domain.registry import block


@block(
    kind="transform",
    phrases=(
        "join two tables",
        "merge tables on a key",
        "combine two files by id",
        "look up values in another table",
        "join on a column",
    ),
)
def join_tables(
    left: Table,
    right: Table,
    *,
    keys: Annotated[
        list[str],
        Field(
            min_length=1,
            json_schema_extra={"format": COLUMN},
            description="The columns, in both tables, by which rows belong together.",
        ),
    ],
    how: Annotated[
        Literal["inner", "left", "full", "semi", "anti"],
        Field(description="Which rows stay: those of both, of the left, of either, and so on."),
    ] = "inner",
) -> Table:
    """Join two tables by columns that both have.

    `inner` keeps the rows that have a partner, `left` all of the left table, `full` all of both;
    `semi` keeps the left table's rows that have a partner and `anti` those that have none, both
    without the right table's columns. A column that both tables have, and is no key, gets
    `_right` after its name where it is the right one's. Missing keys have no partner.

    ```yaml
    - id: join
      block: join_tables
      config: {keys: [species], how: left}
    ```

    **Mistakes it tells:** keys that a table does not have, keys of different types.
    """
    require_columns(left, keys, key="keys, left")
    require_columns(right, keys, key="keys, right")
    try:
        # A full join would otherwise keep the keys twice.
        return left.join(
            right, on=keys, how=how, coalesce=None if how in ("semi", "anti") else True
        )
    except pl.exceptions.PolarsError as error:
        pairs = ", ".join(f"{key!r}: {left[key].dtype} and {right[key].dtype}" for key in keys)
        reason = str(error).splitlines()[0].rstrip(".")
        raise BlockFailed(
            f"The tables cannot be joined ({pairs}): {reason}.",
            "Make the keys of one type with cast_columns.",
        ) from error


@block(
    kind="transform",
    phrases=(
        "concatenate tables",
        "stack tables on top of each other",
        "append one table to another",
        "put the tables one below the other",
    ),
)
def concatenate(tables: list[Table]) -> Table:
    """Put tables one below the other, in the order of the edges.

    Columns go by their names; where a table lacks one, its values are missing. Whole numbers and
    numbers with decimals go together.

    ```yaml
    - id: all
      block: concatenate
    ```

    **Mistakes it tells:** a column that has numbers here and texts there.
    """
    names = dict.fromkeys(name for table in tables for name in table.columns)
    differing: list[str] = []
    for name in names:
        types = dict.fromkeys(table[name].dtype for table in tables if name in table.columns)
        # Left alone, polars makes texts of numbers where it finds both.
        if len(types) > 1 and not all(dtype.is_numeric() or dtype == pl.Null for dtype in types):
            differing.append(f"{name!r} ({', '.join(map(str, types))})")
    if differing:
        raise BlockFailed(
            f"The tables do not fit together: {', '.join(differing)} differ in type.",
            "Make them alike with cast_columns.",
        )
    return pl.concat(tables, how="diagonal_relaxed")
