"""Lists in JSON as arrays, with every element checked."""

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from math import prod
from typing import Any, cast

import numpy as np

from constellation_dagster.serving.tensors import DTYPES, Array

_ELEMENTS_TOLD = 3

_NUMBER = frozenset({float, int})
_WHOLE = frozenset({int})
# The type of an element exactly: JSON's true is no number, though Python's True is an int.
_TAKEN: Mapping[str, tuple[frozenset[type], str]] = {
    "BOOL": (frozenset({bool}), "true or false"),
    "BYTES": (frozenset({str}), "text"),
    **dict.fromkeys(("FP16", "FP32", "FP64"), (_NUMBER, "numbers")),
    **{
        f"{sign}INT{bits}": (_WHOLE, "whole numbers")
        for sign in ("", "U")
        for bits in (8, 16, 32, 64)
    },
}

_MOST = {name: float(np.finfo(DTYPES[name]).max) for name in ("FP16", "FP32", "FP64")}


class WrongElements(ValueError):
    """Elements are of another type, or there are too few or too many; the message says which."""


def array_of(data: Sequence[Any], datatype: str, shape: Sequence[int]) -> Array:
    """An array from the `data` of a tensor: flat in row-major order, or nested as its shape is.

    Args:
        data: What JSON said.
        datatype: Of the Open Inference Protocol.
        shape: Without -1.

    Raises:
        WrongElements: It is no such tensor.
    """
    if data and type(data[0]) is list and len(shape) > 1:
        data = _flattened(data, shape)
    elif len(data) != prod(shape):
        raise WrongElements(
            f"has {len(data)} elements in data, and its shape {list(shape)} says {prod(shape)}"
        )
    taken, words = _TAKEN[datatype]
    if not taken.issuperset(map(type, data)):
        raise WrongElements(
            _told(data, lambda item: type(item) in taken, f"and {datatype} takes {words}")
        )
    if datatype == "BYTES":
        texts = np.empty(len(data), dtype=object)
        texts[:] = data
        return cast("Array", texts.reshape(shape))
    dtype = DTYPES[datatype]
    if dtype.kind != "f":
        try:
            return np.array(data, dtype).reshape(shape)
        except OverflowError:
            least, most = np.iinfo(dtype).min, np.iinfo(dtype).max
            raise WrongElements(
                _told(data, lambda item: least <= item <= most, f"which {datatype} cannot hold")
            ) from None
    # JSON's numbers are finite; one that is too large for its type would become infinite.
    most = _MOST[datatype]
    if dtype.itemsize < 8 and data and (max(data) > most or min(data) < -most):
        raise WrongElements(
            _told(data, lambda item: abs(item) <= most, f"which {datatype} cannot hold")
        )
    return np.array(data, dtype).reshape(shape)


def _flattened(data: Sequence[Any], shape: Sequence[int]) -> list[Any]:
    level: list[Any] = list(data)
    if len(level) != shape[0]:
        raise WrongElements(f"has {len(level)} lists in data, and its shape says {shape[0]}")
    for depth, size in enumerate(shape[1:], start=2):
        for item in level:
            if type(item) is not list or len(cast("list[Any]", item)) != size:
                raise WrongElements(
                    f"has {_shown(cast('object', item))} at depth {depth} of data, where its shape {list(shape)} says a "
                    f"list of {size}"
                )
        level = list(chain.from_iterable(level))
    return level


def _told(data: Sequence[Any], is_right: Callable[[Any], bool], why: str) -> str:
    """The first elements that are wrong, and how many more there are."""
    wrong = [(index, item) for index, item in enumerate(data) if not is_right(item)]
    told = ", ".join(f"{_shown(item)} at {index}" for index, item in wrong[:_ELEMENTS_TOLD])
    more = len(wrong) - _ELEMENTS_TOLD
    return f"has {told}{f' and {more} more' if more > 0 else ''} in data, {why}"


def _shown(item: object) -> str:
    if item is None:
        return "null"
    if isinstance(item, bool):
        return "true" if item else "false"
    if isinstance(item, str):
        return f"the text {item[:40]!r}{'…' if len(item) > 40 else ''}"
    if isinstance(item, list):
        return f"a list of {len(cast('list[object]', item))}"
    return "an object" if isinstance(item, dict) else repr(item)
