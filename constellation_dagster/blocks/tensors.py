"""Tables as the tensors that an endpoint takes, and its answers as columns."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from constellation_dagster.blocks.columns import require_columns, require_complete
from constellation_dagster.domain.endpoints import EndpointModel, Tensors
from constellation_dagster.domain.errors import BlockFailed
from constellation_dagster.domain.packages import TensorSpec
from constellation_dagster.domain.suggestions import listing

_DTYPES = {
    "BOOL": pl.Boolean(),
    "UINT8": pl.UInt8(),
    "UINT16": pl.UInt16(),
    "UINT32": pl.UInt32(),
    "UINT64": pl.UInt64(),
    "INT8": pl.Int8(),
    "INT16": pl.Int16(),
    "INT32": pl.Int32(),
    "INT64": pl.Int64(),
    "FP16": pl.Float32(),  # which becomes half as precise in numpy
    "FP32": pl.Float32(),
    "FP64": pl.Float64(),
    "BYTES": pl.String(),
}
_PROBABILITIES = "probabilities"


def as_tensors(
    table: pl.DataFrame, model: EndpointModel, features: Sequence[str] | None
) -> dict[str, np.ndarray[Any, Any]]:
    """The columns of a table as a model's inputs.

    Args:
        table: The rows.
        model: What takes them.
        features: Of a model with one input of several columns, these columns in this order; all
            columns of numbers if None.

    Raises:
        BlockFailed: Columns are missing, have gaps, or are of another type than the model takes.
    """
    inputs = model.signature.inputs
    if len(inputs) == 1 and len(inputs[0].shape) == 2 and inputs[0].shape[1] != 1:
        return {inputs[0].name: _matrix(table, inputs[0], features)}
    if features is not None:
        raise BlockFailed(
            "features: this model reads columns by their names "
            f"({listing(spec.name for spec in inputs)}).",
            "Leave `features` out.",
        )
    odd = [spec.name for spec in inputs if spec.shape[1:] not in ((), (1,))]
    if odd:
        raise BlockFailed(f"The model's inputs {listing(odd)} are no columns of a table.")
    names = [spec.name for spec in inputs]
    require_columns(table, names, key="the model's inputs")
    require_complete(table, names, why="A model predicts from complete rows only")
    return {
        spec.name: _numpy(_cast(table[spec.name], spec), spec).reshape((-1, *spec.shape[1:]))
        for spec in inputs
    }


def as_columns(
    outputs: Tensors, model: EndpointModel, column: str, *, probabilities: bool
) -> list[pl.Series]:
    """A model's answers as new columns.

    Args:
        outputs: Arrays by name, of a row each.
        model: What gave them.
        column: The name of the first output.
        probabilities: Whether to add `<column>_<class>` for each class too.
    """
    first = model.signature.outputs[0].name
    added = [pl.Series(column, _plain(outputs[first]))]
    if probabilities:
        shares = outputs[_PROBABILITIES].astype(np.float64)
        added += [
            pl.Series(f"{column}_{name}", shares[:, index])
            for index, name in enumerate(model.classes)
        ]
    return added


def new_columns(model: EndpointModel, column: str, *, probabilities: bool) -> list[str]:
    """The names of the columns that `as_columns` makes.

    Raises:
        BlockFailed: The model gives no probabilities.
    """
    given = {spec.name for spec in model.signature.outputs}
    if not probabilities:
        return [column]
    if _PROBABILITIES not in given or not model.classes:
        raise BlockFailed("This model gives no probabilities.", "Set `probabilities: false`.")
    return [column, *(f"{column}_{name}" for name in model.classes)]


def no_rows(model: EndpointModel, column: str, *, probabilities: bool) -> list[pl.Series]:
    """The columns for a table without rows, which no model is asked about."""
    first, *shares = new_columns(model, column, probabilities=probabilities)
    dtype = _DTYPES[model.signature.outputs[0].datatype]
    return [
        pl.Series(first, [], dtype=dtype),
        *(pl.Series(name, [], dtype=pl.Float64) for name in shares),
    ]


def _matrix(
    table: pl.DataFrame, spec: TensorSpec, features: Sequence[str] | None
) -> np.ndarray[Any, Any]:
    names = features or [name for name, kind in table.schema.items() if kind.is_numeric()]
    require_columns(table, names, key="features")
    require_complete(table, names, why="A model predicts from complete rows only")
    width = spec.shape[1]
    if width not in (-1, len(names)):
        raise BlockFailed(
            f"The model takes {width} columns, and there are {len(names)}: {listing(names)}.",
            "Name its columns, in its order, by `features`.",
        )
    return np.column_stack([_numpy(_cast(table[name], spec), spec) for name in names])


def _cast(column: pl.Series, spec: TensorSpec) -> pl.Series:
    wanted = _DTYPES[spec.datatype]
    is_text = isinstance(column.dtype, pl.String | pl.Categorical | pl.Enum)
    if is_text != (spec.datatype == "BYTES"):
        raise BlockFailed(
            f"The model takes {spec.datatype} for {spec.name!r}, and column {column.name!r} is "
            f"{column.dtype}.",
            "Give it columns of the types that it was trained with.",
        )
    if column.dtype.is_float() and wanted.is_integer() and bool((column != column.round()).any()):
        raise BlockFailed(
            f"The model takes whole numbers ({spec.datatype}) for {spec.name!r}, and column "
            f"{column.name!r} has decimals."
        )
    try:
        return column.cast(wanted)
    except pl.exceptions.PolarsError as error:
        raise BlockFailed(
            f"Column {column.name!r} does not fit into {spec.datatype}, which the model takes: "
            f"{str(error).splitlines()[0]}"
        ) from error


def _numpy(column: pl.Series, spec: TensorSpec) -> np.ndarray[Any, Any]:
    values = np.asarray(column.to_numpy())
    if spec.datatype == "BYTES":
        return values.astype(object)
    return values.astype(np.float16) if spec.datatype == "FP16" else values


def _plain(values: np.ndarray[Any, Any]) -> list[Any]:
    return [
        value.decode(errors="replace") if isinstance(value, bytes) else value
        for value in values.tolist()
    ]
