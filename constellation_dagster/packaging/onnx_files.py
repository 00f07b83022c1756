"""ONNX files: what they take and give, and whether they can be let in."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto

from constellation_dagster.domain.packages import Datatype, TensorSpec
from constellation_dagster.packaging.artifact import Artifact
from constellation_dagster.packaging.intake import is_safe_path, refusal, take_file

ARTIFACT = "model.onnx"
PACKAGES = ("numpy", "onnxruntime")

_DATATYPES: dict[int, Datatype] = {
    TensorProto.BOOL: "BOOL",
    TensorProto.UINT8: "UINT8",
    TensorProto.UINT16: "UINT16",
    TensorProto.UINT32: "UINT32",
    TensorProto.UINT64: "UINT64",
    TensorProto.INT8: "INT8",
    TensorProto.INT16: "INT16",
    TensorProto.INT32: "INT32",
    TensorProto.INT64: "INT64",
    TensorProto.FLOAT16: "FP16",
    TensorProto.FLOAT: "FP32",
    TensorProto.DOUBLE: "FP64",
    TensorProto.STRING: "BYTES",
}
TENSOR_TYPES = {datatype: number for number, datatype in _DATATYPES.items()}


def take_onnx(source: Path, folder: Path) -> Artifact:
    """Takes an ONNX file into a package, with the files beside it that hold its weights.

    Raises:
        PackageError: It is damaged, names weights elsewhere, or takes or gives something else
            than tensors.
    """
    what = repr(str(source))
    take_file(source, folder / ARTIFACT)
    model = _read(folder / ARTIFACT, what)
    weights, problems = _weights(model)
    if problems:
        raise refusal(what, *problems)
    for path in sorted(weights):
        if path in (ARTIFACT, source.name) or (folder / path).exists():
            raise refusal(what, f"its weights are said to be in {path!r}, which is another file.")
        if not (source.parent / path).resolve().is_relative_to(source.parent.resolve()):
            raise refusal(what, f"its weights in {path!r} are a link that leads outside.")
        take_file(source.parent / path, folder / path)
    problems = [
        f"{path!r} has {(folder / path).stat().st_size} bytes, and its weights end at {end}."
        for path, end in sorted(weights.items())
        if (folder / path).stat().st_size < end
    ]
    if problems:
        raise refusal(what, *problems)
    _check(folder / ARTIFACT, what)
    inputs, outputs = tensors(model, what)
    opsets = ", ".join(
        f"{entry.domain or 'ai.onnx'} {entry.version}" for entry in model.opset_import
    )
    producer = f"{model.producer_name} {model.producer_version}".strip()
    facts = {"Format": "ONNX", "Operator sets": opsets}
    if producer:
        facts["Made by"] = producer
    return Artifact(
        flavor="onnx",
        path=ARTIFACT,
        packages=PACKAGES,
        facts=facts,
        inputs=inputs,
        outputs=outputs,
    )


def tensors(
    model: onnx.ModelProto, what: str
) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """Inputs and outputs of a model.

    Raises:
        PackageError: Some are no tensors of known rank; all of these are named.
    """
    # Old files list their weights as inputs too.
    constant = {tensor.name for tensor in model.graph.initializer}
    problems: list[str] = []

    def read(kind: str, values: Any) -> tuple[TensorSpec, ...]:
        specs: list[TensorSpec] = []
        for value in values:
            problem = _problem(value)
            if problem is None:
                specs.append(_spec(value))
            else:
                problems.append(f"its {kind} {value.name!r} {problem}")
        return tuple(specs)

    inputs = read("input", (v for v in model.graph.input if v.name not in constant))
    outputs = read("output", model.graph.output)
    if not inputs:
        problems.append("it has no inputs.")
    if not outputs:
        problems.append("it has no outputs.")
    if problems:
        raise refusal(what, *problems)
    return inputs, outputs


def _read(path: Path, what: str) -> onnx.ModelProto:
    try:
        model = onnx.load(str(path), load_external_data=False)
    # protobuf's own errors have no common base.
    except Exception as error:
        raise refusal(
            what, f"it is no ONNX file, or a damaged one ({error}). Export it again."
        ) from error
    if not model.HasField("graph") or not model.opset_import:
        raise refusal(what, "it is no ONNX file, or a damaged one. Export it again.")
    return model


def _check(path: Path, what: str) -> None:
    try:
        onnx.checker.check_model(str(path))
    except onnx.checker.ValidationError as error:
        reason = str(error).strip().splitlines()[0].rstrip(".")
        raise refusal(what, f"it is no valid ONNX model ({reason}). Export it again.") from error


def _weights(model: onnx.ModelProto) -> tuple[dict[str, int], list[str]]:
    """Files beside the model that hold weights, with where the last of them ends; and problems."""
    found: dict[str, int] = {}
    problems: list[str] = []
    for tensor in _tensors(model):
        if tensor.data_location != TensorProto.EXTERNAL:
            continue
        entries = {entry.key: entry.value for entry in tensor.external_data}
        location = entries.get("location", "")
        try:
            begin, length = int(entries.get("offset") or 0), int(entries.get("length") or 0)
        except ValueError:
            begin = length = -1
        if begin < 0 or length < 0:
            problems.append(f"the weights {tensor.name!r} have no good place in {location!r}.")
        elif not is_safe_path(location):
            problems.append(
                f"the weights {tensor.name!r} are said to be in {location!r}, outside of its "
                "folder. Save them beside the model, or within it."
            )
        else:
            found[location] = max(found.get(location, 0), begin + length)
    return found, sorted(set(problems))


def _tensors(model: onnx.ModelProto) -> Iterator[TensorProto]:
    """All constants anywhere: of the graph, of its nodes, of graphs and functions within."""
    graphs: list[Any] = [model.graph]
    nodes: list[Any] = [node for function in model.functions for node in function.node]
    while graphs or nodes:
        if graphs:
            graph = graphs.pop()
            yield from graph.initializer
            for sparse in graph.sparse_initializer:
                yield from (sparse.values, sparse.indices)
            nodes += graph.node
            continue
        for attribute in nodes.pop().attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            if attribute.HasField("sparse_tensor"):
                yield from (attribute.sparse_tensor.values, attribute.sparse_tensor.indices)
            if attribute.HasField("g"):
                graphs.append(attribute.g)
            graphs += attribute.graphs


def _problem(value: Any) -> str | None:
    kind = value.type.WhichOneof("value")
    if kind == "sequence_type":
        return (
            "is a sequence, which no response can hold. Of a scikit-learn model, convert it with "
            "options={id(model): {'zipmap': False}}."
        )
    if kind != "tensor_type":
        return "is no tensor."
    tensor = value.type.tensor_type
    if tensor.elem_type not in _DATATYPES:
        name = TensorProto.DataType.Name(tensor.elem_type)
        return f"is of type {name}, which no request can hold."
    if not tensor.HasField("shape"):
        return "has no shape. Export it with one, in which a number of rows may be a name."
    return None


def _spec(value: Any) -> TensorSpec:
    tensor = value.type.tensor_type
    return TensorSpec(
        name=value.name,
        datatype=_DATATYPES[tensor.elem_type],
        shape=tuple(
            size.dim_value if size.HasField("dim_value") else -1 for size in tensor.shape.dim
        ),
    )
