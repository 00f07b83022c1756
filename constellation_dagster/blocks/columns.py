"""What blocks say about the columns of tables."""

from collections.abc import Iterable

import polars as pl

from constellation_dagster.domain.errors import BlockFailed
from constellation_dagster.domain.suggestions import closest, listing


def require_columns(table: pl.DataFrame, names: Iterable[str], *, key: str) -> None:
    """Fail unless a table has all these columns.

    Args:
        table: The table.
        names: The columns that it has to have.
        key: The configuration key that names them.

    Raises:
        BlockFailed: It lacks some; the message names these and those that there are.
    """
    unknown = [name for name in dict.fromkeys(names) if name not in table.columns]
    if not unknown:
        return
    known = f"The columns are {listing(table.columns)}." if table.columns else "It has no columns."
    meant = [name for name in (closest(name, table.columns) for name in unknown) if name]
    guess = f"Did you mean {listing(meant)}? " if meant else ""
    is_are = "a column" if len(unknown) == 1 else "columns"
    raise BlockFailed(
        f"{key}: the table does not have {is_are} {listing(unknown)}.", f"{guess}{known}"
    )


def require_complete(table: pl.DataFrame, names: Iterable[str], *, why: str) -> None:
    """Fail unless these columns have no missing values.

    Raises:
        BlockFailed: Some have; the message counts them by column.
    """
    counts = {name: missing_count(table[name]) for name in names}
    gaps = [f"{name!r} ({count})" for name, count in counts.items() if count]
    if gaps:
        raise BlockFailed(
            f"{why}, but values are missing in {', '.join(gaps)}.",
            "Put an impute_missing before it, or filter_rows with '<column> is not None'.",
        )


def missing_count(column: pl.Series) -> int:
    """How many values a column lacks; NaN is no value either."""
    count = column.null_count()
    return count + int(column.is_nan().sum()) if column.dtype.is_float() else count
