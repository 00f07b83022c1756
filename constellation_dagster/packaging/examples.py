"""The example in a package: a request, and the response that is expected of every copy of it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from constellation_dagster.domain.packages import PackageError, Signature, TensorSpec
from constellation_dagster.packaging.artifact import Arrays
from constellation_dagster.serving.errors import RequestRefused
from constellation_dagster.serving.protocol import decode_request, encode_response
from constellation_dagster.serving.tensors import DTYPES

ROWS = "x"
"""How an estimator's input is named that takes rows as they are, without names of columns."""
_HOW = (
    'Give one as JSON: {"request": {"inputs": [{"name": …, "datatype": …, "shape": […], '
    '"data": […]}]}}.'
)


class GivenTensor(BaseModel):
    """An input of a request, as far as it says what the model takes."""

    model_config = ConfigDict(extra="ignore")

    name: str = Field(min_length=1)
    datatype: str
    shape: tuple[int, ...]


class GivenExample(BaseModel):
    """What a person gives as an example: a request alone, or with what is expected of it."""

    model_config = ConfigDict(extra="forbid")

    request: dict[str, Any]
    response: dict[str, Any] | None = None
    signature: Signature | None = None

    @property
    def columns(self) -> list[str] | None:
        """The columns of an estimator that it names; None when it gives rows as one tensor."""
        names = [spec.name for spec in inputs_told(self.request)]
        return None if names == [ROWS] else names


@dataclass(frozen=True)
class Example:
    """A request that a model has answered.

    Attributes:
        inputs: Its arrays.
        outputs: The answer's.
    """

    inputs: Arrays
    outputs: Arrays


def read_example(given: Mapping[str, Any]) -> GivenExample:
    """An example from its JSON.

    Raises:
        PackageError: It is none.
    """
    whole = given if "request" in given else {"request": dict(given)}
    try:
        return GivenExample.model_validate(whole)
    except ValidationError as error:
        told = "; ".join(
            f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}"
            for problem in error.errors()
        )
        raise PackageError(f"The example is refused: {told}. {_HOW}") from error


def inputs_told(request: Mapping[str, Any]) -> tuple[TensorSpec, ...]:
    """Inputs as a request says them; its first dimension counts rows.

    Raises:
        PackageError: It says none.
    """
    entries = request.get("inputs")
    if not isinstance(entries, list) or not entries:
        raise PackageError(f"The example is refused: its request has no inputs. {_HOW}")
    try:
        tensors = [GivenTensor.model_validate(entry) for entry in cast("list[Any]", entries)]
        return tuple(_spec(tensor.name, tensor.datatype, tensor.shape) for tensor in tensors)
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(str(part) for part in problem["loc"])
        raise PackageError(
            f"The example is refused: an input's {place}: {problem['msg']}. {_HOW}"
        ) from error


def outputs_told(outputs: Arrays) -> tuple[TensorSpec, ...]:
    """Outputs as an answer says them; its first dimension counts rows.

    Raises:
        PackageError: An output has elements that no response can hold.
    """
    specs: list[TensorSpec] = []
    for name, array in outputs.items():
        kind = array.dtype
        known = (datatype for datatype, dtype in DTYPES.items() if dtype == kind)
        datatype = "BYTES" if kind.kind in "US" else next(known, None)
        if datatype is None:
            raise PackageError(
                f"The model's output {name!r} has elements of type {kind}, which no response can "
                "hold. Have it return numbers, truth values or texts."
            )
        specs.append(_spec(name, datatype, array.shape))
    return tuple(specs)


def arrays_of(request: Mapping[str, Any], signature: Signature) -> Arrays:
    """The arrays of a request, checked as the server checks them.

    Raises:
        PackageError: It does not fit the signature; the message says all that is wrong.
    """
    try:
        return decode_request(json.dumps(request).encode(), signature).inputs
    except RequestRefused as error:
        raise PackageError(f"The example's request is refused: {error}.") from error


def zeros(inputs: Sequence[TensorSpec]) -> Arrays:
    """One row of nothing: of any length that is open, 1."""
    rows: dict[str, np.ndarray[Any, Any]] = {}
    for spec in inputs:
        shape = tuple(1 if size == -1 else size for size in spec.shape)
        nothing: Any = "" if spec.datatype == "BYTES" else 0
        rows[spec.name] = np.full(shape, nothing, DTYPES[spec.datatype])
    return rows


def example_json(example: Example, signature: Signature) -> str:
    """The file `example.json`.

    Raises:
        PackageError: The answer holds what JSON cannot say.
    """
    request = {
        "inputs": [
            {
                "name": spec.name,
                "datatype": spec.datatype,
                "shape": list(example.inputs[spec.name].shape),
                "data": _flat(example.inputs[spec.name]),
            }
            for spec in signature.inputs
        ]
    }
    # The last digits are those of one processor; the same model has the same example everywhere.
    outputs = {
        name: _rounded(array) if array.dtype.kind == "f" else array
        for name, array in example.outputs.items()
    }
    try:
        response = json.loads(encode_response("", "", signature, outputs))
    except RequestRefused as error:
        raise PackageError(
            f"The model's answer to the example cannot be kept: {error}. Give another example."
        ) from error
    whole = {"request": request, "response": {"outputs": response["outputs"]}}
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def require_expected(
    example: Example, expected: Mapping[str, Any], signature: Signature, tolerance: float
) -> None:
    """Holds a model's answer to the one that was given with the example.

    Raises:
        PackageError: It is another.
    """
    as_inputs = Signature(inputs=signature.outputs, outputs=signature.outputs)
    try:
        body = json.dumps({"inputs": expected.get("outputs")}).encode()
        wanted = decode_request(body, as_inputs).inputs
    except RequestRefused as error:
        said = str(error).replace("inputs", "outputs").replace("input", "output")
        raise PackageError(f"The example's response is refused: {said}.") from error
    different = [
        name
        for name, array in wanted.items()
        if not _close(array, example.outputs[name], tolerance)
    ]
    if different:
        raise PackageError(
            f"The model does not answer as the example's response says: {', '.join(different)} "
            f"differ by more than {tolerance}. Correct the response, or leave it out."
        )


def _close(first: np.ndarray[Any, Any], second: np.ndarray[Any, Any], tolerance: float) -> bool:
    if first.shape != second.shape:
        return False
    if first.dtype.kind == "f":
        return bool(np.allclose(first, second, rtol=tolerance, atol=tolerance))
    return bool(np.array_equal(first, second))


def _rounded(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    digits = [float(f"{value:.6g}") for value in array.ravel().tolist()]
    return np.array(digits, array.dtype).reshape(array.shape)


def _spec(name: str, datatype: str, shape: Sequence[int]) -> TensorSpec:
    return TensorSpec.model_validate(
        {"name": name, "datatype": datatype, "shape": (-1, *shape[1:]) if shape else ()}
    )


def _flat(array: np.ndarray[Any, Any]) -> list[Any]:
    return [
        item.decode(errors="replace") if isinstance(item, bytes) else item
        for item in array.ravel().tolist()
    ]
