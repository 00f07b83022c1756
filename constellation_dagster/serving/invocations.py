"""Requests as clients of MLflow's scoring server send them: `/invocations`."""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import orjson

from constellation_dagster.serving.errors import RequestRefused
from constellation_dagster.serving.json_tensors import WrongElements, array_of
from constellation_dagster.serving.manifest import SignatureLike, TensorLike
from constellation_dagster.serving.protocol import (
    InferRequest,
    elements_json,
    parse_object,
    shared_rows,
)
from constellation_dagster.serving.request_tensors import names_told
from constellation_dagster.serving.tensors import Array

_FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs")
_PREDICTION = "prediction"
_TRUTH = {"true": True, "false": False}


class Invocations:
    """Reads MLflow's forms of a request against a signature, and writes its form of an answer.

    A table fits a signature of columns by their names, in any order, and more columns than the
    model reads are left out, as MLflow does; or it fits the one matrix that a model takes, by the
    order of its columns.
    """

    def __init__(self, signature: SignatureLike) -> None:
        self._batchable = signature.batchable
        self._inputs: Sequence[TensorLike] = tuple(signature.inputs)

    def decode(self, body: bytes, content_type: bytes) -> InferRequest:
        """Reads and checks a request.

        Raises:
            RequestRefused: It is malformed or does not fit, with all that is wrong.
        """
        if content_type.partition(b";")[0].strip().lower() == b"text/csv":
            columns, rows = self._csv(body)
            arrays = self._from_table(columns, rows)
        else:
            arrays = self._from_json(parse_object(body))
        problems: list[str] = []
        count = shared_rows(arrays, problems) if self._batchable else 1
        if problems:
            raise RequestRefused(400, problems)
        return InferRequest(arrays, count)

    def encode(self, outputs: Mapping[str, Array]) -> bytes:
        """`{"predictions": …}`: the one output or `prediction`, or else all outputs by name.

        Raises:
            RequestRefused: An output cannot be said in JSON.
        """
        if _PREDICTION in outputs or len(outputs) == 1:
            name = _PREDICTION if _PREDICTION in outputs else next(iter(outputs))
            predictions = _rows_json(name, outputs[name])
        else:
            parts = (
                orjson.dumps(name) + b":" + _rows_json(name, array)
                for name, array in outputs.items()
            )
            predictions = b"{" + b",".join(parts) + b"}"
        return b'{"predictions":%b}' % predictions

    def _from_json(self, request: Mapping[str, Any]) -> dict[str, Array]:
        forms = [form for form in _FORMS if form in request]
        if len(forms) != 1:
            found = " and ".join(forms) or "none"
            raise RequestRefused(
                400, [f"the body should have one of {', '.join(_FORMS)}, and has {found}"]
            )
        if request.get("params"):
            raise RequestRefused(400, ["params: this model takes none"])
        form = forms[0]
        value = request[form]
        if form == "dataframe_split":
            return self._from_table(*_split(value))
        if form == "dataframe_records" or (form == "instances" and _is_records(value)):
            return self._from_columns(_columns_of(form, value))
        if isinstance(value, dict):
            return self._from_columns(cast("dict[str, Any]", value))
        if len(self._inputs) > 1:
            names = names_told([spec.name for spec in self._inputs])
            raise RequestRefused(400, [f"{form} should be by name, since the model takes {names}"])
        return self._gathered({self._inputs[0].name: value})

    def _from_table(self, columns: Sequence[str], rows: Sequence[Any]) -> dict[str, Array]:
        odd = [
            index
            for index, row in enumerate(rows)
            if not isinstance(row, list) or len(cast("list[Any]", row)) != len(columns)
        ]
        if odd:
            raise RequestRefused(
                400,
                [f"row {index} is not a list of {len(columns)} values" for index in odd],
            )
        if self._takes_matrix():
            return self._gathered({self._inputs[0].name: list(rows)})
        return self._from_columns(
            {name: [row[index] for row in rows] for index, name in enumerate(columns)}
        )

    def _takes_matrix(self) -> bool:
        return len(self._inputs) == 1 and len(self._inputs[0].shape) > 1

    def _from_columns(self, columns: Mapping[str, Any]) -> dict[str, Array]:
        if self._takes_matrix() and self._inputs[0].name not in columns:
            values = list(columns.values())
            if not all(isinstance(column, list) for column in values):
                raise RequestRefused(400, ["each column should be a list"])
            return self._gathered(
                {
                    self._inputs[0].name: [
                        list(row) for row in zip(*cast("list[list[Any]]", values), strict=False)
                    ]
                }
            )
        return self._gathered(columns)

    def _gathered(self, values: Mapping[str, Any]) -> dict[str, Array]:
        """An array for each input, from its list of rows."""
        arrays: dict[str, Array] = {}
        problems: list[str] = []
        for spec in self._inputs:
            if spec.name not in values:
                problems.append(f"column {spec.name!r} is missing")
                continue
            try:
                arrays[spec.name] = _array(spec, values[spec.name])
            except WrongElements as error:
                problems.append(f"{spec.name!r} {error}")
        if problems:
            raise RequestRefused(400, problems)
        return arrays

    def _csv(self, body: bytes) -> tuple[list[str], list[list[Any]]]:
        try:
            lines = list(csv.reader(io.StringIO(body.decode(), newline=""), strict=True))
        except (UnicodeDecodeError, csv.Error) as error:
            raise RequestRefused(400, [f"the body is not CSV: {error}"]) from None
        if not lines:
            raise RequestRefused(400, ["the CSV has no line with the names of its columns"])
        names, *rows = lines
        types = {spec.name: spec.datatype for spec in self._inputs}
        if self._takes_matrix():
            types = dict.fromkeys(names, self._inputs[0].datatype)
        return names, [
            [_parsed(text, types.get(name, "BYTES")) for name, text in zip(names, row, strict=True)]
            if len(names) == len(row)
            else row
            for row in rows
            if row
        ]


