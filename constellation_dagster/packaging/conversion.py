"""scikit-learn's estimators as ONNX, with the very tensors that their package's signature says."""

from typing import Any

import numpy as np
import onnx
import onnx.compose
from onnx import helper, numpy_helper

from constellation_dagster.domain.packages import PackageError, Signature, TensorSpec
from constellation_dagster.packaging.onnx_files import TENSOR_TYPES

# Fixed, so that a newer converter does not make another file of the same model.
_OPSETS = {"": 18, "ai.onnx.ml": 3}
_IR_VERSION = 9


class NotConvertible(PackageError):
    """An estimator that skl2onnx cannot convert."""


def as_onnx(estimator: Any, signature: Signature) -> bytes:
    """Converts an estimator.

    Inputs and outputs of the result are those of the signature, by name, datatype and rank.

    Raises:
        NotConvertible: There is no converter for a part of it.
    """
    import skl2onnx

    estimator = _rounded_before_trees(estimator)
    classifier = hasattr(estimator, "predict_proba")
    options = {id(estimator): {"zipmap": False}} if classifier else None
    try:
        model: Any = skl2onnx.convert_sklearn(
            estimator,
            name="model",
            initial_types=[(spec.name, _skl_type(spec)) for spec in signature.inputs],
            options=options,
            target_opset=dict(_OPSETS),
        )
        return _with_tensors_of(model, signature).SerializeToString(deterministic=True)
    # Converters fail with whatever their arithmetic raises.
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise NotConvertible(f"skl2onnx cannot convert it: {reason}") from error


def _rounded_before_trees(estimator: Any) -> Any:
    """The same estimator with the rounding that scikit-learn's trees do by themselves.

    They compare single-precision numbers whatever they are given. Thresholds lie half-way between
    values of the training data, often on another value of it, so that one bit decides.
    """
    from skl2onnx.sklapi import CastTransformer
    from sklearn.ensemble import (
        ExtraTreesClassifier,
        ExtraTreesRegressor,
        GradientBoostingClassifier,
        GradientBoostingRegressor,
        RandomForestClassifier,
        RandomForestRegressor,
    )
    from sklearn.pipeline import Pipeline
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    trees = (
        *(DecisionTreeClassifier, DecisionTreeRegressor, ExtraTreesClassifier, ExtraTreesRegressor),
        *(RandomForestClassifier, RandomForestRegressor),
        *(GradientBoostingClassifier, GradientBoostingRegressor),
    )
    pipeline: Any = estimator if isinstance(estimator, Pipeline) else None
    steps: list[tuple[str, Any]] = list(pipeline.steps) if pipeline else [("model", estimator)]
    if not isinstance(steps[-1][1], trees):
        return estimator
    rounding: Any = CastTransformer(dtype=np.float32)
    return Pipeline([*steps[:-1], ("rounding", rounding), steps[-1]])


def _skl_type(spec: TensorSpec) -> Any:
    from skl2onnx.common import data_types

    kinds: Any = data_types
    kind = {
        "BYTES": kinds.StringTensorType,
        # Encoders that learned truth values compare texts in ONNX.
        "BOOL": kinds.StringTensorType,
        "INT64": kinds.Int64TensorType,
        "FP32": kinds.FloatTensorType,
    }.get(spec.datatype, kinds.DoubleTensorType)
    return kind([None, *(spec.shape[1:] or (1,))])


def _with_tensors_of(model: onnx.ModelProto, signature: Signature) -> onnx.ModelProto:
    """The same graph between inputs and outputs as the signature has them."""
    # Under names of the converter's own, in the order of the signature.
    taken = [value.name for value in model.graph.input]
    made = [value.name for value in model.graph.output]
    if len(taken) != len(signature.inputs):
        raise NotConvertible(f"it takes {len(taken)} inputs as ONNX")
    if len(made) < len(signature.outputs):
        raise NotConvertible(f"it gives {len(made)} outputs as ONNX")
    # Names within must not meet those of the signature.
    inner = "model/"
    while any(spec.name.startswith(inner) for spec in (*signature.inputs, *signature.outputs)):
        inner += "/"
    graph = onnx.compose.add_prefix(model, inner).graph
    wiring = _Wiring(inner)
    before = [
        node
        for name, spec in zip(taken, signature.inputs, strict=True)
        for node in wiring.enter(spec, name)
    ]
    after = [
        node
        for name, spec in zip(made, signature.outputs, strict=False)
        for node in wiring.leave(name, spec)
    ]
    whole = helper.make_graph(
        [*before, *graph.node, *after],
        "model",
        [_value(spec) for spec in signature.inputs],
        [_value(spec) for spec in signature.outputs],
        [*graph.initializer, *wiring.constants.values()],
        sparse_initializer=list(graph.sparse_initializer),
    )
    result = helper.make_model(
        whole,
        # The converter keeps them in a set, whose order is another in every process.
        opset_imports=sorted(model.opset_import, key=lambda opset: opset.domain),
        ir_version=_IR_VERSION,
        producer_name=model.producer_name,
        producer_version=model.producer_version,
    )
    onnx.checker.check_model(result)
    return result


class _Wiring:
    """Nodes between the signature's tensors and those within; their constants."""

    def __init__(self, inner: str) -> None:
        self.inner = inner
        self.constants: dict[str, Any] = {}

    def enter(self, spec: TensorSpec, inner_name: str) -> list[Any]:
        """From an input of the signature to what the converted graph takes."""
        nodes: list[Any] = []
        name, target = spec.name, f"{self.inner}{inner_name}"
        if len(spec.shape) == 1:
            axes = self._constant("axes", np.array([1], np.int64))
            nodes.append(helper.make_node("Unsqueeze", [name, axes], [f"{target}/column"]))
            name = f"{target}/column"
        if spec.datatype == "BOOL":
            texts = [self._constant(text, np.array([text], object)) for text in ("True", "False")]
            nodes.append(helper.make_node("Where", [name, *texts], [target]))
        else:
            nodes.append(helper.make_node("Identity", [name], [target]))
        return nodes

    def leave(self, name: str, spec: TensorSpec) -> list[Any]:
        """From what the converted graph gives to an output of the signature."""
        # 0 stands for the rows that there are.
        shape = [-1] if len(spec.shape) == 1 else [0, *spec.shape[1:]]
        flat = f"{self.inner}{spec.name}/shaped"
        wanted = self._constant(f"shape of {spec.name}", np.array(shape, np.int64))
        nodes = [helper.make_node("Reshape", [f"{self.inner}{name}", wanted], [flat])]
        if spec.datatype == "BYTES":
            nodes.append(helper.make_node("Identity", [flat], [spec.name]))
        else:
            kind = TENSOR_TYPES[spec.datatype]
            nodes.append(helper.make_node("Cast", [flat], [spec.name], to=kind))
        return nodes

    def _constant(self, name: str, value: np.ndarray[Any, Any]) -> str:
        key = f"{self.inner}/{name}"
        self.constants[key] = numpy_helper.from_array(value, key)
        return key


def _value(spec: TensorSpec) -> Any:
    first, *others = spec.shape
    shape = ["rows" if first == -1 else first, *(None if size == -1 else size for size in others)]
    return helper.make_tensor_value_info(spec.name, TENSOR_TYPES[spec.datatype], shape)
