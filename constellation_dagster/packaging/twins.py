"""The ONNX form of a model beside the model as it was registered."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from constellation_dagster.domain.errors import ConstellationError
from constellation_dagster.domain.packages import PackageManifest, Signature, TensorSpec
from constellation_dagster.packaging.artifact import Arrays, Artifact
from constellation_dagster.packaging.comparison import disagreement
from constellation_dagster.packaging.conversion import NotConvertible
from constellation_dagster.serving.predictors import Predictor, load_predictor

TWIN = "model.onnx"
_MOST_SECONDS = 0.2
_MOST_CALLS = 50


def with_twin(
    artifact: Artifact,
    folder: Path,
    manifest: PackageManifest,
    inputs: Arrays,
    measured: dict[str, Any],
) -> PackageManifest:
    """The manifest with the model's ONNX form, where it converts and agrees.

    Which of both is faster is not asked of this machine's clock, whose answer would be another
    one tomorrow and give the same model another digest: ONNX is, wherever it was measured. What
    the clock says goes into `measured`.

    Args:
        artifact: The model, which has a twin.
        folder: The package that is being made; the twin is added.
        manifest: Of the model alone.
        inputs: An example.
        measured: What was measured is added.
    """
    assert artifact.twin is not None
    signature = _as_onnx_gives(manifest.signature)
    try:
        content = artifact.twin(signature)
    except NotConvertible as error:
        measured["onnx"] = str(error)
        return manifest
    (folder / TWIN).write_bytes(content)
    twinned = manifest.model_copy(update={"onnx": TWIN, "serve": "onnx", "signature": signature})
    batches = [inputs] if artifact.probes is None else [inputs, artifact.probes]
    try:
        compared = _compared(folder, twinned, batches)
    except ConstellationError as error:
        compared = {"onnx": f"not kept: {error}"}
    measured |= compared
    if compared["onnx"] == "agrees":
        return twinned
    (folder / TWIN).unlink()
    return manifest


def milliseconds(predictor: Predictor, inputs: Arrays) -> float:
    """The median time of an answer."""
    times: list[float] = []
    end = time.perf_counter() + _MOST_SECONDS
    while not times or (len(times) < _MOST_CALLS and time.perf_counter() < end):
        before = time.perf_counter()
        predictor.predict(inputs)
        times.append(time.perf_counter() - before)
    return round(float(np.median(times)) * 1000, 4)


def _compared(folder: Path, manifest: PackageManifest, batches: list[Arrays]) -> Mapping[str, Any]:
    original = load_predictor(folder, manifest, which="artifact")
    twin = load_predictor(folder, manifest, which="onnx")
    largest = 0.0
    for batch in batches:
        differing, distance = disagreement(
            original.predict(batch), twin.predict(batch), manifest.tolerance
        )
        if differing is not None:
            return {"onnx": f"not kept: {differing}"}
        largest = max(largest, distance)
    return {
        "onnx": "agrees",
        "rows_compared": sum(len(next(iter(batch.values()))) for batch in batches),
        "largest_difference": largest,
        "artifact_ms": milliseconds(original, batches[0]),
    }


def _as_onnx_gives(signature: Signature) -> Signature:
    """Probabilities in single precision: all that ONNX's operators have, and shorter to write."""
    return Signature(
        inputs=signature.inputs,
        outputs=tuple(
            TensorSpec(name=spec.name, datatype="FP32", shape=spec.shape)
            if spec.name == "probabilities"
            else spec
            for spec in signature.outputs
        ),
    )
