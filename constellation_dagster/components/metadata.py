"""What a person sees of a node's outputs on its materialization in the Dagster UI."""

import base64
import json
import math
from collections.abc import Callable, Mapping
from io import BytesIO
from typing import Any, cast

import dagster as dg
import numpy as np
import polars as pl
from PIL import Image as PILImage

from constellation_dagster.domain.markdown import cut, markdown_table
from constellation_dagster.domain.ports import Port, PortType
from constellation_dagster.domain.values import File, Model

HEAD_ROWS = 5
HEAD_COLUMNS = 20
# An event is a row of Postgres that the UI loads whole: keep what it holds small.
INLINE_IMAGE_PIXELS = 800
TEXT_CHARACTERS = 2000
JSON_CHARACTERS = 20_000

# Those that PNG has too; of others the UI gets the colours.
_PNG_MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "I", "I;16")

Metadata = dict[str, dg.MetadataValue]


def output_metadata(ports: tuple[Port, ...], values: Mapping[str, Any]) -> Metadata:
    """Metadata of all outputs of a node; where they are stored, the I/O manager adds.

    Args:
        ports: The block's output ports.
        values: The outputs by port.

    Returns:
        The entries of a lone output under their own names, those of several under `port/name`.
    """
    metadata: Metadata = {}
    for port in ports:
        prefix = "" if len(ports) == 1 else f"{port.name}/"
        entries = _DESCRIBE[port.type](values[port.name])
        metadata |= {f"{prefix}{name}": value for name, value in entries.items()}
    return metadata


def _table(frame: pl.DataFrame) -> Metadata:
    schema = dg.TableSchema(
        columns=[dg.TableColumn(name, str(dtype)) for name, dtype in frame.schema.items()]
    )
    return {
        # The UI shows and plots these two names itself.
        "dagster/row_count": dg.MetadataValue.int(frame.height),
        "dagster/column_schema": dg.MetadataValue.table_schema(schema),
        "head": dg.MetadataValue.md(_markdown(frame)),
    }


def _markdown(frame: pl.DataFrame) -> str:
    shown = frame.head(HEAD_ROWS).select(frame.columns[:HEAD_COLUMNS])
    table = markdown_table(shown.columns, shown.iter_rows())
    hidden = frame.width - shown.width
    return f"{table}\n\n… and {hidden} more columns" if hidden > 0 else table


def _array(array: np.ndarray[Any, Any]) -> Metadata:
    return {
        "shape": dg.MetadataValue.text(str(array.shape)),
        "dtype": dg.MetadataValue.text(str(array.dtype)),
    }


def _image(image: PILImage.Image) -> Metadata:
    shown = image.copy() if image.mode in _PNG_MODES else image.convert("RGB")
    shown.thumbnail((INLINE_IMAGE_PIXELS, INLINE_IMAGE_PIXELS))
    buffer = BytesIO()
    shown.save(buffer, "PNG", optimize=True)
    data = base64.b64encode(buffer.getvalue()).decode()
    return {
        "image": dg.MetadataValue.md(f"![image](data:image/png;base64,{data})"),
        "width": dg.MetadataValue.int(image.width),
        "height": dg.MetadataValue.int(image.height),
    }


def _model(model: Model) -> Metadata:
    entries: Metadata = {
        "estimator": dg.MetadataValue.text(_estimator_name(model.estimator)),
        "target": dg.MetadataValue.text(model.target),
        "features": dg.MetadataValue.json(list(model.features)),
    }
    if model.classes:
        entries["classes"] = dg.MetadataValue.json(list(model.classes))
    return entries


def _estimator_name(estimator: Any) -> str:
    """The last step of a scikit-learn pipeline says more than the word Pipeline."""
    steps = getattr(estimator, "steps", None)
    return type(steps[-1][1] if steps else estimator).__name__


def _metrics(metrics: Mapping[str, float]) -> Metadata:
    """Numbers as numbers: Dagster plots them over the runs."""
    return {
        name: dg.MetadataValue.float(float(value))
        if math.isfinite(value)
        else dg.MetadataValue.text(str(value))
        for name, value in metrics.items()
    }


def _text(text: str) -> Metadata:
    return {
        "text": dg.MetadataValue.md(cut(text, TEXT_CHARACTERS)),
        "characters": dg.MetadataValue.int(len(text)),
    }


def _json(value: Any) -> Metadata:
    text = json.dumps(value, ensure_ascii=False)
    # Dagster's own entry takes mappings and lists only.
    if isinstance(value, dict | list) and len(text) <= JSON_CHARACTERS:
        return {"json": dg.MetadataValue.json(cast("Any", value))}
    return {"json": dg.MetadataValue.text(cut(text, JSON_CHARACTERS))}


def _file(file: File) -> Metadata:
    return {
        "url": dg.MetadataValue.text(file.url),
        "bytes": dg.MetadataValue.int(file.size),
        "sha256": dg.MetadataValue.text(file.sha256),
    }


_DESCRIBE: Mapping[PortType, Callable[[Any], Metadata]] = {
    PortType.TABLE: _table,
    PortType.ARRAY: _array,
    PortType.IMAGE: _image,
    PortType.MODEL: _model,
    PortType.METRICS: _metrics,
    PortType.TEXT: _text,
    PortType.JSON: _json,
    PortType.FILE: _file,
}
