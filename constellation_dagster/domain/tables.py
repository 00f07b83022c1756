"""What a block that reads or writes the platform's tables is lent."""

from collections.abc import Sequence
from typing import Literal, Protocol

import polars as pl


class TableStore(Protocol):
    """The tables that the pipeline's owner may use."""

    def read(self, table: str, *, columns: Sequence[str] | None, limit: int | None) -> pl.DataFrame:
        """The rows of a table.

        Raises:
            BlockFailed: There is no such table or column; it names those there are.
        """
        ...

    def write(self, table: str, frame: pl.DataFrame, *, mode: Literal["append", "replace"]) -> int:
        """Write the rows of `frame` into a table that exists, and return how many they were.

        Raises:
            BlockFailed: There is no such table or column, or the values do not fit.
        """
        ...

    def upsert(self, table: str, frame: pl.DataFrame, *, keys: Sequence[str]) -> int:
        """Write each row in place of the one with the same keys, or add it if there is none.

        Returns:
            How many rows were written.

        Raises:
            BlockFailed: There is no such table or column, the table's keys are others, or the
                values do not fit.
        """
        ...
