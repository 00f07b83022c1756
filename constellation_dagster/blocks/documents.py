"""Blocks that read and write JSON, CSV and text."""

from io import BytesIO
from typing import Annotated

import polars as pl
from pydantic import Field

from constellation_dagster.blocks.records import as_table, find_records, parse_json
from constellation_dagster.blocks.urls import open_url, write_file
from constellation_dagster.domain.config_formats import READ_URL, WRITE_URL
from constellation_dagster.domain.errors import BlockFailed
from constellation_dagster.domain.ports import File, Table, Text
from constellation_dagster.domain.registry import block


@block(
    kind="source",
    phrases=(
        "read a JSON file",
        "load the JSON",
        "import JSON lines",
        "open a file of JSON objects",
        "take the file.json",
    ),
)
def read_json(
    *,
    url: Annotated[
        str,
        Field(
            json_schema_extra={"format": READ_URL},
            min_length=1,
            description="Path or URL of the file (file:, https:, s3:, ...).",
        ),
    ],
    records_path: Annotated[
        str | None,
        Field(
            min_length=1,
            description="The keys that lead to the records, such as `data.items`, if they are "
            "within an object.",
        ),
    ] = None,
) -> Table:
    """Read a JSON file, or one of JSON lines.

    It holds records, in a list or one on each line. A record is an object and becomes a row, with a column for each key. Lists and objects within
    it come as JSON text, as do values in a column of several types.

    ```yaml
    - id: load
      block: read_json
      config: {url: data/houses.json, records_path: data.items}
    ```

    **Mistakes it tells:** no such file, no JSON, no records where records_path leads.
    """
    with open_url(url) as file:
        document = parse_json(file.read(), url=url)
    return as_table(find_records(document, records_path, url=url))


@block(
    kind="source",
    phrases=(
        "read a text file",
        "load the text",
        "open a plain text document",
        "take the words of a txt file",
    ),
)
def read_text(
    *,
    url: Annotated[
        str,
        Field(
            json_schema_extra={"format": READ_URL},
            min_length=1,
            description="Path or URL of the file (file:, https:, s3:, ...).",
        ),
    ],
) -> Text:
    """Read a text file in UTF-8.

    ```yaml
    - id: load
      block: read_text
      config: {url: notes/monday.txt}
    ```

    **Mistakes it tells:** no such file, other encodings than UTF-8.
    """
    with open_url(url) as file:
        content = file.read()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BlockFailed(
            f"The file {url!r} is no text in UTF-8: byte {error.start} does not fit.",
            "Save it in UTF-8.",
        ) from error


@block(
    kind="sink",
    phrases=(
        "write to JSON",
        "save as a JSON file",
        "export to JSON",
        "write JSON lines",
    ),
)
def write_json(
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
    lines: Annotated[
        bool, Field(description="Whether to write a record on each line instead of one list.")
    ] = False,
) -> File:
    """Write a table into a JSON file, in place of one that is there.

    It becomes a list of records, an object for each row. Dates are written as texts, missing values and NaN as `null`.

    ```yaml
    - id: save
      block: write_json
      config: {url: results/houses.json}
    ```

    **Mistakes it tells:** places that may not be written, columns that JSON cannot hold.
    """
    buffer = BytesIO()
    try:
        # Polars writes NaN as null.
        table.write_ndjson(buffer) if lines else table.write_json(buffer)
    except pl.exceptions.PolarsError as error:
        raise _unwritable("JSON", error) from error
    return write_file(url, buffer.getvalue())


@block(
    kind="sink",
    phrases=(
        "write to CSV",
        "save as a CSV file",
        "export to CSV",
        "save a spreadsheet",
        "write comma separated values",
    ),
)
def write_csv(
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
    separator: Annotated[
        str, Field(pattern=r"^[\x20-\x7e\t]$", description="The character between two values.")
    ] = ",",
) -> File:
    """Write a table into a CSV file, in place of one that is there.

    Its first line names the columns. It is in UTF-8; missing values are empty.

    ```yaml
    - id: save
      block: write_csv
      config: {url: results/houses.csv, separator: ";"}
    ```

    **Mistakes it tells:** places that may not be written, columns of lists and the like, which
    CSV cannot hold.
    """
    buffer = BytesIO()
    try:
        table.write_csv(buffer, separator=separator)
    except pl.exceptions.PolarsError as error:
        raise _unwritable("CSV", error) from error
    return write_file(url, buffer.getvalue())


def _unwritable(what: str, error: Exception) -> BlockFailed:
    reason = str(error).splitlines()[0].rstrip(".")
    return BlockFailed(
        f"The table cannot be written as {what}: {reason}.",
        "Leave such columns out with select_columns, or use write_parquet.",
    )


@block(
    kind="sink",
    phrases=(
        "write the text to a file",
        "save as a text file",
        "export the text",
    ),
)
def write_text(
    text: Text,
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
    """Write a text into a file in UTF-8, in place of one that is there.

    ```yaml
    - id: save
      block: write_text
      config: {url: results/summary.txt}
    ```

    **Mistakes it tells:** places that may not be written.
    """
    return write_file(url, text.encode("utf-8", errors="replace"))
