"""Which Python values a port type admits."""

from typing import Any, cast

import numpy as np
import PIL.Image
import polars as pl
from pydantic import JsonValue, TypeAdapter, ValidationError

from constellation_dagster.domain import values
from constellation_dagster.domain.errors import BlockOutputError
from constellation_dagster.domain.ports import Port, PortType

_PYTHON_TYPES: dict[PortType, tuple[type[Any], str]] = {
    PortType.TABLE: (pl.DataFrame, "a polars DataFrame"),
    PortType.ARRAY: (np.ndarray, "a numpy array"),
    PortType.IMAGE: (PIL.Image.Image, "a Pillow image"),
    PortType.MODEL: (values.Model, "a constellation_dagster.domain.values.Model"),
    PortType.METRICS: (dict, "a dict of numbers by name"),
    PortType.TEXT: (str, "a str"),
    PortType.FILE: (values.File, "a constellation_dagster.domain.values.File"),
}

_JSON: TypeAdapter[Any] = TypeAdapter(cast("Any", JsonValue))


def as_port_value(block: str, port: Port, value: object) -> object:
    """The value as it flows on, once it is known to be of the port's type.

    Raises:
        BlockOutputError: It is not of the port's type.
    """
    if port.type is PortType.JSON:
        try:
            return _JSON.validate_python(value)
        except ValidationError:
            raise _wrong(block, port, value, "a JSON value") from None
    python_type, described = _PYTHON_TYPES[port.type]
    if not isinstance(value, python_type):
        raise _wrong(block, port, value, described)
    if port.type is PortType.METRICS:
        metrics = cast("dict[object, object]", value)
        for name, number in metrics.items():
            if not isinstance(name, str) or not isinstance(number, int | float | np.number):
                raise _wrong(block, port, {name: number}, described)
        return {str(name): float(cast("float", number)) for name, number in metrics.items()}
    return value


def _wrong(block: str, port: Port, value: object, expected: str) -> BlockOutputError:
    shown = str(cast("object", value)) if isinstance(value, dict) else type(value).__name__
    return BlockOutputError(
        f"block {block!r} returned {shown} for its output {port.name!r}, "
        f"which is {port.a_type}: it has to be {expected}."
    )
