"""Tensors as raw bytes: the protocol's binary extension, little-endian and row-major."""

import struct
import sys
from math import prod
from typing import cast

import numpy as np

from constellation_dagster.serving.json_tensors import WrongElements
from constellation_dagster.serving.tensors import DTYPES, Array

_LENGTH = struct.Struct("<I")
_SWAP = sys.byteorder == "big"


def array_from(blob: memoryview, datatype: str, shape: tuple[int, ...]) -> Array:
    """An array from its bytes. NaN is a missing number and passes: only JSON cannot say it.

    Raises:
        WrongElements: The bytes are no such tensor.
    """
    count = prod(shape)
    if datatype == "BYTES":
        return _texts(blob, count).reshape(shape)
    dtype = DTYPES[datatype]
    if len(blob) != count * dtype.itemsize:
        raise WrongElements(
            f"has {len(blob)} bytes of binary data, and its shape {list(shape)} of {datatype} "
            f"says {count * dtype.itemsize}"
        )
    if datatype == "BOOL":
        bits = np.frombuffer(blob, np.uint8)
        if count and bits.max() > 1:
            raise WrongElements("has bytes other than 0 and 1 in its binary data of BOOL")
    # A copy: a model may write into what it is given.
    array = np.frombuffer(blob, dtype).copy()
    return (array.byteswap() if _SWAP else array).reshape(shape)


def bytes_of(array: Array) -> bytes:
    """An array as its bytes."""
    if array.dtype != object:
        return np.ascontiguousarray(array.byteswap() if _SWAP else array).tobytes()
    parts: list[bytes] = []
    for item in cast("list[str | bytes]", array.ravel().tolist()):
        content = item.encode() if isinstance(item, str) else item
        parts += (_LENGTH.pack(len(content)), content)
    return b"".join(parts)


def _texts(blob: memoryview, count: int) -> Array:
    """Texts, each after its length in four bytes; what is no UTF-8 stays bytes."""
    texts: list[str | bytes] = []
    place = 0
    while place < len(blob):
        start = place + _LENGTH.size
        end = start + _LENGTH.unpack_from(blob, place)[0] if start <= len(blob) else start
        if end > len(blob):
            raise WrongElements(f"has binary data of BYTES that ends within element {len(texts)}")
        content = bytes(blob[start:end])
        try:
            texts.append(content.decode())
        except UnicodeDecodeError:
            texts.append(content)
        place = end
    if len(texts) != count:
        raise WrongElements(
            f"has {len(texts)} elements in its binary data, and its shape says {count}"
        )
    array = np.empty(count, dtype=object)
    array[:] = texts
    return array
