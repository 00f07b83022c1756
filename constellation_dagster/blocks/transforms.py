"""Blocks from tables to tables."""

from typing import Annotated, Any, Literal, NamedTuple, cast

import polars as pl
from polars import selectors as cs
from pydantic import Field

from constellation_dagster.blocks.columns import require_columns, require_complete
from constellation_dagster.blocks.expressions import parse_condition
from constellation_dagster.domain.config_formats import COLUMN, CONDITION
from constellation_dagster.domain.errors import BlockFailed
from constellation_dagster.domain.ports import Table
from constellation_dagster.domain.registry import block


@block(
    kind="transform",
    phrases=(
        "keep only these columns",
        "select columns",
        "drop columns",
        "remove the column",
        "leave out some columns",
    ),
)
def select_columns(
    table: Table,
    *,
    columns: Annotated[
        list[str],
        Field(json_schema_extra={"format": COLUMN}, min_length=1, description="The columns."),
    ],
    mode: Annotated[
        Literal["keep", "drop"],
        Field(description="Keep just these columns, in this order, or leave just these out."),
    ] = "keep",
) -> Table:
    """Keep some columns of a table, or leave some out.

    ```yaml
    - id: features
      block: select_columns
      config: {columns: [year, island], mode: drop}
    ```

    **Mistakes it tells:** columns that the table does not have, and one named twice.
    """
    require_columns(table, columns, key="columns")
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        raise BlockFailed(f"columns: {twice[0]!r} is there more than once.", "Keep one.")
    return table.select(columns) if mode == "keep" else table.drop(columns)


@block(
    kind="transform",
    phrases=(
        "filter rows where",
        "keep only rows with",
        "remove rows where",
        "only those over a limit",
        "rows that match a condition",
    ),
)
def filter_rows(
    table: Table,
    *,
    where: Annotated[
        str,
        Field(
            json_schema_extra={"format": CONDITION},
            min_length=1,
            max_length=2000,
            description="The condition, such as `price > 100 and city in ['Bonn', 'Rome']`.",
        ),
    ],
) -> Table:
    """Keep the rows for which a condition is true.

    Conditions are written as in Python and can do nothing but look at the row:

    - columns by their names; `col('unit price')` where the name is no plain word
    - numbers, texts in quotes, `True`, `False`, and `None` for a missing value
    - `==`, `!=`, `<`, `<=`, `>`, `>=`, also chained: `10 <= age < 20`
    - `in ['a', 'b']`, `not in [...]`; `is None`, `is not None`
    - `and`, `or`, `not`, brackets; `+`, `-`, `*`, `/`, `//`, `%`
    - `abs(x)`, `lower(text)`, `upper(text)`, `length(text)`, `contains(text, 'part')`,
      `starts_with(text, 'part')`, `ends_with(text, 'part')`, `date('2026-01-31')`

    A comparison with a missing value is not true, so such rows are left out.

    ```yaml
    - id: heavy
      block: filter_rows
      config: {where: "body_mass_g > 4000 and sex is not None"}
    ```

    **Mistakes it tells**, with the place in the condition: columns that there are not, wrong
    syntax, comparing text with numbers, a condition that is neither true nor false.
    """
    return table.filter(parse_condition(where, table.schema))


