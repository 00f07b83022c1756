"""Whether a model answers its own example as it did when it was packaged."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from constellation_dagster.domain.plain_errors import PackageError
from constellation_dagster.serving.errors import RequestRefused
from constellation_dagster.serving.integrity import EXAMPLE
from constellation_dagster.serving.manifest import SignatureLike, TensorLike
from constellation_dagster.serving.predictors import Predictor
from constellation_dagster.serving.protocol import decode_request
from constellation_dagster.serving.tensors import Array, fitted

_CANNOT = "The model does not answer its own example"


def check_example(
    folder: Path, predictor: Predictor, signature: SignatureLike, tolerance: float
) -> None:
    """Has a model answer the example of its package.

    Args:
        folder: Where the package is.
        predictor: The loaded model.
        signature: What it takes and gives.
        tolerance: How far a number may be from the expected one, absolute and relative.

    Raises:
        PackageError: It raises, or answers something else; the message says what.
    """
    try:
        example: dict[str, Any] = json.loads((folder / EXAMPLE).read_bytes())
        request = decode_request(json.dumps(example["request"]).encode(), signature)
        expected = expected_outputs(example["response"], signature)
    except (OSError, ValueError, KeyError, TypeError, RequestRefused) as error:
        raise PackageError(
            f"{EXAMPLE} is no example of this model: {error}. Register the model again."
        ) from error
    try:
        outputs = predictor.predict(request.inputs)
    except (Exception, SystemExit) as error:
        raise PackageError(f"{_CANNOT}: {type(error).__name__}: {error}") from error
    if told := differences(expected, outputs, tolerance):
        raise PackageError(
            f"{_CANNOT} as when it was packaged: {'; '.join(told)}. Its libraries may be of other "
            "versions than its requirements.txt says."
        )


def expected_outputs(response: Mapping[str, Any], signature: SignatureLike) -> dict[str, Array]:
    """The arrays of a response in JSON.

    Raises:
        KeyError: An output or a part of it is missing.
        ValueError: An output does not fit the signature.
    """
    given = {entry["name"]: entry for entry in response["outputs"]}
    return {spec.name: _output(given[spec.name], spec) for spec in signature.outputs}


def differences(
    expected: Mapping[str, Array], outputs: Mapping[str, Array], tolerance: float
) -> list[str]:
    """Each output that is not as expected, and how; texts and whole numbers must be equal."""
    told: list[str] = []
    for name, wanted in expected.items():
        found = outputs[name]
        if found.shape != wanted.shape:
            told.append(
                f"output {name!r} has the shape {list(found.shape)}, not {list(wanted.shape)}"
            )
        elif wanted.dtype.kind != "f":
            wrong = int(np.count_nonzero(found != wanted))
            if wrong:
                told.append(f"output {name!r} differs in {wrong} of {wanted.size} elements")
        elif not np.allclose(found, wanted, rtol=tolerance, atol=tolerance, equal_nan=True):
            most = float(np.max(np.abs(found.astype(np.float64) - wanted.astype(np.float64))))
            told.append(f"output {name!r} differs by {most:.3g}, and {tolerance:g} is the most")
    return told


def _output(entry: Mapping[str, Any], spec: TensorLike) -> Array:
    array = np.array(entry["data"], dtype=object if spec.datatype == "BYTES" else None)
    return fitted(spec.name, array.reshape(entry["shape"]), spec)
