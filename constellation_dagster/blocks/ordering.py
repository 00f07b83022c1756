"""Blocks that choose and order rows."""

from typing import Annotated, Literal

from pydantic import Field

from constellation_dagster.blocks.columns import require_columns
from constellation_dagster.domain.config_formats import COLUMN
from constellation_dagster.domain.errors import BlockFailed
from constellation_dagster.domain.ports import Table
from constellation_dagster.domain.registry import block


@block(
    kind="transform",
    phrases=("sort by", "order by", "rank from highest to lowest", "sort rows in descending order"),
)
def sort_rows(
    table: Table,
    *,
    by: Annotated[
        list[str],
        Field(
            min_length=1,
            json_schema_extra={"format": COLUMN},
            description="The columns to sort by, the first one first.",
        ),
    ],
    descending: Annotated[bool, Field(description="Whether the greatest comes first.")] = False,
) -> Table:
    """Sort the rows. Missing values come last, and equal rows stay in their order.

    ```yaml
    - id: heaviest
      block: sort_rows
      config: {by: [body_mass_g], descending: true}
    ```

    **Mistakes it tells:** columns that there are not, columns of lists.
    """
    require_columns(table, by, key="by")
    nested = [name for name in by if table[name].dtype.is_nested()]
    if nested:
        raise BlockFailed(f"by: {nested[0]!r} has lists, which have no order.")
    return table.sort(by, descending=descending, nulls_last=True, maintain_order=True)


@block(
    kind="transform",
    phrases=("keep the first rows", "the top 10", "limit to ten rows", "only the first 100 rows"),
)
def limit_rows(
    table: Table,
    *,
    count: Annotated[int, Field(ge=0, description="The most rows to keep.")] = 10,
) -> Table:
    """Keep the first rows.

    ```yaml
    - id: top
      block: limit_rows
      config: {count: 20}
    ```
    """
    return table.head(count)


@block(
    kind="transform",
    phrases=("take a random sample", "sample rows", "pick rows at random", "use 10 percent of it"),
)
def sample_rows(
    table: Table,
    *,
    count: Annotated[int | None, Field(ge=1, description="How many rows.")] = None,
    fraction: Annotated[float | None, Field(gt=0, le=1, description="Which part of them.")] = None,
    seed: Annotated[
        int, Field(ge=0, lt=2**32, description="Another number gives another sample.")
    ] = 0,
) -> Table:
    """Take rows at random, each once at most, in the order that they had.

    The same table and seed always give the same rows. Of a table with fewer rows than `count`,
    all are taken.

    ```yaml
    - id: some
      block: sample_rows
      config: {fraction: 0.1, seed: 7}
    ```

    **Mistakes it tells:** both `count` and `fraction`, or neither.
    """
    if (count is None) == (fraction is None):
        raise BlockFailed("Either count or fraction is needed, and not both.", "Set one of them.")
    size = round(table.height * fraction) if fraction is not None else min(count or 0, table.height)
    row = "__row__"
    while row in table.columns:
        row += "_"
    numbered = table.with_row_index(row)
    return numbered.sample(size, seed=seed).sort(row).drop(row)


@block(
    kind="transform",
    phrases=("remove duplicates", "drop duplicate rows", "keep unique rows", "deduplicate"),
)
def deduplicate(
    table: Table,
    *,
    columns: Annotated[
        list[str] | None,
        Field(
            min_length=1,
            json_schema_extra={"format": COLUMN},
            description="The columns in which rows are alike; all if not given.",
        ),
    ] = None,
    keep: Annotated[
        Literal["first", "last"], Field(description="Which one of rows that are alike stays.")
    ] = "first",
) -> Table:
    """Keep one of the rows that are alike.

    ```yaml
    - id: once
      block: deduplicate
      config: {columns: [species, island], keep: last}
    ```

    **Mistakes it tells:** columns that there are not.
    """
    if columns is not None:
        require_columns(table, columns, key="columns")
    return table.unique(columns, keep=keep, maintain_order=True)