@block(
    kind="transform",
    phrases=(
        "fill in missing values",
        "impute missing values",
        "replace missing values by the mean",
        "fill the gaps",
        "fill nulls",
    ),
)
def impute_missing(
    table: Table,
    *,
    columns: Annotated[
        list[str] | None,
        Field(
            json_schema_extra={"format": COLUMN},
            min_length=1,
            description="The columns to fill; all if not given.",
        ),
    ] = None,
    numbers: Annotated[
        Literal["mean", "median", "most_frequent", "constant"],
        Field(description="What to put into columns of numbers."),
    ] = "mean",
    numbers_constant: Annotated[
        float, Field(description="The number to put where `numbers` is `constant`.")
    ] = 0,
    texts: Annotated[
        Literal["most_frequent", "constant"], Field(description="What to put into columns of text.")
    ] = "most_frequent",
    texts_constant: Annotated[
        str, Field(description="The text to put where `texts` is `constant`.")
    ] = "missing",
) -> Table:
    """Fill in missing values, column by column.

    Columns of numbers and of text each have their strategy; all other columns (dates, true or
    false) get their most frequent value. NaN counts as missing. Columns of whole numbers stay
    such: what is put in is rounded.

    ```yaml
    - id: impute
      block: impute_missing
      config: {numbers: median, texts: constant, texts_constant: unknown}
    ```

    **Mistakes it tells:** columns that the table does not have, columns that have no value at
    all to fill in from.
    """
    if columns is not None:
        require_columns(table, columns, key="columns")
    filled: list[pl.Series] = []
    empty: list[str] = []
    chosen = table.select(columns or table.columns)
    for column in chosen.with_columns(
        cs.float().fill_nan(None), (cs.categorical() | cs.enum()).cast(pl.String)
    ):
        value: object
        if not column.null_count():
            continue
        if column.dtype.is_numeric():
            value = numbers_constant if numbers == "constant" else _typical(column, numbers)
        elif column.dtype == pl.String and texts == "constant":
            value = texts_constant
        else:
            value = _typical(column, "most_frequent")
        if value is None:
            empty.append(column.name)
        elif column.dtype.is_integer():
            filled.append(column.fill_null(round(cast("float", value))))
        else:
            filled.append(column.fill_null(pl.lit(value, dtype=column.dtype)))
    if empty:
        names = ", ".join(map(repr, empty))
        raise BlockFailed(
            f"There is no value at all in {names}, so nothing can be filled in from it.",
            "Leave it out with select_columns, or fill in a constant.",
        )
    return table.with_columns(filled)


def _typical(column: pl.Series, strategy: str) -> object:
    if strategy == "mean":
        return column.mean()
    if strategy == "median":
        return column.median()
    # Of several that are as frequent, always the same one.
    modes = column.drop_nulls().mode().sort()
    return modes[0] if len(modes) else None


class SplitRows(NamedTuple):
    """The two parts of a table."""

    train: Annotated[Table, Field(description="The rows to learn from.")]
    test: Annotated[Table, Field(description="The rows to judge by.")]


@block(
    kind="transform",
    phrases=(
        "split into train and test",
        "hold out a test set",
        "split the data at random",
        "set aside some rows for testing",
    ),
)
def split_rows(
    table: Table,
    *,
    test_fraction: Annotated[
        float, Field(gt=0, lt=1, description="The part of the rows that goes into `test`.")
    ] = 0.25,
    seed: Annotated[
        int, Field(ge=0, lt=2**32, description="Another number gives another split.")
    ] = 0,
    stratify: Annotated[
        str | None,
        Field(
            json_schema_extra={"format": COLUMN},
            description="A column whose values are to be as frequent in both parts.",
        ),
    ] = None,
) -> SplitRows:
    """Split the rows at random into a part to learn from and a part to judge by.

    The same table and seed always give the same split.

    ```yaml
    - id: split
      block: split_rows
      config: {test_fraction: 0.3, seed: 7, stratify: species}
    ```

    **Mistakes it tells:** too few rows, a column to stratify by that does not exist, lacks
    values, or has one of its values only once.
    """
    from sklearn import model_selection

    split: Any = cast("Any", model_selection).train_test_split
    if table.height < 2:
        raise BlockFailed(f"The table has {table.height} row(s); a split needs two at least.")
    groups: list[object] | None = None
    if stratify is not None:
        require_columns(table, [stratify], key="stratify")
        require_complete(table, [stratify], why="Splitting by a column needs all its values")
        groups = table[stratify].to_list()
        single = table[stratify].value_counts().filter(pl.col("count") < 2)[stratify].to_list()
        if single:
            raise BlockFailed(
                f"stratify: {single[0]!r} is in column {stratify!r} only once, so it cannot be in "
                "both parts.",
                "Stratify by a column with fewer different values, or not at all.",
            )
    try:
        parts: list[list[int]] = split(
            list(range(table.height)), test_size=test_fraction, random_state=seed, stratify=groups
        )
    except ValueError as error:
        raise BlockFailed(
            f"The {table.height} rows cannot be split so: {error}", "Change test_fraction."
        ) from error
    train, test = (table[sorted(part)] for part in parts)
    return SplitRows(train, test)