def _split(value: object) -> tuple[list[str], list[Any]]:
    parts = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
    columns, rows = parts.get("columns"), parts.get("data")
    if not isinstance(columns, list) or not isinstance(rows, list):
        raise RequestRefused(400, ["dataframe_split should have the lists columns and data"])
    names = cast("list[Any]", columns)
    if not all(isinstance(name, str) for name in names) or len(set(names)) != len(names):
        raise RequestRefused(400, ["columns of dataframe_split should be names that differ"])
    return names, cast("list[Any]", rows)


def _is_records(value: object) -> bool:
    return isinstance(value, list) and isinstance(next(iter(cast("list[Any]", value)), None), dict)


def _columns_of(form: str, value: object) -> dict[str, list[Any]]:
    records = cast("list[Any]", value) if isinstance(value, list) else [None]
    if not all(isinstance(record, dict) for record in records):
        raise RequestRefused(400, [f"{form} should be a list of objects"])
    rows = cast("list[dict[str, Any]]", records)
    names = list(rows[0]) if rows else []
    odd = [index for index, row in enumerate(rows) if row.keys() != rows[0].keys()]
    if odd:
        raise RequestRefused(
            400, [f"{form}[{index}] has other names than the first" for index in odd]
        )
    return {name: [row[name] for row in rows] for name in names}


def _array(spec: TensorLike, value: object) -> Array:
    """The array of one input from its rows; a column may be flat where [-1, 1] is taken."""
    if not isinstance(value, list):
        raise WrongElements("is not a list")
    rows = cast("list[Any]", value)
    if spec.shape[1:] == (1,) and rows and not isinstance(rows[0], list):
        rows = [[row] for row in rows]
    shape = _shape_of(rows)
    if len(shape) != len(spec.shape) or any(
        want not in (-1, have) for have, want in zip(shape, spec.shape, strict=True)
    ):
        raise WrongElements(
            f"has the shape {list(shape)}, and the model takes {list(spec.shape)} (-1 is any)"
        )
    return array_of(rows, spec.datatype, shape)


def _shape_of(rows: Sequence[Any]) -> tuple[int, ...]:
    """The shape that nested lists have where they begin; whether all have it is checked later."""
    shape: list[int] = []
    level: Any = rows
    while isinstance(level, list):
        items = cast("list[Any]", level)
        shape.append(len(items))
        level = items[0] if items else None
    return tuple(shape)


def _parsed(text: str, datatype: str) -> object:
    """A field of CSV as JSON would say it; what is no such value stays text, and is refused."""
    try:
        if datatype == "BOOL":
            return _TRUTH.get(text.strip().lower(), text)
        if datatype.startswith("FP"):
            number = float(text)
            # Of "nan" and "inf" the check of the elements will say that they are no numbers.
            return number if abs(number) < float("inf") else text
        return text if datatype == "BYTES" else int(text)
    except ValueError:
        return text


def _rows_json(name: str, array: Array) -> bytes:
    # orjson writes arrays in memory's order alone.
    return elements_json(name, np.ascontiguousarray(array))
