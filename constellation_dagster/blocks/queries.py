"""The block that runs SQL."""

from typing import Annotated

import polars as pl
from pydantic import Field

from constellation_dagster.domain.config_formats import SQL
from constellation_dagster.domain.errors import BlockFailed
from constellation_dagster.domain.ports import Table
from constellation_dagster.domain.registry import block

# What a query may not do: read files or the network, load extensions, see Python's variables.
_LOCKED: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "python_enable_replacements": "false",
    "memory_limit": "1GB",
    "threads": "2",
}


@block(
    kind="transform",
    phrases=("run a SQL query", "query the tables with SQL", "select with SQL", "a DuckDB query"),
)
def sql(
    tables: list[Table],
    *,
    query: Annotated[
        str,
        Field(
            min_length=1,
            max_length=20_000,
            json_schema_extra={"format": SQL},
            description="The query, in DuckDB's SQL; the tables are `t1`, `t2` and so on.",
        ),
    ],
) -> Table:
    """Query tables with SQL.

    The tables are `t1`, `t2` and so on, in the order of the edges, and the first is `t` as well.
    A query sees nothing else: neither files nor the network.

    ```yaml
    - id: query
      block: sql
      config: {query: "select species, avg(body_mass_g) as mass from t group by species"}
    ```

    **Mistakes it tells:** what DuckDB says of the query, files and settings that it asks for.
    """
    import duckdb

    with duckdb.connect(":memory:", config=_LOCKED) as connection:
        for number, table in enumerate(tables, start=1):
            connection.register(f"t{number}", table)
        if tables:
            connection.register("t", tables[0])
        connection.execute("SET lock_configuration = true")
        try:
            result = connection.sql(query)
            # A statement that gives no rows, such as CREATE TABLE, has no result.
            frame = None if result is None else pl.DataFrame(result)  # pyright: ignore[reportUnnecessaryComparison]
        except duckdb.Error as error:
            reason = str(error).partition("\n\nLINE")[0].replace("\n", " ").rstrip(".")
            raise BlockFailed(f"query: {reason}.", "The tables are t1, t2 and so on.") from error
    if frame is None:
        raise BlockFailed("query: it gives no rows.", "Write a SELECT.")
    return frame
