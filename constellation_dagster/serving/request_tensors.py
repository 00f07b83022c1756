"""The `inputs` and `outputs` of a request, read against a signature; problems are gathered."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from constellation_dagster.serving.binary_tensors import array_from
from constellation_dagster.serving.json_tensors import WrongElements, array_of
from constellation_dagster.serving.manifest import SignatureLike, TensorLike
from constellation_dagster.serving.tensors import Array

_NAMES_TOLD = 10
_PARTS = ("name", "datatype", "shape", "data")
# Of other extensions: ignored, they would give an answer that was not asked for.
_UNKNOWN_PARAMETERS = ("shared_memory_region", "classification")


def names_told(names: Sequence[str]) -> str:
    """Some names in quotes, and how many more there are."""
    told = ", ".join(repr(name) for name in names[:_NAMES_TOLD])
    more = len(names) - _NAMES_TOLD
    return f"{told} and {more} more" if more > 0 else told


class RequestTensors:
    """Reads tensors of requests.

    Args:
        signature: What the model takes and gives.
    """

    def __init__(self, signature: SignatureLike) -> None:
        self._inputs = {spec.name: spec for spec in signature.inputs}
        self._outputs = [spec.name for spec in signature.outputs]
        # Of the common form: rows of a size that is known. (1 is left out: True is equal to it.)
        self._common = {
            spec.name: (spec.datatype, list(spec.shape[1:]))
            for spec in signature.inputs
            if spec.shape[:1] == (-1,) and all(size > 1 for size in spec.shape[1:])
        }

    def quick(self, entries: object) -> tuple[dict[str, Array], int] | None:
        """The arrays and rows of a request of the common form, all right and in JSON, or None.

        It saves a third of a request's time. What is wrong with another is found again, and told,
        by the long way.
        """
        if not isinstance(entries, list) or len(cast("list[Any]", entries)) != len(self._inputs):
            return None
        arrays: dict[str, Array] = {}
        rows = 0
        try:
            for entry in cast("list[dict[str, Any]]", entries):
                name: str = entry["name"]
                shape: list[int] = entry["shape"]
                data: list[Any] = entry["data"]
                datatype, row = self._common[name]
                rows = rows or shape[0]
                if (
                    len(entry) != len(_PARTS)
                    or entry["datatype"] != datatype
                    or type(data) is not list
                    or type(shape) is not list
                    or type(shape[0]) is not int
                    or not 0 < shape[0] == rows
                    or shape[1:] != row
                ):
                    return None
                arrays[name] = array_of(data, datatype, shape)
        except (KeyError, TypeError, IndexError, WrongElements):
            return None
        return (arrays, rows) if len(arrays) == len(self._inputs) else None

    def inputs(self, entries: object, binary: memoryview, problems: list[str]) -> dict[str, Array]:
        """The arrays of the entries that are right, by name."""
        if not isinstance(entries, list):
            problems.append("inputs is missing" if entries is None else "inputs is not a list")
            return {}
        arrays: dict[str, Array] = {}
        seen: set[str] = set()
        place = 0
        before = len(problems)
        for index, entry in enumerate(cast("list[Any]", entries)):
            fields = _fields(entry, f"inputs[{index}]", problems)
            parameters = _parameters(fields, f"inputs[{index}]", problems)
            size = _binary_size(parameters, f"inputs[{index}]", problems)
            blob = None if size is None else binary[place : place + size]
            place += size or 0
            spec = self._spec(fields.get("name"), index, seen, problems)
            if spec is None:
                continue
            if blob is not None and len(blob) != size:
                problems.append(
                    f"input {spec.name!r} says {size} bytes of binary data, and {len(blob)} are "
                    "left"
                )
                continue
            array = _array(fields, spec, blob, problems)
            if array is not None:
                arrays[spec.name] = array
        if len(seen) < len(self._inputs):
            missing = [name for name in self._inputs if name not in seen]
            are = "input {} is missing" if len(missing) == 1 else "inputs {} are missing"
            problems.append(are.format(names_told(missing)))
        if place < len(binary) and len(problems) == before:
            problems.append(
                f"the body has {len(binary) - place} bytes of binary data that no input asks for"
            )
        return arrays

    def outputs(
        self, request: Mapping[str, Any], problems: list[str]
    ) -> list[tuple[str, bool]] | None:
        """The outputs that are asked for and whether as binary data; None for all as JSON."""
        parameters = _parameters(request, "the request", problems)
        all_binary = _flag(parameters, "binary_data_output", "the request", problems)
        entries = request.get("outputs")
        if not entries and isinstance(entries, list | None):
            return [(name, True) for name in self._outputs] if all_binary else None
        if not isinstance(entries, list):
            problems.append("outputs is not a list")
            return None
        asked: dict[str, bool] = {}
        for index, entry in enumerate(cast("list[Any]", entries)):
            where = f"outputs[{index}]"
            fields = _fields(entry, where, problems)
            own = _parameters(fields, where, problems)
            binary = _flag(own, "binary_data", where, problems, default=all_binary)
            name = fields.get("name")
            if not isinstance(name, str):
                problems.append(f"{where} has no name")
            elif name not in self._outputs:
                problems.append(
                    f"{where} is named {name!r}, and the model gives {names_told(self._outputs)}"
                )
            elif name in asked:
                problems.append(f"output {name!r} is asked for twice")
            else:
                asked[name] = binary
        return list(asked.items())

    def _spec(
        self, name: object, index: int, seen: set[str], problems: list[str]
    ) -> TensorLike | None:
        if not isinstance(name, str):
            problems.append(f"inputs[{index}] has no name")
            return None
        spec = self._inputs.get(name)
        if spec is None:
            problems.append(
                f"inputs[{index}] is named {name!r}, and the model takes "
                f"{names_told(list(self._inputs))}"
            )
        elif name in seen:
            problems.append(f"input {name!r} is there twice")
            return None
        else:
            seen.add(name)
        return spec


def _fields(entry: object, where: str, problems: list[str]) -> Mapping[str, Any]:
    if isinstance(entry, dict):
        return cast("dict[str, Any]", entry)
    problems.append(f"{where} is not an object")
    return {}


def _parameters(fields: Mapping[str, Any], where: str, problems: list[str]) -> Mapping[str, Any]:
    parameters = fields.get("parameters")
    if parameters is None:
        return {}
    given = _fields(parameters, f"parameters of {where}", problems)
    problems += [
        f"{where} asks for {name}, which this server does not do"
        for name in _UNKNOWN_PARAMETERS
        if name in given
    ]
    return given


def _binary_size(parameters: Mapping[str, Any], where: str, problems: list[str]) -> int | None:
    size = parameters.get("binary_data_size")
    if size is None or (type(size) is int and size >= 0):
        return size
    problems.append(f"binary_data_size of {where} is not a number of bytes")
    return None


def _flag(
    parameters: Mapping[str, Any],
    name: str,
    where: str,
    problems: list[str],
    *,
    default: bool = False,
) -> bool:
    flag = parameters.get(name, default)
    if isinstance(flag, bool):
        return flag
    problems.append(f"{name} of {where} is not true or false")
    return default


def _array(
    fields: Mapping[str, Any], spec: TensorLike, blob: memoryview | None, problems: list[str]
) -> Array | None:
    name, before = spec.name, len(problems)
    if (datatype := fields.get("datatype")) != spec.datatype:
        problems.append(
            f"input {name!r} has no datatype"
            if datatype is None
            else f"input {name!r} is {datatype!r}, and the model takes {spec.datatype}"
        )
    shape = _shape(fields.get("shape"), spec, problems)
    data = fields.get("data")
    if blob is None and not isinstance(data, list):
        problems.append(
            f"input {name!r} has no data" if data is None else f"data of {name!r} is not a list"
        )
    elif blob is not None and data is not None:
        problems.append(f"input {name!r} has both data and binary data")
    if len(problems) > before or shape is None:
        return None
    try:
        if blob is not None:
            return array_from(blob, spec.datatype, shape)
        return array_of(cast("list[Any]", data), spec.datatype, shape)
    except WrongElements as error:
        problems.append(f"input {name!r} {error}")
        return None


def _shape(given: object, spec: TensorLike, problems: list[str]) -> tuple[int, ...] | None:
    if not isinstance(given, list):
        what = "has no shape" if given is None else "has a shape that is not a list"
        problems.append(f"input {spec.name!r} {what}")
        return None
    shape = tuple(cast("list[int]", given))
    if not all(type(size) is int and size >= 0 for size in shape):
        problems.append(f"shape of input {spec.name!r} is not whole numbers from 0 on")
        return None
    if not _fits(shape, spec.shape):
        problems.append(
            f"input {spec.name!r} has the shape {list(shape)}, and the model takes "
            f"{list(spec.shape)} (-1 is any)"
        )
        return None
    return shape


def _fits(shape: tuple[Any, ...], wanted: tuple[int, ...]) -> bool:
    """Whether it is whole numbers that the model takes."""
    if len(shape) != len(wanted):
        return False
    for have, want in zip(shape, wanted, strict=True):
        if type(have) is not int or have < 0 or (have != want and want != -1):  # noqa: PLR1714
            return False
    return True
