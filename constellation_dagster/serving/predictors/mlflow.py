"""MLflow's model directories, through `mlflow.pyfunc`."""

import logging
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from constellation_dagster.domain.plain_errors import PackageError
from constellation_dagster.serving.manifest import SignatureLike
from constellation_dagster.serving.tensors import Array, ModelFailed, fitted


class MlflowPredictor:
    """A model directory of MLflow. Columns of its signature are inputs by name.

    Raises:
        PackageError: MLflow cannot load it.
    """

    def __init__(self, path: Path, signature: SignatureLike) -> None:
        # It would tell its makers what it is used for.
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        import mlflow.pyfunc

        logging.getLogger("mlflow").setLevel(logging.ERROR)
        # A model may bring code, and bytecode of it would change the package.
        sys.dont_write_bytecode = True
        try:
            self._model: Any = mlflow.pyfunc.load_model(str(path))
        except Exception as error:
            raise PackageError(
                f"MLflow cannot load the model: {type(error).__name__}: {error}. "
                "Save it again, with the versions of its requirements."
            ) from error
        schema: Any = self._model.metadata.get_input_schema()
        self._as_frame = schema is None or not schema.is_tensor_spec()
        self._unnamed = schema is not None and not schema.has_input_names()
        self._inputs = tuple(signature.inputs)
        self._outputs = tuple(signature.outputs)

    def predict(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Answers a request; see `Predictor`."""
        given: Any = self._model.predict(self._asked(inputs))
        values = _by_name(given, [spec.name for spec in self._outputs])
        return {
            spec.name: fitted(spec.name, value, spec)
            for spec, value in zip(self._outputs, values, strict=True)
        }

    def _asked(self, inputs: Mapping[str, Array]) -> Any:
        first = inputs[self._inputs[0].name]
        if self._unnamed or (self._as_frame and len(self._inputs) == 1 and first.ndim > 1):
            return first
        if not self._as_frame:
            return dict(inputs)
        import pandas as pd

        return pd.DataFrame({spec.name: inputs[spec.name].reshape(-1) for spec in self._inputs})


def _by_name(given: Any, names: list[str]) -> list[Any]:
    """What pyfunc returned, in the order of the outputs."""
    parts: dict[str, Any]
    whole: Any = given
    if isinstance(given, Mapping):
        parts = dict(cast("Mapping[str, Any]", given))
    elif hasattr(whole, "columns"):
        parts = {str(name): whole[name] for name in whole.columns}
    elif isinstance(given, list | tuple) and len(cast("list[Any]", given)) == len(names) > 1:
        parts = dict(zip(names, cast("list[Any]", given), strict=True))
    else:
        parts = dict.fromkeys(names[:1], whole)
    if all(name in parts for name in names):
        return [parts[name] for name in names]
    # One output of the signature may stand for a table of columns.
    if len(names) == 1 and hasattr(whole, "to_numpy"):
        return [whole.to_numpy()]
    if len(parts) == len(names):
        return list(parts.values())
    raise ModelFailed(
        f"The model returned {', '.join(parts)}, and its signature says {', '.join(names)}."
    )
