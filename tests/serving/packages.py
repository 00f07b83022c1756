"""Small packages, made without the code that makes packages for people."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np

from constellation_dagster.domain.packages import (
    EXAMPLE,
    MANIFEST,
    MODEL_CARD,
    REQUIREMENTS,
    Flavor,
    PackageFile,
    PackageManifest,
    Signature,
    TensorSpec,
)

IRIS = Signature(
    inputs=(TensorSpec(name="x", datatype="FP32", shape=(-1, 4)),),
    outputs=(
        TensorSpec(name="prediction", datatype="INT64", shape=(-1,)),
        TensorSpec(name="probabilities", datatype="FP32", shape=(-1, 3)),
    ),
)
IRIS_ROW = [5.1, 3.5, 1.4, 0.2]


@dataclass(frozen=True)
class Package:
    """A package in a folder."""

    folder: Path
    manifest: PackageManifest

    @property
    def digest(self) -> str:
        return self.manifest.digest


def tensor(name: str, datatype: str, shape: Sequence[int], data: Sequence[Any]) -> dict[str, Any]:
    """A tensor in JSON."""
    return {"name": name, "datatype": datatype, "shape": [*shape], "data": [*data]}


def write_package(
    folder: Path,
    *,
    flavor: Flavor,
    artifact: str,
    signature: Signature,
    request: Mapping[str, Any],
    response: Mapping[str, Any],
    onnx: str | None = None,
    serve: Literal["artifact", "onnx"] = "artifact",
    classes: tuple[str, ...] = (),
) -> Package:
    """Writes everything but the model, which is in the folder already."""
    (folder / EXAMPLE).write_text(json.dumps({"request": request, "response": response}))
    (folder / REQUIREMENTS).write_text("")
    (folder / MODEL_CARD).write_text("# A model of the tests\n")
    files = tuple(
        PackageFile(
            path=str(path.relative_to(folder)),
            size=path.stat().st_size,
            sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        )
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != MANIFEST
    )
    manifest = PackageManifest(
        flavor=flavor,
        artifact=artifact,
        onnx=onnx,
        serve=serve,
        signature=signature,
        classes=classes,
        python="3.11",
        requirements=(),
        files=files,
    )
    (folder / MANIFEST).write_text(manifest.model_dump_json())
    return Package(folder, manifest)


def onnx_package(folder: Path) -> Package:
    """A logistic regression of the iris data, from scikit-learn by skl2onnx."""
    import skl2onnx

    to_onnx: Any = cast("Any", skl2onnx).to_onnx
    folder.mkdir(parents=True, exist_ok=True)
    estimator, example = _iris()
    model: Any = to_onnx(
        estimator,
        example,
        options={"zipmap": False},
        target_opset=18,
    )
    _rename(model, {"X": "x", "label": "prediction"})
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    return write_package(
        folder,
        flavor="onnx",
        artifact="model.onnx",
        signature=IRIS,
        request={"inputs": [tensor("x", "FP32", (1, 4), example[0].tolist())]},
        response=_iris_response(estimator, example[:1]),
        classes=("setosa", "versicolor", "virginica"),
    )


def sklearn_package(folder: Path) -> Package:
    """The same as scikit-learn has it, with a forest, by skops."""
    import skops.io
    from sklearn.ensemble import RandomForestClassifier

    folder.mkdir(parents=True, exist_ok=True)
    data, target = _iris_data()
    estimator: Any = RandomForestClassifier(n_estimators=3, random_state=0)
    estimator.fit(data, target)
    skops.io.dump(estimator, folder / "model.skops")
    return write_package(
        folder,
        flavor="sklearn",
        artifact="model.skops",
        signature=IRIS,
        request={"inputs": [tensor("x", "FP32", (1, 4), data[0].tolist())]},
        response=_iris_response(estimator, data[:1]),
        classes=("setosa", "versicolor", "virginica"),
    )


def python_package(
    folder: Path,
    code: str,
    *,
    signature: Signature | None = None,
    request: Mapping[str, Any] | None = None,
    response: Mapping[str, Any] | None = None,
    artifact: str = "model.py",
) -> Package:
    """A class of one's own; by default one that takes and gives `x` [-1] of FP64.

    Args:
        folder: Where to write it.
        code: Of `model.py`.
        signature: What it takes and gives.
        request: Its example; x = 1 by default.
        response: The answer to it; x = 1 by default.
        artifact: What the manifest calls the model.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.py").write_text(code)
    x = TensorSpec(name="x", datatype="FP64", shape=(-1,))
    one = tensor("x", "FP64", (1,), [1.0])
    return write_package(
        folder,
        flavor="python",
        artifact=artifact,
        signature=signature or Signature(inputs=(x,), outputs=(x,)),
        request=request or {"inputs": [one]},
        response=response or {"outputs": [one]},
    )


