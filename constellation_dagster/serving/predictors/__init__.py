"""Models behind one interface: arrays in by name, arrays out by name."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Protocol

from constellation_dagster.domain.plain_errors import PackageError
from constellation_dagster.serving.manifest import ManifestLike
from constellation_dagster.serving.tensors import Array


class Predictor(Protocol):
    """A loaded model."""

    def predict(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Answers a request.

        Args:
            inputs: All inputs of the signature, with its datatypes and shapes. BYTES are object
                arrays of str, or of bytes where they are no UTF-8.

        Returns:
            All outputs of the signature, with its datatypes and shapes.

        Raises:
            ModelFailed: The model gave something else than its signature says.
            Exception: Whatever the model raises.
        """
        ...


def load_predictor(
    folder: Path, manifest: ManifestLike, *, which: Literal["artifact", "onnx"] | None = None
) -> Predictor:
    """Loads the model of a package. Verify the package first: a model may be code.

    Args:
        folder: Where the package is.
        manifest: Its manifest.
        which: The model as registered or its ONNX twin; the faster one if None.

    Raises:
        PackageError: It cannot be loaded, or not safely.
    """
    # Each flavour is imported alone: an image holds the libraries of one.
    which = which or manifest.serve
    try:
        if which == "onnx":
            if manifest.onnx is None:
                raise PackageError(
                    "The package has no ONNX twin of its model. Serve its artifact instead."
                )
            from constellation_dagster.serving.predictors.onnx import OnnxPredictor

            return OnnxPredictor(folder / manifest.onnx, manifest.signature)
        path = folder / manifest.artifact
        if manifest.flavor == "onnx":
            from constellation_dagster.serving.predictors.onnx import OnnxPredictor

            return OnnxPredictor(path, manifest.signature)
        if manifest.flavor == "sklearn":
            from constellation_dagster.serving.predictors.sklearn import SklearnPredictor

            return SklearnPredictor(path, manifest.signature)
        if manifest.flavor == "mlflow":
            from constellation_dagster.serving.predictors.mlflow import MlflowPredictor

            return MlflowPredictor(path, manifest.signature)
        from constellation_dagster.serving.predictors.python import PythonPredictor

        return PythonPredictor(path, manifest.signature)
    except ImportError as error:
        raise PackageError(
            f"The model cannot be loaded: {error}. Install the packages of its requirements.txt."
        ) from error
