"""What is true of every good value of a port type."""

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from constellation_dagster.domain.ports import Port, PortType
from constellation_dagster.domain.suggestions import listing

CheckValues = dict[str, int | float | str]


@dataclass(frozen=True)
class CheckOutcome:
    """Whether a value is fit to be used, and what that was judged by."""

    passed: bool
    description: str
    values: CheckValues = field(default_factory=CheckValues)


def check_value(port: Port, value: object) -> CheckOutcome:
    """Check a value that a node returned at a port."""
    return _CHECKS[port.type](value)


def _table(value: Any) -> CheckOutcome:
    columns: list[str] = value.columns
    found: CheckValues = {"rows": int(value.height), "columns": int(value.width)}
    blank = [name for name in columns if not name.strip()]
    # Polars keeps names apart by case and surrounding blanks; many a reader of the file does not.
    counts = Counter(name.strip().lower() for name in columns)
    alike = [name for name in columns if counts[name.strip().lower()] > 1]
    if not columns:
        return CheckOutcome(False, "The table has no columns.", found)
    if value.height == 0:
        return CheckOutcome(False, "The table has no rows.", found)
    if blank:
        return CheckOutcome(False, f"{len(blank)} column(s) have a blank name.", found)
    if alike:
        return CheckOutcome(False, f"The columns {listing(alike)} have the same name.", found)
    found["missing values"] = int(sum(value.null_count().row(0)))
    return CheckOutcome(True, f"{value.height} rows, {value.width} columns.", found)


def _array(value: Any) -> CheckOutcome:
    shape = " x ".join(str(length) for length in value.shape)
    found: CheckValues = {"shape": shape, "size": int(value.size)}
    if value.size == 0:
        return CheckOutcome(False, "The array is empty.", found)
    return CheckOutcome(True, f"An array of {shape or 'one number'}.", found)


def _image(value: Any) -> CheckOutcome:
    width, height = int(value.width), int(value.height)
    found: CheckValues = {"width": width, "height": height}
    if width == 0 or height == 0:
        return CheckOutcome(False, "The image has no pixels.", found)
    return CheckOutcome(True, f"{width} x {height} pixels.", found)


def _model(value: Any) -> CheckOutcome:
    found: CheckValues = {"task": value.task, "features": len(value.features)}
    if not callable(getattr(value.estimator, "predict", None)):
        kind = type(value.estimator).__name__
        return CheckOutcome(False, f"The estimator, a {kind}, cannot predict.", found)
    if not value.features:
        return CheckOutcome(False, "The model reads no features.", found)
    return CheckOutcome(True, f"Predicts {value.target!r}.", found)


def _metrics(value: Any) -> CheckOutcome:
    metrics = cast("Mapping[str, float]", value)
    found: CheckValues = {"metrics": len(metrics)}
    broken = [name for name, number in metrics.items() if not math.isfinite(number)]
    if not metrics:
        return CheckOutcome(False, "There are no metrics.", found)
    if broken:
        return CheckOutcome(False, f"Not a finite number: {listing(broken)}.", found)
    return CheckOutcome(True, f"{len(metrics)} finite number(s).", found)


def _text(value: Any) -> CheckOutcome:
    found: CheckValues = {"characters": len(value)}
    if not value.strip():
        return CheckOutcome(False, "The text is blank.", found)
    return CheckOutcome(True, f"{len(value)} characters.", found)


def _json(value: Any) -> CheckOutcome:
    if value is None:
        return CheckOutcome(False, "The value is null.")
    return CheckOutcome(True, f"A JSON {_JSON_NAMES[type(value)]}.")


_JSON_NAMES: dict[type, str] = {
    dict: "object",
    list: "array",
    str: "string",
    bool: "boolean",
    int: "number",
    float: "number",
}


def _file(value: Any) -> CheckOutcome:
    found: CheckValues = {"bytes": value.size}
    if value.size <= 0:
        return CheckOutcome(False, f"The file {value.url!r} is empty.", found)
    return CheckOutcome(True, f"{value.size} bytes.", found)


_CHECKS: Mapping[PortType, Callable[[Any], CheckOutcome]] = {
    PortType.TABLE: _table,
    PortType.ARRAY: _array,
    PortType.IMAGE: _image,
    PortType.MODEL: _model,
    PortType.METRICS: _metrics,
    PortType.TEXT: _text,
    PortType.JSON: _json,
    PortType.FILE: _file,
}