ECHO = """\
class Model:
    def setup(self, folder):
        pass

    def predict(self, inputs):
        return {"x": inputs["x"]}
"""


SLEEPER = """\
import sys, time
class Unspeakable(Exception):
    pass
class Model:
    def setup(self, folder):
        pass
    def predict(self, inputs):
        x = inputs["x"]
        if (x < 0).any():
            raise ValueError(f"{x.min():g} is negative")
        if (x == 66).any():
            raise Unspeakable("\\ud800")
        if (x == 77).any():
            sys.exit(3)
        time.sleep(float(x.max()) if x.max() > 1 else 0)
        return {"x": x}
"""


def asked(*rows: float) -> dict[str, Any]:
    return {"inputs": [tensor("x", "FP64", (len(rows),), rows)]}


def columns_package(folder: Path) -> Package:
    """A trained `Model` of this project, which reads columns of numbers and text by name."""
    import dataclasses

    import polars as pl
    import skops.io

    from constellation_dagster.blocks.classifiers import fit_classifier

    folder.mkdir(parents=True, exist_ok=True)
    table = pl.DataFrame(
        {
            "mass": [3000.0, 3100.0, 5000.0, 5200.0] * 3,
            "island": ["Dream", "Dream", "Biscoe", "Torgersen"] * 3,
            "is_adult": [True, False, True, True] * 3,
            "species": ["Adelie", "Adelie", "Gentoo", "Gentoo"] * 3,
        }
    )
    model = fit_classifier(
        table, "species", ["mass", "island", "is_adult"], "logistic_regression", 0
    )
    fields = {field.name: getattr(model, field.name) for field in dataclasses.fields(model)}
    skops.io.dump(fields, folder / "model.skops")
    rows = table.head(1).select(model.features)
    return write_package(
        folder,
        flavor="sklearn",
        artifact="model.skops",
        signature=Signature(
            inputs=(
                TensorSpec(name="mass", datatype="FP64", shape=(-1,)),
                TensorSpec(name="island", datatype="BYTES", shape=(-1,)),
                TensorSpec(name="is_adult", datatype="BOOL", shape=(-1,)),
            ),
            outputs=(
                TensorSpec(name="prediction", datatype="BYTES", shape=(-1,)),
                TensorSpec(name="probabilities", datatype="FP64", shape=(-1, 2)),
            ),
        ),
        request={
            "inputs": [
                tensor("mass", "FP64", (1,), [3000.0]),
                tensor("island", "BYTES", (1,), ["Dream"]),
                tensor("is_adult", "BOOL", (1,), [True]),
            ]
        },
        response={
            "outputs": [
                tensor("prediction", "BYTES", (1,), ["Adelie"]),
                tensor(
                    "probabilities",
                    "FP64",
                    (1, 2),
                    model.estimator.predict_proba(rows)[0].tolist(),
                ),
            ]
        },
        classes=model.classes,
    )


def _iris_data() -> tuple[Any, Any]:
    import sklearn.datasets

    data: Any = cast("Any", sklearn.datasets).load_iris()
    return data.data.astype(np.float32), data.target


def _iris() -> tuple[Any, Any]:
    from sklearn.linear_model import LogisticRegression

    data, target = _iris_data()
    estimator: Any = LogisticRegression(max_iter=1000)
    return estimator.fit(data, target), data


def _iris_response(estimator: Any, rows: Any) -> dict[str, Any]:
    shares = estimator.predict_proba(rows)
    return {
        "outputs": [
            tensor("prediction", "INT64", (len(rows),), estimator.predict(rows).tolist()),
            tensor("probabilities", "FP32", shares.shape, shares.ravel().tolist()),
        ]
    }


def _rename(model: Any, names: Mapping[str, str]) -> None:
    """Calls tensors of an ONNX model otherwise, wherever they are."""
    graph = model.graph
    for value in (*graph.input, *graph.output):
        value.name = names.get(value.name, value.name)
    for node in graph.node:
        for ports in (node.input, node.output):
            for index, name in enumerate(ports):
                ports[index] = names.get(name, name)
