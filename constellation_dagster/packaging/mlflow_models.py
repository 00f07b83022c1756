"""MLflow's model directories: unwrapped where they hold ONNX or skops, else served by MLflow."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import yaml

from constellation_dagster.domain.packages import Datatype, PackageError, TensorSpec
from constellation_dagster.packaging.artifact import Arrays, Artifact
from constellation_dagster.packaging.estimators import take_skops
from constellation_dagster.packaging.intake import is_safe_path, refusal, take_folder
from constellation_dagster.packaging.onnx_files import take_onnx
from constellation_dagster.packaging.requirements import lines_of

DESCRIPTION = "MLmodel"
ARTIFACT = "mlflow"
SCHEMES = ("models:", "runs:")
_MOST_DESCRIPTION = 1024**2
_INSTALL = "pip install 'constellation-dagster[mlflow]'"
_COLUMN_TYPES: Mapping[str, Datatype] = {
    "boolean": "BOOL",
    "integer": "INT32",
    "long": "INT64",
    "float": "FP32",
    "double": "FP64",
    "string": "BYTES",
    "binary": "BYTES",
}
_TENSOR_TYPES: Mapping[str, Datatype] = {
    "bool": "BOOL",
    "str": "BYTES",
    "object": "BYTES",
    "float16": "FP16",
    "float32": "FP32",
    "float64": "FP64",
    **{f"int{bits}": cast("Datatype", f"INT{bits}") for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": cast("Datatype", f"UINT{bits}") for bits in (8, 16, 32, 64)},
}


def take_mlflow(source: Path, folder: Path, *, data_only: bool) -> Artifact:
    """Takes a model directory of MLflow into a package.

    Models of the flavours `onnx` and, saved with skops, `sklearn` become packages of ONNX and of
    scikit-learn, which need no MLflow. Others are served through `mlflow.pyfunc`, which runs
    what the directory says.

    Args:
        source: The directory with MLmodel.
        folder: The package that is being made.
        data_only: Whether to take nothing that runs code.

    Raises:
        PackageError: It is damaged, holds pickles, or no signature.
    """
    what = repr(str(source))
    described = _described(source, what)
    flavors = _mapping(described.get("flavors"))
    version = {"Logged with": f"MLflow {described.get('mlflow_version', 'of an unknown version')}"}
    signature = _mapping(described.get("signature"))
    if "onnx" in flavors:
        taken = take_onnx(_part(source, _mapping(flavors["onnx"]).get("data"), what), folder)
        return _with_facts(taken, version)
    sklearn = _mapping(flavors.get("sklearn"))
    if sklearn.get("serialization_format") == "skops":
        columns = _column_names(signature.get("inputs"))
        file = _part(source, sklearn.get("pickled_model"), what)
        taken = take_skops(file, folder, columns=columns)
        return _with_facts(taken, version, _example(source, described, taken.inputs))
    if sklearn:
        raise refusal(
            what,
            "its scikit-learn model is a pickle, which can run any code when it is loaded. Log "
            'it with mlflow.sklearn.log_model(…, serialization_format="skops") or as ONNX, or '
            "register the estimator itself.",
        )
    if data_only:
        kinds = ", ".join(sorted(set(flavors) - {"python_function"})) or "python_function"
        raise refusal(
            what,
            f"its flavour {kinds} is loaded by code that the directory names. Log it as ONNX, "
            "or as a scikit-learn model saved with skops; or have an operator register it "
            "with `constellation model register`.",
        )
    take_folder(source, folder / ARTIFACT)
    inputs = _specs(signature.get("inputs"), "input", what)
    outputs = _specs(signature.get("outputs"), "output", what)
    kinds = ", ".join(sorted(set(flavors) - {"python_function"})) or "python_function"
    return Artifact(
        flavor="mlflow",
        path=ARTIFACT,
        packages=("mlflow-skinny", "numpy", "pandas"),
        facts={"MLflow flavour": kinds, **version},
        inputs=inputs,
        outputs=outputs,
        example=_example(source, described, inputs),
        pinned=_requirements(source),
    )


def download(uri: str, into: Path) -> Path:
    """A model of MLflow's registry or of a run, as a directory of this machine.

    Raises:
        PackageError: MLflow is not installed, or has no such model.
    """
    try:
        import mlflow.artifacts
    except ImportError as error:
        raise PackageError(
            f"{uri!r} is read with MLflow, which is not installed. Install it: {_INSTALL}."
        ) from error
    try:
        found = mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=str(into))
    # Its stores raise errors of their own clients.
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise PackageError(
            f"MLflow cannot read {uri!r}: {reason}. Check the name, and MLFLOW_TRACKING_URI."
        ) from error
    return Path(found)


def _described(source: Path, what: str) -> Mapping[str, Any]:
    path = source / DESCRIPTION
    if path.stat().st_size > _MOST_DESCRIPTION:
        raise refusal(what, f"its {DESCRIPTION} is larger than a description is.")
    try:
        described: object = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        reason = str(error).splitlines()[0]
        raise refusal(what, f"its {DESCRIPTION} is damaged ({reason}).") from error
    found = _mapping(described)
    if not found.get("flavors"):
        raise refusal(what, f"its {DESCRIPTION} names no flavours.")
    return found


def _part(source: Path, name: object, what: str) -> Path:
    """A file that the description names."""
    if not isinstance(name, str) or not is_safe_path(name):
        raise refusal(what, f"its {DESCRIPTION} names {name!r} as its model, outside of it.")
    path = source / name
    if not path.resolve().is_relative_to(source.resolve()):
        raise refusal(what, f"its model {name!r} is a link that leads outside.")
    return path


def _with_facts(
    taken: Artifact, facts: Mapping[str, str], example: Arrays | None = None
) -> Artifact:
    from dataclasses import replace

    return replace(
        taken,
        facts={**taken.facts, **facts},
        example=example if example is not None else taken.example,
    )


def _requirements(source: Path) -> tuple[str, ...]:
    path = source / "requirements.txt"
    if not path.is_file():
        return ()
    lines = lines_of(path.read_text(encoding="utf-8"))
    # What loads models is in the small package too; the large one brings a tracking server.
    return tuple(line for line in lines if not line.startswith(("mlflow=", "mlflow>", "mlflow<")))


def _column_names(schema: object) -> list[str] | None:
    """Names of the columns that a signature of columns lists."""
    entries = _entries(schema)
    names = [
        entry["name"] for entry in entries if entry.get("type") != "tensor" and "name" in entry
    ]
    return names if names and len(names) == len(entries) else None


def _entries(schema: object) -> list[dict[str, Any]]:
    try:
        entries: object = json.loads(schema) if isinstance(schema, str) else schema
    except ValueError:
        return []
    if not isinstance(entries, list):
        return []
    return [dict(_mapping(entry)) for entry in cast("list[object]", entries)]


def _specs(schema: object, kind: str, what: str) -> tuple[TensorSpec, ...]:
    entries = _entries(schema)
    if not entries:
        raise refusal(
            what,
            f"its signature says nothing of its {kind}s. Log it with "
            "signature=mlflow.models.infer_signature(inputs, outputs).",
        )
    specs: list[TensorSpec] = []
    problems: list[str] = []
    for number, entry in enumerate(entries):
        name = str(entry.get("name") or (kind if len(entries) == 1 else f"{kind}_{number}"))
        shape: Sequence[int] = (-1,)
        if entry.get("type") == "tensor":
            tensor = _mapping(entry.get("tensor-spec"))
            datatype = _TENSOR_TYPES.get(str(tensor.get("dtype")))
            shape = tensor.get("shape") or ()
        else:
            datatype = _COLUMN_TYPES.get(str(entry.get("type")))
        if datatype is None:
            told = _mapping(entry.get("tensor-spec")).get("dtype") or entry.get("type")
            problems.append(f"its {kind} {name!r} is of type {told}, which no request can hold.")
        else:
            specs.append(TensorSpec(name=name, datatype=datatype, shape=tuple(shape)))
    if problems:
        raise refusal(what, *problems)
    return tuple(specs)


def _example(
    source: Path, described: Mapping[str, Any], inputs: Sequence[TensorSpec]
) -> Arrays | None:
    """The input example that was logged with the model, where it is one for these inputs."""
    saved = _mapping(described.get("saved_input_example_info"))
    name = saved.get("artifact_path")
    if not isinstance(name, str) or not is_safe_path(name) or not (source / name).is_file():
        return None
    try:
        given: object = json.loads((source / name).read_bytes())
        if len(inputs) == 1 and isinstance(given, list):
            return {inputs[0].name: _array(cast("list[Any]", given), inputs[0])}
        frame = _mapping(given)
        columns = list(frame["columns"])
        rows = list(zip(*frame["data"], strict=True))
        return {spec.name: _array(rows[columns.index(spec.name)], spec) for spec in inputs}
    except (ValueError, KeyError, TypeError, IndexError, OSError):
        return None


def _array(values: Sequence[Any], spec: TensorSpec) -> np.ndarray[Any, Any]:
    from constellation_dagster.serving.tensors import DTYPES

    array = np.asarray(values, dtype=DTYPES[spec.datatype])
    if array.ndim != len(spec.shape):
        raise ValueError(f"it has {array.ndim} dimensions")
    return array


def _mapping(value: object) -> Mapping[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
