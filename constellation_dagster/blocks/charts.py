"""The block that draws."""

from io import BytesIO
from typing import Annotated, Any, Literal, TypeAlias, cast

import PIL.Image
import polars as pl
from pydantic import Field

from constellation_dagster.blocks.columns import require_columns
from constellation_dagster.domain.config_formats import COLUMN
from constellation_dagster.domain.errors import BlockFailed
from constellation_dagster.domain.ports import Image, Table
from constellation_dagster.domain.registry import block

ChartKind: TypeAlias = Literal["bar", "line", "scatter", "histogram", "box"]
Aggregate: TypeAlias = Literal["sum", "mean", "median", "min", "max"]

# More marks than this cannot be told apart, and take long to draw.
_MOST_MARKS = 5_000
_MOST_BARS = 200
_MOST_COLORS = 50
_FEW_TICKS = 12


@block(
    kind="evaluate",
    phrases=(
        "draw a chart",
        "plot a histogram",
        "scatter plot",
        "bar chart",
        "line graph",
        "visualize the data",
    ),
)
def chart(
    table: Table,
    *,
    kind: Annotated[ChartKind, Field(description="bar, line, scatter, histogram or box.")],
    x: Annotated[
        str,
        Field(
            json_schema_extra={"format": COLUMN},
            min_length=1,
            description="The column from left to right.",
        ),
    ],
    y: Annotated[
        str | None,
        Field(
            json_schema_extra={"format": COLUMN},
            description="The column from bottom to top; a bar without one counts rows.",
        ),
    ] = None,
    color: Annotated[
        str | None,
        Field(json_schema_extra={"format": COLUMN}, description="The column that colors tell."),
    ] = None,
    aggregate: Annotated[
        Aggregate | None,
        Field(
            description="How rows of one x become one bar (sum if not given) or point of a line (mean)."
        ),
    ] = None,
    bins: Annotated[int, Field(ge=1, le=200, description="How many bars a histogram has.")] = 20,
    title: Annotated[str, Field(description="What stands above it.")] = "",
    width: Annotated[int, Field(ge=50, le=2000, description="Its width in points.")] = 480,
    height: Annotated[int, Field(ge=50, le=2000, description="Its height in points.")] = 320,
) -> Image:
    """Draw a chart of a table.

    | kind | x | y |
    |---|---|---|
    | `bar` | a bar for each value | a column of numbers to `aggregate`, or none: rows are counted |
    | `line` | any column with an order | a column of numbers to `aggregate` |
    | `scatter` | any column | any column |
    | `histogram` | a column of numbers | none: rows are counted |
    | `box` | a box for each value | a column of numbers |

    Rows without a value in one of the columns are left out. Of more than 5,000 rows, `scatter`
    and `box` show as many at random; the others always tell of all.

    ```yaml
    - id: sizes
      block: chart
      config: {kind: scatter, x: bill_length_mm, y: body_mass_g, color: species}
    ```

    **Mistakes it tells:** columns that there are not, no rows, a `y` that is missing, superfluous
    or no number, more than 200 bars or 50 colors.
    """
    named = {"x": x, "y": y, "color": color}
    for key, name in named.items():
        if name is not None:
            require_columns(table, [name], key=key)
    _check_y(kind, y)
    columns = {key: name for key, name in named.items() if name is not None}
    # Short names of our own: a dot or bracket in a column's name means something to the library.
    data = table.select(pl.col(name).alias(key) for key, name in columns.items())
    data = data.fill_nan(None).drop_nulls()
    if not data.height:
        raise BlockFailed("There are no rows to draw: none has a value in each of the columns.")
    for key in ("x",) if kind == "histogram" else ("y",) if kind in ("bar", "line", "box") else ():
        if key in columns and not data[key].dtype.is_numeric():
            raise BlockFailed(f"{key}: a {kind} needs numbers, and {columns[key]!r} has none.")
    if (
        color is not None
        and _scale(data["color"]) == "nominal"
        and data["color"].n_unique() > _MOST_COLORS
    ):
        raise BlockFailed(
            f"color: {color!r} has {data['color'].n_unique()} different values; "
            f"{_MOST_COLORS} colors at most can be told apart."
        )
    if kind in ("bar", "line"):
        aggregate = aggregate or ("sum" if kind == "bar" else "mean")
    marks = _marks(kind, data, aggregate, bins)
    if aggregate is not None and y is not None and marks.height < data.height:
        columns["y"] = f"{aggregate} of {y}"
    specification = _specification(kind, marks, columns, (width, height), title)
    # Sums of colors add up to a whole; their means do not, so those stand side by side.
    if kind == "bar" and color is not None and y is not None and aggregate != "sum":
        specification["encoding"]["xOffset"] = {"field": "color"}
    return _drawn(specification)


def _check_y(kind: ChartKind, y: str | None) -> None:
    if kind == "histogram" and y is not None:
        raise BlockFailed("y: a histogram counts rows, so it has no y.", "Leave y out.")
    if kind in ("line", "scatter", "box") and y is None:
        raise BlockFailed(f"y: a {kind} needs one.", "Set y to the name of a column.")


