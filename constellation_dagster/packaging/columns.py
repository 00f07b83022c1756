"""What an estimator has learned of its columns: their types, and values that it knows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from constellation_dagster.domain.packages import Datatype, TensorSpec
from constellation_dagster.packaging.artifact import Arrays

PROBES = 200
# A value that was not there in training; encoders that ignore such values know what to do.
_UNKNOWN = "never seen before"


@dataclass(frozen=True)
class Column:
    """One column that an estimator reads.

    Attributes:
        name: Its name.
        datatype: How requests carry it.
        choices: Its values, where there are some to choose from.
        mean: Around which number it lies.
        spread: How far it strays from there.
        open: Whether a value that is none of the choices is fine too.
    """

    name: str
    datatype: Datatype = "FP64"
    choices: tuple[Any, ...] = ()
    mean: float = 0.0
    spread: float = 1.0
    open: bool = False

    @property
    def spec(self) -> TensorSpec:
        """The input that carries it."""
        return TensorSpec(name=self.name, datatype=self.datatype, shape=(-1,))


def learned_columns(estimator: object, names: Sequence[str]) -> tuple[Column, ...]:
    """The columns of an estimator that chooses them by name, in the given order.

    Of those that no transformer tells about it is assumed that they are numbers.
    """
    known: dict[str, Column] = {}
    waiting: list[tuple[Any, Sequence[str]]] = [(estimator, names)]
    while waiting:
        part, taken = waiting.pop()
        if (steps := getattr(part, "steps", None)) is not None:
            # What comes after the first step sees that step's output.
            waiting += [(step, taken) for _, step in steps[:1]]
        elif (parts := getattr(part, "transformers_", None)) is not None:
            waiting += [(inner, _named(columns)) for _, inner, columns in parts]
        else:
            known |= {column.name: column for column in _told(part, taken)}
    return tuple(known.get(name, Column(name)) for name in names)


def example_of(columns: Sequence[Column]) -> Arrays:
    """Two plain rows: of the middle, and a little above it."""
    return {column.name: _array(column, _plain(column)) for column in columns}


def probes_of(columns: Sequence[Column]) -> Arrays:
    """Many rows, of numbers well around what was learned and of every choice; always the same."""
    random = np.random.default_rng(0)
    return {column.name: _array(column, _probing(column, random)) for column in columns}


def _named(columns: object) -> Sequence[str]:
    """Which columns a transformer of several takes; none when it does not name them."""
    if isinstance(columns, str):
        return [columns]
    if isinstance(columns, list | tuple | np.ndarray):
        return [item for item in cast("Sequence[object]", columns) if isinstance(item, str)]
    return []


def _told(part: Any, names: Sequence[str]) -> list[Column]:
    categories = getattr(part, "categories_", None)
    if categories is not None and len(categories) == len(names):
        is_open = getattr(part, "handle_unknown", "error") != "error"
        return [_chosen(*pair, is_open) for pair in zip(names, categories, strict=True)]
    means, spreads = getattr(part, "mean_", None), getattr(part, "scale_", None)
    if means is not None and spreads is not None and len(means) == len(spreads) == len(names):
        return [
            Column(name, mean=float(mean), spread=float(spread))
            for name, mean, spread in zip(names, means, spreads, strict=True)
        ]
    return []


def _chosen(name: str, categories: Any, is_open: bool) -> Column:
    choices = tuple(cast("list[Any]", np.asarray(categories).tolist()))
    datatype: Datatype = "FP64"
    if all(isinstance(item, str) for item in choices):
        datatype = "BYTES"
    elif all(isinstance(item, bool) for item in choices):
        datatype = "BOOL"
    elif all(isinstance(item, int) for item in choices):
        datatype = "INT64"
    return Column(name, datatype, choices=choices, open=is_open)


def _plain(column: Column) -> list[Any]:
    if column.choices:
        return [column.choices[0], column.choices[-1]]
    return [_short(column.mean), _short(column.mean + column.spread)]


def _probing(column: Column, random: np.random.Generator) -> list[Any]:
    if not column.choices:
        return list(random.normal(column.mean, 2 * column.spread, PROBES).tolist())
    choices = column.choices
    if column.open and column.datatype == "BYTES":
        choices = (*choices, _UNKNOWN)
    return [choices[index] for index in random.integers(len(choices), size=PROBES).tolist()]


def _short(number: float) -> float:
    return float(f"{number:.4g}")


def _array(column: Column, values: list[Any]) -> np.ndarray[Any, Any]:
    dtypes: dict[str, Any] = {"BYTES": object, "BOOL": bool, "INT64": np.int64}
    return np.array(values, dtype=dtypes.get(column.datatype, np.float64))
