"""What the server needs beside Python; a model's image holds this and its own requirements."""

from collections.abc import Mapping

# Of the project; an image has no metadata of it to ask.
SERVER_VERSION = "0.1.0"

SERVING_REQUIREMENTS = ("httptools", "numpy", "orjson", "uvloop")
"""Distributions that every server imports."""

RUNTIME_REQUIREMENTS: Mapping[str, tuple[str, ...]] = {
    "onnx": ("onnxruntime",),
    "sklearn": ("scikit-learn", "skops"),
    "mlflow": ("mlflow",),
    "python": (),
}
"""Distributions that load a model, by flavour; `onnx` also where the ONNX twin serves.

An estimator that reads columns by their names needs polars as well, with which it was trained."""