def _marks(
    kind: ChartKind, data: pl.DataFrame, aggregate: Aggregate | None, bins: int
) -> pl.DataFrame:
    """The rows that are drawn as marks."""
    by_color = ["color"] if "color" in data.columns else []
    if kind == "bar" and data["x"].n_unique() > _MOST_BARS:
        raise BlockFailed(
            f"x: {data['x'].n_unique()} different values make more than {_MOST_BARS} bars.",
            "Choose another column, or draw a histogram.",
        )
    if kind in ("bar", "line"):
        value = pl.len().alias("y")
        if aggregate is not None and "y" in data.columns:
            value = getattr(pl.col("y"), aggregate)()
        return data.group_by("x", *by_color).agg(value).sort("x", *by_color)
    if kind == "histogram":
        return _binned(data, bins, by_color)
    return data if data.height <= _MOST_MARKS else data.sample(_MOST_MARKS, seed=0)


def _binned(data: pl.DataFrame, bins: int, by_color: list[str]) -> pl.DataFrame:
    values = data["x"].cast(pl.Float64)
    low, high = cast("float", values.min()), cast("float", values.max())
    width = (high - low) / bins or 1.0
    index = ((pl.col("x") - low) / width).floor().clip(0, bins - 1)
    return (
        data.with_columns((low + index * width).alias("x"))
        .group_by("x", *by_color)
        .agg(pl.len().alias("y"))
        .with_columns((pl.col("x") + width).alias("x_end"))
        .sort("x", *by_color)
    )


def _scale(column: pl.Series) -> Literal["quantitative", "temporal", "nominal"]:
    if column.dtype.is_numeric():
        return "quantitative"
    return "temporal" if isinstance(column.dtype, pl.Date | pl.Datetime) else "nominal"


def _specification(
    kind: ChartKind, data: pl.DataFrame, columns: dict[str, str], size: tuple[int, int], title: str
) -> dict[str, Any]:
    import altair as alt

    scales: dict[str, Any] = {name: _scale(data[name]) for name in data.columns}
    if kind in ("bar", "box") and scales["x"] == "quantitative":
        scales["x"] = "ordinal"
    channels: dict[str, Any] = {
        "x": alt.X(field="x", type=scales["x"], title=columns["x"], axis=_axis(data["x"], size[0])),
        "y": alt.Y(
            field="y", type=scales["y"], title=columns.get("y", "rows"), axis=_axis(data["y"], None)
        ),
    }
    if kind == "histogram":
        channels["x"] = channels["x"].bin("binned")
        channels["x2"] = alt.X2(field="x_end")
    if kind in ("scatter", "line", "box"):
        # Far from zero, everything would crowd together at the edge.
        for name in ("x", "y"):
            if scales[name] == "quantitative":
                channels[name] = channels[name].scale(zero=False)
    if "color" in columns:
        channels["color"] = alt.Color(field="color", type=scales["color"], title=columns["color"])
        if kind == "box":
            channels["xOffset"] = alt.XOffset(field="color")
    plain: Any = alt.Chart(alt.Data(values=_json_rows(data)))
    marked = {
        "bar": plain.mark_bar,
        "histogram": plain.mark_bar,
        "line": plain.mark_line,
        "scatter": plain.mark_circle,
        "box": plain.mark_boxplot,
    }[kind]()
    chart = marked.encode(**channels).properties(width=size[0], height=size[1])
    return cast("dict[str, Any]", (chart.properties(title=title) if title else chart).to_dict())


def _axis(column: pl.Series, width: int | None) -> Any:
    """An axis without odd numbers: years without a comma, no halves of whole numbers."""
    import altair as alt

    options: dict[str, Any] = {"titlePadding": 12}
    if column.dtype.is_integer():
        low, high = cast("int", column.min()), cast("int", column.max())
        years = low >= 1500 and high <= 2500
        options["format"] = "d" if years else ",d"
        if high - low < _FEW_TICKS:
            options["values"] = list(range(low, high + 1))
    elif width is not None and _scale(column) == "nominal":
        # About seven points a letter: labels lie flat where they find room.
        letters = sum(len(str(value)) + 2 for value in column.unique())
        options["labelAngle"] = 0 if letters * 7 < width else -60
    return alt.Axis(**options)


def _json_rows(data: pl.DataFrame) -> list[dict[str, Any]]:
    """The rows with nothing but what JSON has."""
    plain = [
        pl.col(name).cast(pl.Float64) if dtype.is_decimal() else pl.col(name).cast(pl.String)
        for name, dtype in data.schema.items()
        if not (dtype.is_integer() or dtype.is_float() or isinstance(dtype, pl.Boolean))
    ]
    return data.with_columns(plain).to_dicts()


def _drawn(specification: dict[str, Any]) -> PIL.Image.Image:
    import vl_convert

    # No base URL is allowed, so that nothing is ever fetched to draw a chart.
    content = vl_convert.vegalite_to_png(specification, scale=2, allowed_base_urls=[])
    image = PIL.Image.open(BytesIO(content))
    image.load()
    return image
