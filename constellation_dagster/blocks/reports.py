"""The block that writes a report."""

from base64 import b64encode
from html import escape
from io import BytesIO
from typing import Annotated

import PIL.Image
import polars as pl
from pydantic import Field

from constellation_dagster.blocks.urls import write_file
from constellation_dagster.domain.config_formats import WRITE_URL
from constellation_dagster.domain.ports import File, Image, Metrics, Table
from constellation_dagster.domain.registry import block

# The page needs nothing from elsewhere, and may not fetch or run anything, whatever is in it.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
  color: #1c1c1c; background: #fff }
h1 { font-size: 1.6rem } h2 { font-size: 1.15rem; margin-top: 2rem }
div { overflow-x: auto } table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { padding: .25rem .75rem; border-bottom: 1px solid #ddd; text-align: left }
td.n, th.n { text-align: right } td.none { color: #999 } p { color: #555 } img { max-width: 100% }
"""
_LONGEST_CELL = 500


@block(
    kind="sink",
    phrases=(
        "write an HTML report",
        "make a report",
        "save a web page with the results",
        "publish a summary page",
        "put everything into one report",
    ),
)
def html_report(
    sections: list[Table],
    metrics: Metrics | None = None,
    images: list[Image] | None = None,
    *,
    url: Annotated[
        str,
        Field(
            json_schema_extra={"format": WRITE_URL},
            min_length=1,
            description="Path or URL of the file (file:, s3:, ...).",
        ),
    ],
    title: Annotated[str, Field(description="What stands above it.")] = "Report",
    headings: Annotated[
        list[str],
        Field(description="What stands above each table, in their order; numbers if not given."),
    ] = [],  # noqa: B006 - becomes a field's default, which pydantic copies
    rows: Annotated[
        int, Field(ge=1, le=10_000, description="How many rows of a table are shown at most.")
    ] = 100,
) -> File:
    """Write tables, figures and images into one HTML file.

    It takes the place of one that is there. The page stands for itself: it loads nothing from elsewhere and runs no scripts. Whatever is
    in the tables is shown as text.

    ```yaml
    - id: report
      block: html_report
      config: {url: results/report.html, title: Penguins by species}
    ```

    **Mistakes it tells:** places that may not be written.
    """
    parts = [f"<h1>{escape(title)}</h1>"]
    if metrics:
        schema = {"metric": pl.String, "value": pl.Float64}
        figures = pl.DataFrame(list(metrics.items()), schema=schema, orient="row")
        parts += ["<h2>Metrics</h2>", _table(figures, rows=figures.height)]
    for number, table in enumerate(sections):
        heading = headings[number] if number < len(headings) else f"Table {number + 1}"
        parts += [f"<h2>{escape(heading)}</h2>", _table(table, rows=rows)]
    parts += [_picture(image, number) for number, image in enumerate(images or [], 1)]
    page = (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body>\n</html>\n"
    )
    return write_file(url, page.encode("utf-8", errors="replace"))


def _table(table: pl.DataFrame, *, rows: int) -> str:
    sides = [' class="n"' if dtype.is_numeric() else "" for dtype in table.dtypes]
    head = "".join(
        f"<th{side}>{escape(name)}</th>" for name, side in zip(table.columns, sides, strict=True)
    )
    body = "\n".join(
        f"<tr>{''.join(map(_cell, row, sides))}</tr>" for row in table.head(rows).iter_rows()
    )
    shown = f"{min(rows, table.height)} of {table.height}" if table.height > rows else table.height
    return (
        f"<div><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table></div>"
        f"\n<p>{shown} row{'' if table.height == 1 else 's'}</p>"
    )


def _cell(value: object, side: str) -> str:
    if value is None:
        return '<td class="none">missing</td>'
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    if len(text) > _LONGEST_CELL:
        text = f"{text[:_LONGEST_CELL]}…"
    return f"<td{side}>{escape(text)}</td>"


def _picture(image: PIL.Image.Image, number: int) -> str:
    buffer = BytesIO()
    image.save(buffer, "PNG")
    data = b64encode(buffer.getvalue()).decode()
    return (
        f'<h2>Image {number}</h2>\n<img alt="Image {number}" src="data:image/png;base64,{data}" '
        f'width="{image.width}">'
    )
