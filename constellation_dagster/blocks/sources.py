"""Blocks that bring data in."""

import importlib.metadata
from io import BytesIO
from typing import Annotated, Any, Literal, cast

import polars as pl
from pydantic import Field

from constellation_dagster.blocks.columns import require_columns
from constellation_dagster.blocks.urls import open_url
from constellation_dagster.domain.config_formats import COLUMN, READ_URL, TABLE
from constellation_dagster.domain.errors import BlockFailed
from constellation_dagster.domain.ports import Table
from constellation_dagster.domain.registry import block
from constellation_dagster.domain.tables import TableStore


@block(
    kind="source",
    phrases=(
        "try a sample data set",
        "use the penguins data",
        "load example data",
        "iris flowers data set",
        "a well-known public data set",
    ),
)
def sample_data(
    *,
    name: Annotated[
        Literal["penguins", "iris", "wine", "breast_cancer", "diabetes"],
        Field(description="Which data set."),
    ],
) -> Table:
    """A well-known public data set, to try things out without any file.

    | name | rows | to predict | columns |
    |---|---|---|---|
    | `penguins` | 344 | `species` | sizes of penguins, island, sex; **some values are missing** |
    | `iris` | 150 | `target` | sizes of iris flowers |
    | `wine` | 178 | `target` | chemistry of wines from three cultivars |
    | `breast_cancer` | 569 | `target` | measures of cell nuclei, malignant or benign |
    | `diabetes` | 442 | `target`, a number | age, sex, blood measures and the progress of diabetes |

    ```yaml
    - id: load
      block: sample_data
      config: {name: penguins}
    ```
    """
    if name == "penguins":
        # Located by its metadata: importing the package would import pandas as well.
        package = importlib.metadata.distribution("palmerpenguins")
        path = str(package.locate_file("palmerpenguins/data/penguins.csv"))
        return pl.read_csv(path, null_values=["NA"])
    from sklearn import datasets

    loaders: dict[str, Any] = {
        "iris": datasets.load_iris,
        "wine": datasets.load_wine,
        "breast_cancer": datasets.load_breast_cancer,
        "diabetes": datasets.load_diabetes,
    }
    options = {"scaled": False} if name == "diabetes" else {}
    data: Any = loaders[name](**options)
    columns = {
        _column_name(str(feature)): data.data[:, index]
        for index, feature in enumerate(data.feature_names)
    }
    target: list[object] = data.target.tolist()
    if name != "diabetes":
        target = [str(data.target_names[label]) for label in cast("list[int]", target)]
    return pl.DataFrame({**columns, "target": target})


def _column_name(name: str) -> str:
    """`sepal length (cm)` as `sepal_length_cm`, so that filters can name it as it is."""
    return "_".join("".join(c if c.isalnum() else " " for c in name.lower()).split())


@block(
    kind="source",
    phrases=(
        "read a CSV file",
        "load the CSV",
        "import a spreadsheet saved as CSV",
        "open data from a comma separated file",
        "take the file.csv",
    ),
)
def read_csv(
    *,
    url: Annotated[
        str,
        Field(
            json_schema_extra={"format": READ_URL},
            min_length=1,
            description="Path or URL of the file (file:, https:, s3:, ...).",
        ),
    ],
    separator: Annotated[
        str, Field(min_length=1, max_length=1, description="The character between two values.")
    ] = ",",
    has_header: Annotated[
        bool, Field(description="Whether the first line names the columns.")
    ] = True,
    null_values: Annotated[
        list[str], Field(description="Texts that stand for a missing value, besides nothing.")
    ] = ["NA", "NaN", "null"],  # noqa: B006 - becomes a field's default, which pydantic copies
    parse_dates: Annotated[
        bool, Field(description="Whether to turn columns of dates and times into such.")
    ] = True,
) -> Table:
    """Read a CSV file in UTF-8.

    The types of the columns are found from all rows. Without a header the columns are named
    `column_0`, `column_1` and so on.

    ```yaml
    - id: load
      block: read_csv
      config: {url: data/houses.csv, separator: ";"}
    ```

    **Mistakes it tells:** no such file, no rows at all, lines with more values than the first,
    other encodings than UTF-8.
    """
    with open_url(url) as file:
        content = file.read()
    if not content.strip():
        raise BlockFailed(f"The file {url!r} is empty.")
    try:
        return pl.read_csv(
            BytesIO(content),
            separator=separator,
            has_header=has_header,
            null_values=null_values,
            try_parse_dates=parse_dates,
            infer_schema_length=None,
        )
    except pl.exceptions.PolarsError as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise BlockFailed(
            f"The file {url!r} cannot be read as CSV: {reason}.",
            f"Is {separator!r} its separator, and is it in UTF-8?",
        ) from error


@block(
    kind="source",
    phrases=(
        "read a Parquet file",
        "load the Parquet",
        "open the Parquet file",
        "import columnar data",
    ),
)
def read_parquet(
    *,
    url: Annotated[
        str,
        Field(
            json_schema_extra={"format": READ_URL},
            min_length=1,
            description="Path or URL of the file (file:, https:, s3:, ...).",
        ),
    ],
    columns: Annotated[
        list[str] | None,
        Field(
            json_schema_extra={"format": COLUMN},
            min_length=1,
            description="The columns to read; all if not given.",
        ),
    ] = None,
) -> Table:
    """Read a Parquet file.

    ```yaml
    - id: load
      block: read_parquet
      config: {url: "https://example.org/houses.parquet", columns: [price, rooms]}
    ```

    **Mistakes it tells:** no such file, no Parquet file, columns that it does not have.
    """
    with open_url(url) as file:
        content = BytesIO(file.read())
    try:
        if columns is not None:
            require_columns(
                pl.DataFrame(schema=pl.read_parquet_schema(content)), columns, key="columns"
            )
            content.seek(0)
        return pl.read_parquet(content, columns=columns)
    except pl.exceptions.PolarsError as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise BlockFailed(f"The file {url!r} cannot be read as Parquet: {reason}.") from error


@block(
    kind="source",
    resources=("tables",),
    phrases=(
        "read a table of the database",
        "load rows from a database table",
        "take the table from Supabase",
        "query the database table",
    ),
)
def read_table(
    *,
    name: Annotated[
        str,
        Field(json_schema_extra={"format": TABLE}, min_length=1, description="The table's name."),
    ],
    columns: Annotated[
        list[str] | None,
        Field(
            json_schema_extra={"format": COLUMN},
            min_length=1,
            description="The columns to read; all if not given.",
        ),
    ] = None,
    limit: Annotated[int | None, Field(ge=1, description="The most rows to read.")] = None,
    tables: TableStore,
) -> Table:
    """Read a table of the platform's database.

    It reads as the pipeline's owner, and so sees the rows that the owner may see.

    ```yaml
    - id: load
      block: read_table
      config: {name: houses, columns: [price, rooms], limit: 1000}
    ```

    **Mistakes it tells:** tables and columns that there are not, or not for the owner.
    """
    return tables.read(name, columns=columns, limit=limit)
