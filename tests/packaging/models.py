"""Models that the tests package."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import polars as pl
from onnx import TensorProto, helper, numpy_helper

from constellation_dagster.blocks.classifiers import Algorithm, fit_classifier
from constellation_dagster.domain.values import Model

FEATURES = ("island", "alive", "year", "mass")


def birds(rows: int = 120, seed: int = 0) -> pl.DataFrame:
    """Columns of text, truth values, whole numbers and decimals, and a class to tell."""
    random = np.random.default_rng(seed)
    mass = random.normal(4000, 500, rows)
    island = random.choice(["Biscoe", "Dream", "Torgersen"], rows)
    return pl.DataFrame(
        {
            "island": island,
            "alive": random.random(rows) > 0.5,
            "year": random.integers(2007, 2010, rows),
            "mass": mass,
            "species": np.where(mass > 4200, "Gentoo", np.where(island == "Dream", "C", "Adelie")),
        }
    )


def bird_model(algorithm: Algorithm = "logistic_regression", target: str = "species") -> Model:
    """What train_classifier makes of them."""
    features = [name for name in (*FEATURES, "species") if name != target]
    return fit_classifier(birds(), target, features, algorithm, 0)


def regression(shift: float = 0.0) -> Any:
    """A plain estimator that takes an array."""
    from sklearn.linear_model import LinearRegression
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    random = np.random.default_rng(1)
    rows = random.normal(3, 2, (50, 3))
    estimator: Any = Pipeline([("scale", StandardScaler()), ("fit", LinearRegression())])
    return estimator.fit(rows, rows @ np.array([1.0, -2.0, 0.5]) + shift)


def save_skops(value: object, path: Path) -> Path:
    import skops.io

    skops.io.dump(value, path)
    return path


def onnx_model(*, by: float = 2.0, external: str | None = None) -> onnx.ModelProto:
    """`y = x * by`, for rows of three numbers."""
    factor = numpy_helper.from_array(np.full(3, by, np.float32), "by")
    if external is not None:
        raw = factor.raw_data
        factor.ClearField("raw_data")
        factor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", external), ("offset", "0"), ("length", str(len(raw)))):
            factor.external_data.add(key=key, value=value)
    graph = helper.make_graph(
        [helper.make_node("Mul", ["x", "by"], ["y"])],
        "scale",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 3])],
        [factor],
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9, producer_name="tests"
    )


def save_onnx(path: Path, *, by: float = 2.0) -> Path:
    path.write_bytes(onnx_model(by=by).SerializeToString())
    return path


def save_external_onnx(folder: Path, location: str = "weights.bin", *, by: float = 2.0) -> Path:
    """A model whose weights are in a file of their own."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "scale.onnx"
    path.write_bytes(onnx_model(external=location).SerializeToString())
    weights = folder / location
    if location and ".." not in location and not location.startswith("/"):
        weights.parent.mkdir(parents=True, exist_ok=True)
        weights.write_bytes(np.full(3, by, np.float32).tobytes())
    return path


PYTHON_MODEL = '''\
"""Scales what it is given."""

import numpy as np


class Model:
    def setup(self, folder):
        self.by = float((folder / "by.txt").read_text())

    def predict(self, inputs):
        x = inputs["x"]
        return {"scaled": x * self.by, "big": x > 1, "name": np.array([f"n{v}" for v in x])}
'''
PYTHON_EXAMPLE: dict[str, Any] = {
    "inputs": [{"name": "x", "datatype": "FP64", "shape": [3], "data": [1.0, 2.0, 3.5]}]
}


def save_python_class(folder: Path, *, requirements: str = "numpy>=2\n") -> Path:
    folder.mkdir(parents=True)
    (folder / "model.py").write_text(PYTHON_MODEL)
    (folder / "by.txt").write_text("2.5")
    (folder / "requirements.txt").write_text(requirements)
    return folder
