"""Blocks that put values right."""

from typing import Annotated, Literal, TypeAlias

import polars as pl
from polars import selectors as cs
from pydantic import Field

from constellation_dagster.blocks.columns import require_columns
from constellation_dagster.domain.config_formats import COLUMN
from constellation_dagster.domain.errors import BlockFailed
from constellation_dagster.domain.ports import Table
from constellation_dagster.domain.registry import block

ColumnType: TypeAlias = Literal["number", "integer", "text", "date", "datetime", "boolean"]

_TYPES: dict[ColumnType, pl.DataType] = {
    "number": pl.Float64(),
    "integer": pl.Int64(),
    "text": pl.String(),
    "date": pl.Date(),
    "datetime": pl.Datetime(),
    "boolean": pl.Boolean(),
}


@block(
    kind="transform",
    phrases=(
        "drop incomplete rows",
        "remove rows with missing values",
        "drop missing values",
        "leave out rows with empty cells",
        "remove nulls",
    ),
)
def drop_missing(
    table: Table,
    *,
    columns: Annotated[
        list[str] | None,
        Field(
            min_length=1,
            json_schema_extra={"format": COLUMN},
            description="The columns that need a value; all if not given.",
        ),
    ] = None,
) -> Table:
    """Leave out rows that lack values. NaN counts as missing.

    ```yaml
    - id: complete
      block: drop_missing
      config: {columns: [sex, body_mass_g]}
    ```

    **Mistakes it tells:** columns that there are not.
    """
    if columns is not None:
        require_columns(table, columns, key="columns")
    chosen = columns or table.columns
    if not chosen:
        return table
    filled = table.select(chosen).with_columns(cs.float().fill_nan(None))
    return table.filter(filled.select(pl.all_horizontal(pl.all().is_not_null())).to_series())


@block(
    kind="transform",
    phrases=(
        "change the type of a column",
        "convert the column to a number",
        "parse the column as a date",
        "cast columns",
        "turn text into numbers",
    ),
)
def cast_columns(
    table: Table,
    *,
    types: Annotated[
        dict[str, ColumnType],
        Field(
            min_length=1,
            json_schema_extra={"format": COLUMN},
            description="The new type of each column to convert.",
        ),
    ],
) -> Table:
    """Convert columns to other types.

    Types are `number`, `integer`, `text`, `date`, `datetime` and `boolean`. Dates in texts are
    written as 2026-01-31, truth values as true or false. Missing values stay missing.

    ```yaml
    - id: convert
      block: cast_columns
      config: {types: {year: text, body_mass_g: number}}
    ```

    **Mistakes it tells:** columns that there are not, values that cannot be converted (the first
    of each column).
    """
    require_columns(table, types, key="types")
    converted: list[pl.Series] = []
    mistakes: list[str] = []
    for name, kind in types.items():
        before = table[name]
        try:
            after = _converted(before, kind)
        except pl.exceptions.PolarsError:
            mistakes.append(f"{name!r} is of a type that cannot become {kind}")
            continue
        lost = before.filter(after.is_null() & before.is_not_null())
        if len(lost):
            mistakes.append(f"{name!r} has {lost[0]!r} ({len(lost)} such), which is no {kind}")
        converted.append(after)
    if mistakes:
        raise BlockFailed(f"types: {'; '.join(mistakes)}.", "Put these values right first.")
    return table.with_columns(converted)


def _converted(column: pl.Series, kind: ColumnType) -> pl.Series:
    if isinstance(column.dtype, pl.Categorical | pl.Enum):
        column = column.cast(pl.String)
    if column.dtype.is_float():
        column = column.fill_nan(None)
    if column.dtype == pl.String:
        column = column.str.strip_chars()
        if kind == "boolean":
            words = {"true": True, "false": False}
            return column.str.to_lowercase().replace_strict(
                words, default=None, return_dtype=pl.Boolean
            )
        if kind == "date":
            return column.str.to_date("%Y-%m-%d", strict=False)
        if kind == "datetime":
            return column.str.to_datetime(strict=False)
    return column.cast(_TYPES[kind], strict=False)
