"""What stands on a materialization, whatever the values are."""

import base64
import json
from datetime import date
from decimal import Decimal
from io import BytesIO
from typing import Any

import dagster as dg
import numpy as np
import polars as pl
import pytest
from PIL import Image as PILImage
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from constellation_dagster.components.metadata import (
    HEAD_COLUMNS,
    HEAD_ROWS,
    INLINE_IMAGE_PIXELS,
    JSON_CHARACTERS,
    output_metadata,
)
from constellation_dagster.domain.markdown import CELL_CHARACTERS
from constellation_dagster.domain.ports import Port, PortType
from constellation_dagster.domain.values import File, Model


def described(port_type: PortType, value: object) -> dict[str, Any]:
    """Values by label of a lone output."""
    metadata = output_metadata((Port(name="out", type=port_type),), {"out": value})
    # As Dagster stores them: what cannot be written down fails here.
    dg.AssetMaterialization("a", metadata=metadata)
    return {label: entry.value for label, entry in metadata.items()}


def head(frame: pl.DataFrame) -> list[str]:
    return described(PortType.TABLE, frame)["head"].splitlines()


def test_a_table() -> None:
    frame = pl.DataFrame({"n": range(9), "x": [1 / 3] * 9, "day": [date(2024, 2, 29)] * 9})
    shown = described(PortType.TABLE, frame)
    assert shown["dagster/row_count"] == 9
    columns = [(column.name, column.type) for column in shown["dagster/column_schema"].columns]
    assert columns == [("n", "Int64"), ("x", "Float64"), ("day", "Date")]
    lines = shown["head"].splitlines()
    assert lines[:3] == ["| n | x | day |", "| --- | --- | --- |", "| 0 | 0.333333 | 2024-02-29 |"]
    assert len(lines) == 2 + HEAD_ROWS


def test_a_table_of_nothing() -> None:
    assert head(pl.DataFrame({"a": []})) == ["| a |", "| --- |"]
    assert described(PortType.TABLE, pl.DataFrame())["dagster/row_count"] == 0


def test_a_wide_table_says_what_it_hides() -> None:
    lines = head(pl.DataFrame({f"c{number}": [number] for number in range(HEAD_COLUMNS + 3)}))
    assert lines[0].count("|") == HEAD_COLUMNS + 1
    assert lines[-1] == "… and 3 more columns"


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        ("a|b", "a\\|b"),
        ("a\\|b", "a\\\\\\|b"),
        ("two\nlines\r\nand\ttabs", "two lines and tabs"),
        ("<img src=x onerror=alert(1)>", "\\<img src=x onerror=alert(1)\\>"),
        ("AT&amp;T", "AT\\&amp;T"),
        ("[a](javascript:alert(1))", "\\[a\\](javascript:alert(1))"),
        ("**bold** `code` _it_", "\\*\\*bold\\*\\* \\`code\\` \\_it\\_"),
        ("x" * 500, "x" * (CELL_CHARACTERS - 1) + "…"),
        ("__init__ bill_length_mm", "\\_\\_init\\_\\_ bill_length_mm"),
        ("", ""),
        (None, "None"),
        (["a", None], "\\['a', None\\]"),
        (Decimal("1.50"), "1.50"),
        (b"\xff", "b'\\\\xff'"),
    ],
)
def test_hostile_cells_stay_in_their_cell(cell: object, shown: str) -> None:
    lines = head(pl.DataFrame({"a": [cell], "b": ["end"]}))
    assert lines == ["| a | b |", "| --- | --- |", f"| {shown} | end |"]


def test_hostile_column_names_stay_in_their_cell() -> None:
    lines = head(pl.DataFrame({"a|b\n<b>": [1]}))
    assert lines[0] == "| a\\|b \\<b\\> |"
    assert len(lines) == 3


def test_an_array() -> None:
    shown = described(PortType.ARRAY, np.zeros((2, 3), dtype="float32"))
    assert shown == {"shape": "(2, 3)", "dtype": "float32"}


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "1", "P", "CMYK", "I;16", "F"])
def test_an_image_of_any_mode_stands_inline(mode: str) -> None:
    image = PILImage.new(mode, (INLINE_IMAGE_PIXELS * 2, 10))
    shown = described(PortType.IMAGE, image)
    assert (shown["width"], shown["height"]) == image.size
    prefix, suffix = "![image](data:image/png;base64,", ")"
    data = base64.b64decode(shown["image"].removeprefix(prefix).removesuffix(suffix))
    inline = PILImage.open(BytesIO(data))
    assert inline.format == "PNG"
    assert inline.width == INLINE_IMAGE_PIXELS
    assert image.width == INLINE_IMAGE_PIXELS * 2


def test_a_model() -> None:
    estimator = Pipeline([("scale", StandardScaler()), ("fit", LogisticRegression())])
    model = Model(estimator, features=("x",), target="y", task="classification", classes=("a",))
    assert described(PortType.MODEL, model) == {
        "estimator": "LogisticRegression",
        "target": "y",
        "features": ["x"],
        "classes": ["a"],
    }
    plain = Model(LogisticRegression(), features=(), target="y", task="regression")
    assert "classes" not in described(PortType.MODEL, plain)


def test_metrics_are_numbers_that_dagster_plots() -> None:
    shown = output_metadata(
        (Port(name="metrics", type=PortType.METRICS),),
        {"metrics": {"accuracy": 0.5, "rows": 3, "loss": float("nan"), "worst": float("-inf")}},
    )
    assert shown["accuracy"] == dg.MetadataValue.float(0.5)
    assert shown["rows"] == dg.MetadataValue.float(3.0)
    # What JSON has no number for is text, so that GraphQL can tell it.
    assert shown["loss"] == dg.MetadataValue.text("nan")
    assert shown["worst"] == dg.MetadataValue.text("-inf")


def test_a_text_is_cut() -> None:
    shown = described(PortType.TEXT, "ü" * 5000)
    assert (len(shown["text"]), shown["characters"]) == (2000, 5000)


@pytest.mark.parametrize("value", [[1, {"a": None}], {"a": [True]}, [], {}])
def test_json(value: Any) -> None:
    shown = output_metadata((Port(name="json", type=PortType.JSON),), {"json": value})
    assert shown["json"] == dg.MetadataValue.json(value)


@pytest.mark.parametrize("value", [None, 1, "x", False])
def test_json_of_one_value_is_text(value: object) -> None:
    assert described(PortType.JSON, value)["json"] == json.dumps(value)


def test_much_json_is_cut() -> None:
    assert len(described(PortType.JSON, ["x" * 1000] * 1000)["json"]) == JSON_CHARACTERS


def test_a_file() -> None:
    shown = described(PortType.FILE, File(url="s3://bucket/x", size=3, sha256="00"))
    assert shown == {"url": "s3://bucket/x", "bytes": 3, "sha256": "00"}


def test_several_outputs_stand_under_their_ports() -> None:
    ports = (Port(name="n", type=PortType.METRICS), Port(name="t", type=PortType.TABLE))
    shown = output_metadata(ports, {"n": {"n": 1.0}, "t": pl.DataFrame({"a": [1]})})
    assert set(shown) == {"n/n", "t/dagster/row_count", "t/dagster/column_schema", "t/head"}
