"""Datatypes of the Open Inference Protocol as numpy has them, and arrays made to fit a tensor."""

from typing import Any, TypeAlias, cast

import numpy as np

from constellation_dagster.domain.plain_errors import ConstellationError
from constellation_dagster.serving.manifest import TensorLike

Array: TypeAlias = np.ndarray[Any, Any]

DTYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype(np.uint8),
    "UINT16": np.dtype(np.uint16),
    "UINT32": np.dtype(np.uint32),
    "UINT64": np.dtype(np.uint64),
    "INT8": np.dtype(np.int8),
    "INT16": np.dtype(np.int16),
    "INT32": np.dtype(np.int32),
    "INT64": np.dtype(np.int64),
    "FP16": np.dtype(np.float16),
    "FP32": np.dtype(np.float32),
    "FP64": np.dtype(np.float64),
    "BYTES": np.dtype(object),
}


class ModelFailed(ConstellationError):
    """A model answered with something else than its signature says."""


def fitted(name: str, value: Any, tensor: TensorLike) -> Array:
    """What a model gave for an output, as an array of its datatype and rank.

    Args:
        name: The output's name, for messages.
        value: An array, or what numpy makes one of.
        tensor: What it should be.

    Raises:
        ModelFailed: It cannot be that.
    """
    try:
        array = np.asarray(value)
        if tensor.datatype == "BYTES":
            array = as_texts(array)
        else:
            array = array.astype(DTYPES[tensor.datatype], copy=False)
    except (TypeError, ValueError) as error:
        raise ModelFailed(
            f"The model's output {name!r} is no {tensor.datatype}, as its signature says: {error}."
        ) from error
    if _fits(array.shape, tensor.shape):
        return array
    # A column of width one for a flat list, or the other way round.
    if array.ndim != len(tensor.shape) and tensor.shape.count(-1) <= 1:
        try:
            return array.reshape(tensor.shape)
        except ValueError:
            pass
    raise ModelFailed(
        f"The model's output {name!r} has the shape {list(array.shape)}, and its signature says "
        f"{list(tensor.shape)}."
    )


def as_texts(array: Array) -> Array:
    """An array of text or bytes as one of Python's objects; numbers as the text of them."""
    if array.dtype == object and all(isinstance(item, str | bytes) for item in array.flat):
        return array
    texts = np.empty(array.size, dtype=object)
    texts[:] = [
        item if isinstance(item, str | bytes) else str(item) for item in array.ravel().tolist()
    ]
    return cast("Array", texts.reshape(array.shape))


def _fits(shape: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    return len(shape) == len(wanted) and all(
        want in (-1, have) for have, want in zip(shape, wanted, strict=True)
    )
