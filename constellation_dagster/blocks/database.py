"""The block that brings a table of the database up to date."""

from typing import Annotated

from pydantic import Field

from constellation_dagster.blocks.columns import require_columns, require_complete
from constellation_dagster.domain.config_formats import COLUMN, TABLE
from constellation_dagster.domain.errors import BlockFailed
from constellation_dagster.domain.ports import Metrics, Table
from constellation_dagster.domain.registry import block
from constellation_dagster.domain.suggestions import listing
from constellation_dagster.domain.tables import TableStore


@block(
    kind="sink",
    resources=("tables",),
    phrases=(
        "upsert into a table of the database",
        "update the rows in the database",
        "insert or update rows by key",
        "merge into the database table",
        "bring the table up to date",
    ),
)
def upsert_table(
    table: Table,
    *,
    name: Annotated[
        str,
        Field(
            json_schema_extra={"format": TABLE},
            min_length=1,
            description="The name of the table to write into.",
        ),
    ],
    keys: Annotated[
        list[str],
        Field(
            json_schema_extra={"format": COLUMN},
            min_length=1,
            description="The columns that tell rows apart: the primary key, or unique ones.",
        ),
    ],
    tables: TableStore,
) -> Metrics:
    """Update rows of a table of the database by their keys, and add new ones.

    A row is put in place of the one with the same keys. A row whose keys are not there yet is added; of one that is there only the columns change
    that are written. It writes as the pipeline's owner, all rows or none, into a table that has
    to exist, and returns the number of `rows` written. Writing the same twice changes nothing.

    ```yaml
    - id: update
      block: upsert_table
      config: {name: houses, keys: [id]}
    ```

    **Mistakes it tells:** tables and columns that there are not, keys that are missing in a row,
    are there twice or do not tell the table's rows apart, values that do not fit.
    """
    require_columns(table, keys, key="keys")
    require_complete(table, keys, why="Rows are told apart by their keys")
    keys = list(dict.fromkeys(keys))
    twice = table.select(keys).filter(table.select(keys).is_duplicated())
    if twice.height:
        raise BlockFailed(
            f"keys: several rows have the same {listing(keys)}, such as {twice.row(0)!r}.",
            "Leave all but one out with deduplicate, or name more keys.",
        )
    return {"rows": tables.upsert(name, table, keys=keys)}
