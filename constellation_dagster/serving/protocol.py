"""The Open Inference Protocol, version 2: requests as arrays and arrays as responses.

Both forms of a tensor are read and written, JSON and the binary extension, in which
`Inference-Header-Content-Length` says where the JSON ends and the bytes begin.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import orjson

from constellation_dagster.serving.binary_tensors import bytes_of
from constellation_dagster.serving.errors import RequestRefused
from constellation_dagster.serving.manifest import SignatureLike
from constellation_dagster.serving.request_tensors import RequestTensors, names_told
from constellation_dagster.serving.tensors import Array

_NO_BINARY = memoryview(b"")


@dataclass(slots=True)
class InferRequest:
    """A request that fits the signature.

    Attributes:
        inputs: All inputs of the signature.
        rows: The size of the first axis that its inputs share; 1 when they share none.
        id: What the client called it.
        outputs: The outputs to return, and whether as binary data; None for all as JSON.
    """

    inputs: dict[str, Array]
    rows: int
    id: str | None = None
    outputs: list[tuple[str, bool]] | None = None


class Codec:
    """Reads the requests for one model and writes its responses.

    Args:
        signature: What the model takes and gives.
        model: Its name in responses.
        version: Its version in responses.
    """

    def __init__(self, signature: SignatureLike, model: str, version: str) -> None:
        self._batchable = signature.batchable
        self._tensors = RequestTensors(signature)
        # What is the same in each response is written once.
        names = orjson.dumps({"model_name": model, "model_version": version})
        self._begin = names[:-1] + b',"outputs":['
        self._outputs = [
            (
                spec.name,
                orjson.dumps({"name": spec.name, "datatype": spec.datatype})[:-1] + b',"shape":',
            )
            for spec in signature.outputs
        ]

    def decode(self, body: bytes, json_length: int | None = None) -> InferRequest:
        """Reads and checks a request.

        Args:
            body: As it came.
            json_length: Inference-Header-Content-Length; None if all is JSON.

        Raises:
            RequestRefused: It is malformed or does not fit, with all that is wrong.
        """
        binary = _NO_BINARY
        if json_length is not None:
            if not 0 < json_length <= len(body):
                told = f"says {json_length}, and the body has {len(body)} bytes"
                raise RequestRefused(400, [f"Inference-Header-Content-Length {told}"])
            body, binary = body[:json_length], memoryview(body)[json_length:]
        request = parse_object(body)
        problems: list[str] = []
        entries, outputs = request.get("inputs"), None
        quick = None if binary else self._tensors.quick(entries)
        if quick is not None:
            arrays, rows = quick
        else:
            arrays = self._tensors.inputs(entries, binary, problems)
            rows = shared_rows(arrays, problems) if self._batchable else 1
        if "outputs" in request or "parameters" in request:
            outputs = self._tensors.outputs(request, problems)
        request_id = request.get("id")
        if request_id is not None and not isinstance(request_id, str):
            problems.append("id is not a text")
        if problems:
            raise RequestRefused(400, problems)
        return InferRequest(arrays, rows, request_id, outputs)

    def encode(
        self, request: InferRequest, outputs: Mapping[str, Array]
    ) -> tuple[bytes, int | None]:
        """Writes a response.

        Returns:
            The body, and the length of the JSON in it when binary data follow.

        Raises:
            RequestRefused: An output cannot be said in JSON.
        """
        asked = None if request.outputs is None else dict(request.outputs)
        entries: list[bytes] = []
        blobs: list[bytes] = []
        for name, begin in self._outputs:
            if asked is not None and name not in asked:
                continue
            array = outputs[name]
            shape = orjson.dumps(array.shape)
            if asked is not None and asked[name]:
                blob = bytes_of(array)
                blobs.append(blob)
                end = b',"parameters":{"binary_data_size":%d}}' % len(blob)
            else:
                end = b',"data":%b}' % elements_json(name, array.ravel())
            entries.append(begin + shape + end)
        body = self._begin + b",".join(entries) + b"]"
        if request.id is not None:
            body += b',"id":' + orjson.dumps(request.id)
        body += b"}"
        return (b"".join((body, *blobs)), len(body)) if blobs else (body, None)


def decode_request(
    body: bytes, signature: SignatureLike, json_length: int | None = None
) -> InferRequest:
    """Reads and checks one request; see `Codec.decode`."""
    return Codec(signature, "", "").decode(body, json_length)


def encode_response(
    model: str, version: str, signature: SignatureLike, outputs: Mapping[str, Array]
) -> bytes:
    """One response with all outputs in JSON; see `Codec.encode`."""
    return Codec(signature, model, version).encode(InferRequest({}, 1), outputs)[0]


def parse_object(body: bytes) -> dict[str, Any]:
    """A JSON object.

    Raises:
        RequestRefused: It is none.
    """
    try:
        parsed: object = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        hint = " (JSON has no NaN or Infinity)" if b"NaN" in body or b"Infinity" in body else ""
        what = f"the body is not JSON: {error}{hint}" if body else "the body is empty"
        raise RequestRefused(400, [what]) from None
    if not isinstance(parsed, dict):
        raise RequestRefused(400, ["the body is not a JSON object"])
    return cast("dict[str, Any]", parsed)


def shared_rows(arrays: Mapping[str, Array], problems: list[str]) -> int:
    """How many rows a request has; a problem when its inputs disagree or have none."""
    counts = [len(array) for array in arrays.values()]
    rows = max(counts, default=1)
    if rows == 0:
        problems.append("the inputs have no rows")
    elif len(counts) > 1 and min(counts) < rows:
        told = names_told([f"{name}: {len(array)}" for name, array in arrays.items()])
        problems.append(f"the inputs have different numbers of rows: {told}")
    return rows


def elements_json(name: str, array: Array) -> bytes:
    """The elements of an output as JSON, nested as they are.

    Raises:
        RequestRefused: JSON cannot say them: NaN, Infinity, bytes that are no text.
    """
    try:
        if array.dtype == object:
            return orjson.dumps(_texts(array.tolist()))
        data = orjson.dumps(array, option=orjson.OPT_SERIALIZE_NUMPY)
    except (UnicodeDecodeError, orjson.JSONEncodeError):
        problem = f"output {name!r} holds text that is no UTF-8: ask for it as binary data"
        raise RequestRefused(500, [problem]) from None
    # orjson writes NaN and Infinity as null.
    if array.dtype.kind == "f" and b"null" in data:
        problem = f"output {name!r} holds NaN or Infinity, which JSON cannot say"
        raise RequestRefused(500, [f"{problem}: ask for it as binary data"])
    return data


def _texts(items: Sequence[Any]) -> list[Any]:
    """Texts, and bytes as the text that they are, nested or not."""
    return [
        _texts(cast("list[Any]", item))
        if isinstance(item, list)
        else (item.decode() if isinstance(item, bytes) else item)
        for item in items
    ]
