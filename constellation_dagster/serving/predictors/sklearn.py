"""scikit-learn's estimators, stored with skops: types that are trusted, and nothing else."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import skops.io

from constellation_dagster.domain.plain_errors import PackageError
from constellation_dagster.domain.trees import TREE_TYPE, unsound_trees
from constellation_dagster.serving.manifest import SignatureLike
from constellation_dagster.serving.tensors import Array, fitted

PREDICTION = "prediction"
PROBABILITIES = "probabilities"


class SklearnPredictor:
    """An estimator, or the fields of a `domain.values.Model`, which name its columns.

    Raises:
        PackageError: The file is damaged, holds types that are not trusted, or gives no output
            that the signature names.
    """

    def __init__(self, path: Path, signature: SignatureLike) -> None:
        loaded = _load(path)
        self._columns: tuple[str, ...] | None = None
        self._estimator: Any = loaded
        if isinstance(loaded, dict):
            fields = cast("dict[str, Any]", loaded)
            self._estimator = fields.get("estimator")
            self._columns = tuple(fields.get("features", ()))
        self._input = signature.inputs[0].name
        self._outputs = {spec.name: spec for spec in signature.outputs}
        self._methods: dict[str, Any] = {}
        for name in self._outputs:
            method = {PREDICTION: "predict", PROBABILITIES: "predict_proba"}.get(name, "")
            if not hasattr(self._estimator, method):
                raise PackageError(
                    f"{path.name} holds a {type(self._estimator).__name__}, which gives no "
                    f"{name!r} as its signature says. Register the model again."
                )
            self._methods[name] = getattr(self._estimator, method)

    def predict(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Answers a request; see `Predictor`."""
        rows = inputs[self._input] if self._columns is None else _frame(self._columns, inputs)
        return {
            name: fitted(name, self._methods[name](rows), spec)
            for name, spec in self._outputs.items()
        }


def _frame(columns: tuple[str, ...], inputs: Mapping[str, Array]) -> Any:
    # What the blocks train with: the estimator chooses its columns by name.
    import polars as pl

    return pl.DataFrame(
        {
            name: _texts(inputs[name]) if inputs[name].dtype == object else inputs[name]
            for name in columns
        }
    )


def _texts(column: Array) -> list[str]:
    """A column of text; bytes that are no UTF-8 keep what can be read of them."""
    return [
        item.decode(errors="replace") if isinstance(item, bytes) else item
        for item in cast("list[str | bytes]", column.tolist())
    ]


def _load(path: Path) -> object:
    data = path.read_bytes()
    untrusted: set[str] = set()
    loaded: object = None
    try:
        untrusted = set(skops.io.get_untrusted_types(data=data)) - {TREE_TYPE}
        if not untrusted:
            loaded = skops.io.loads(data, trusted=[TREE_TYPE])
    # A damaged or forged file fails in as many ways as there are readers within skops.
    except Exception as error:
        raise PackageError(
            f"{path.name} cannot be loaded with skops: {type(error).__name__}: {error}. "
            "Save the model again with skops.io.dump."
        ) from error
    if untrusted:
        raise PackageError(
            f"{path.name} holds types that are not trusted: {', '.join(sorted(untrusted))}. "
            "Use estimators of scikit-learn, or export the model as ONNX."
        )
    if unsound := unsound_trees(loaded):
        raise PackageError(f"{path.name} is damaged: {unsound}. Train the model again.")
    return loaded
