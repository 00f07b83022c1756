"""Blocks that bring results out."""

from io import BytesIO
from typing import Annotated, Literal

from pydantic import Field

from constellation_dagster.blocks.urls import write_file
from constellation_dagster.domain.config_formats import TABLE, WRITE_URL
from constellation_dagster.domain.errors import BlockFailed
from constellation_dagster.domain.ports import File, Metrics, Table
from constellation_dagster.domain.registry import block
from constellation_dagster.domain.tables import TableStore


@block(
    kind="sink",
    phrases=(
        "write to Parquet",
        "save as a Parquet file",
        "export to Parquet",
        "store the result in a Parquet file",
    ),
)
def write_parquet(
    table: Table,
    *,
    url: Annotated[
        str,
        Field(
            json_schema_extra={"format": WRITE_URL},
            min_length=1,
            description="Path or URL of the file (file:, s3:, ...).",
        ),
    ],
) -> File:
    """Write a table into a Parquet file, in place of one that is there.

    It returns the file's URL, size and SHA-256. A local file appears only when it is complete, and its
    folder is made if need be.

    ```yaml
    - id: save
      block: write_parquet
      config: {url: results/predictions.parquet}
    ```

    **Mistakes it tells:** places that may not be written.
    """
    buffer = BytesIO()
    table.write_parquet(buffer)
    return write_file(url, buffer.getvalue())


@block(
    kind="sink",
    resources=("tables",),
    phrases=(
        "write into a database table",
        "save to the table",
        "append rows to a table of the database",
        "store the results in Supabase",
    ),
)
def write_table(
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
    mode: Annotated[
        Literal["append", "replace"],
        Field(description="Add the rows, or put them in place of the owner's present ones."),
    ] = "append",
    tables: TableStore,
) -> Metrics:
    """Write a table into a table of the platform's database, which has to exist.

    It writes as the pipeline's owner, all rows or none, each column into the one of the same
    name, and returns the number of `rows` written.

    ```yaml
    - id: publish
      block: write_table
      config: {name: predictions, mode: replace}
    ```

    **Mistakes it tells:** tables and columns that there are not, values that do not fit, a table
    without columns.
    """
    if not table.columns:
        raise BlockFailed("There is nothing to write: the table has no columns.")
    return {"rows": tables.write(name, table, mode=mode)}
