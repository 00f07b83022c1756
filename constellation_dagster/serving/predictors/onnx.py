"""ONNX models, run by onnxruntime on the CPU."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnxruntime

from constellation_dagster.domain.plain_errors import PackageError
from constellation_dagster.serving.manifest import SignatureLike, TensorLike
from constellation_dagster.serving.tensors import Array, ModelFailed, fitted

_DTYPES = {
    "tensor(bool)": np.bool_,
    "tensor(uint8)": np.uint8,
    "tensor(uint16)": np.uint16,
    "tensor(uint32)": np.uint32,
    "tensor(uint64)": np.uint64,
    "tensor(int8)": np.int8,
    "tensor(int16)": np.int16,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
    "tensor(float16)": np.float16,
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(string)": np.object_,
}
_ERRORS_ONLY = 3


class OnnxPredictor:
    """An ONNX model. Its tensors have the names of the signature; types and ranks are adapted.

    A converted model may take a column as [-1, 1] in single precision where its signature says
    [-1] in double.

    Raises:
        PackageError: It is no ONNX model, or has other tensors than its signature.
    """

    def __init__(self, path: Path, signature: SignatureLike) -> None:
        options = cast("Any", onnxruntime).SessionOptions()
        # Requests are small and many: a process a core answers more of them than threads do.
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = _ERRORS_ONLY
        try:
            self._session: Any = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        # onnxruntime raises a dozen classes of its own, which share no other base.
        except Exception as error:
            raise PackageError(
                f"{path.name} cannot be loaded as ONNX: {_first_line(error)}. Export it again."
            ) from error
        taken = {node.name: node for node in self._session.get_inputs()}
        given = {node.name: node for node in self._session.get_outputs()}
        _require_same(path, "inputs", taken, signature.inputs)
        _require_same(path, "outputs", given, signature.outputs)
        self._inputs = [
            (spec.name, _dtype(path, taken[spec.name]), _rank(taken[spec.name], spec))
            for spec in signature.inputs
        ]
        self._outputs = tuple(signature.outputs)
        self._names = [spec.name for spec in signature.outputs]

    def predict(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Answers a request; see `Predictor`."""
        feeds: dict[str, Array] = {}
        for name, dtype, shape in self._inputs:
            array = inputs[name]
            if array.dtype != dtype:
                array = array.astype(dtype)
            feeds[name] = array if shape is None else array.reshape(shape)
        try:
            values = self._session.run(self._names, feeds)
        except Exception as error:
            raise ModelFailed(_first_line(error)) from error
        return {
            spec.name: fitted(spec.name, value, spec)
            for spec, value in zip(self._outputs, values, strict=True)
        }


def _require_same(
    path: Path, what: str, nodes: Mapping[str, Any], specs: "tuple[TensorLike, ...] | Any"
) -> None:
    names = {spec.name for spec in specs}
    absent = sorted(names - set(nodes))
    extra = sorted(set(nodes) - names) if what == "inputs" else []
    if absent or extra:
        raise PackageError(
            f"{path.name} has the {what} {sorted(nodes)}, and its signature says {sorted(names)}. "
            "Name them alike, or register the model again."
        )


def _dtype(path: Path, node: Any) -> "np.dtype[Any]":
    if node.type not in _DTYPES:
        raise PackageError(
            f"{path.name} takes {node.type} as {node.name!r}, which no request can hold. "
            "Export it with tensors."
        )
    return np.dtype(_DTYPES[node.type])


def _rank(node: Any, spec: TensorLike) -> tuple[int, ...] | None:
    """What to reshape an array of the signature to; None when it has that rank already."""
    if len(node.shape) == len(spec.shape):
        return None
    return tuple(size if isinstance(size, int) else -1 for size in node.shape)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
