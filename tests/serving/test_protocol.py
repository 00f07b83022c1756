"""The Open Inference Protocol: what is read, what is refused, and what is written."""

import struct
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from constellation_dagster.domain.packages import Signature, TensorSpec
from constellation_dagster.serving.errors import RequestRefused
from constellation_dagster.serving.protocol import Codec, InferRequest, decode_request
from constellation_dagster.serving.tensors import DTYPES
from tests.serving.packages import IRIS, IRIS_ROW, tensor

ROW = tensor("x", "FP32", (1, 4), IRIS_ROW)
MIXED = Signature(
    inputs=(
        TensorSpec(name="text", datatype="BYTES", shape=(-1,)),
        TensorSpec(name="flag", datatype="BOOL", shape=(-1,)),
        TensorSpec(name="small", datatype="INT8", shape=(-1,)),
        TensorSpec(name="big", datatype="UINT64", shape=(-1,)),
        TensorSpec(name="half", datatype="FP16", shape=(-1, 2)),
    ),
    outputs=(TensorSpec(name="y", datatype="FP64", shape=(-1,)),),
)


def request(*inputs: Any, **fields: Any) -> bytes:
    return orjson.dumps({"inputs": inputs, **fields})


def problems(body: bytes, signature: Signature = IRIS, length: int | None = None) -> list[str]:
    with pytest.raises(RequestRefused) as caught:
        decode_request(body, signature, length)
    assert caught.value.status == 400
    return list(caught.value.problems)


def mixed(**changed: Any) -> bytes:
    """A request for MIXED, with the data of some inputs changed."""
    data = {
        "text": ["a", "ü"],
        "flag": [True, False],
        "small": [-128, 127],
        "big": [0, 2**64 - 1],
        "half": [1, 2.5, -3, 0],
    } | changed
    return request(
        *(
            tensor(spec.name, spec.datatype, (2, *spec.shape[1:]), data[spec.name])
            for spec in MIXED.inputs
        )
    )


def test_flat_and_nested_data_are_the_same() -> None:
    rows = [[1, 2, 3, 4.5], [5, 6, 7, 8]]
    flat = tensor("x", "FP32", (2, 4), [*rows[0], *rows[1]])
    nested = tensor("x", "FP32", (2, 4), rows)
    for entry in (flat, nested):
        read = decode_request(request(entry, id="a"), IRIS)
        assert read.inputs["x"].dtype == np.float32
        assert read.inputs["x"].tolist() == rows
        assert (read.rows, read.id, read.outputs) == (2, "a", None)


def test_all_datatypes() -> None:
    read = decode_request(mixed(), MIXED)
    assert read.inputs["text"].tolist() == ["a", "ü"]
    assert read.inputs["flag"].dtype == np.bool_
    assert read.inputs["small"].tolist() == [-128, 127]
    assert read.inputs["big"].tolist() == [0, 2**64 - 1]
    assert read.inputs["half"].tolist() == [[1, 2.5], [-3, 0]]
    assert read.inputs["half"].dtype == np.float16


def test_every_problem_is_told_at_once() -> None:
    body = request(
        {"name": "y", "datatype": "FP32", "shape": [1, 4], "data": IRIS_ROW},
        {"name": "x", "datatype": "FP64", "shape": [1, 3], "data": "abc"},
        {"datatype": "FP32"},
        7,
        outputs=[{"name": "label"}, {"name": "prediction"}, {"name": "prediction"}, {}],
        id=4,
        parameters={"binary_data_output": 1},
    )
    assert problems(body) == [
        "inputs[0] is named 'y', and the model takes 'x'",
        "input 'x' is 'FP64', and the model takes FP32",
        "input 'x' has the shape [1, 3], and the model takes [-1, 4] (-1 is any)",
        "data of 'x' is not a list",
        "inputs[2] has no name",
        "inputs[3] is not an object",
        "inputs[3] has no name",
        "binary_data_output of the request is not true or false",
        "outputs[0] is named 'label', and the model gives 'prediction', 'probabilities'",
        "output 'prediction' is asked for twice",
        "outputs[3] has no name",
        "id is not a text",
    ]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "the body is empty"),
        (b"[]", "the body is not a JSON object"),
        (b"{}", "inputs is missing"),
        (b'{"inputs": 1}', "inputs is not a list"),
        (b'{"inputs": []}', "input 'x' is missing"),
        (request(ROW, ROW), "input 'x' is there twice"),
        (request(tensor("x", "FP32", (0, 4), [])), "the inputs have no rows"),
        (request({**ROW, "shape": [1, True]}), "shape of input 'x' is not whole numbers from 0 on"),
        (request({**ROW, "shape": [-1, 4]}), "shape of input 'x' is not whole numbers from 0 on"),
        (request({**ROW, "shape": [1.0, 4]}), "shape of input 'x' is not whole numbers from 0 on"),
        (request({**ROW, "shape": None}), "input 'x' has no shape"),
        (request({**ROW, "shape": "4"}), "input 'x' has a shape that is not a list"),
        (request({**ROW, "data": None}), "input 'x' has no data"),
        (request({**ROW, "datatype": None}), "input 'x' has no datatype"),
        (
            request({**ROW, "shape": [1000, 4]}),
            "input 'x' has 4 elements in data, and its shape [1000, 4] says 4000",
        ),
        (
            request({**ROW, "data": [*IRIS_ROW, 1]}),
            "input 'x' has 5 elements in data, and its shape [1, 4] says 4",
        ),
        (
            request({**ROW, "data": [[1, 2], [3, 4]]}),
            "input 'x' has 2 lists in data, and its shape says 1",
        ),
        (
            request({**ROW, "data": [[1, 2, 3]]}),
            "input 'x' has a list of 3 at depth 2 of data, where its shape [1, 4] says a list of 4",
        ),
        (
            request({**ROW, "data": [[1, 2, 3, [4]]]}),
            "input 'x' has a list of 1 at 3 in data, and FP32 takes numbers",
        ),
        (
            request({**ROW, "data": [1, "2", None, True]}),
            "input 'x' has the text '2' at 1, null at 2, true at 3 in data, and FP32 takes numbers",
        ),
        (
            request({**ROW, "data": [1e39, 2, -1e39, {}]}),
            "input 'x' has an object at 3 in data, and FP32 takes numbers",
        ),
        (
            request({**ROW, "data": [1e39, 2, -1e39, 1]}),
            "input 'x' has 1e+39 at 0, -1e+39 at 2 in data, which FP32 cannot hold",
        ),
        (
            request({**ROW, "parameters": {"binary_data_size": -1}}),
            "binary_data_size of inputs[0] is not a number of bytes",
        ),
        (
            request({**ROW, "parameters": {"shared_memory_region": "r"}}),
            "inputs[0] asks for shared_memory_region, which this server does not do",
        ),
        (request({**ROW, "parameters": []}), "parameters of inputs[0] is not an object"),
        (request(ROW, outputs=3), "outputs is not a list"),
    ],
)
def test_what_is_refused(body: bytes, told: str) -> None:
    assert problems(body) == [told]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_json_has_no_nan(number: str) -> None:
    body = request(ROW).replace(b"5.1", number.encode())
    [told] = problems(body)
    assert told.startswith("the body is not JSON: ")
    assert told.endswith("(JSON has no NaN or Infinity)")


def test_numbers_that_no_double_can_hold() -> None:
    assert "number is infinity" in problems(request(ROW).replace(b"5.1", b"1e400"))[0]


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"text": ["a", 1]}, "input 'text' has 1 at 1 in data, and BYTES takes text"),
        ({"flag": [0, True]}, "input 'flag' has 0 at 0 in data, and BOOL takes true or false"),
        ({"small": [1, 128]}, "input 'small' has 128 at 1 in data, which INT8 cannot hold"),
        ({"small": [1, 2.0]}, "input 'small' has 2.0 at 1 in data, and INT8 takes whole numbers"),
        ({"small": [True, 2]}, "input 'small' has true at 0 in data, and INT8 takes whole numbers"),
        ({"big": [-1, 2]}, "input 'big' has -1 at 0 in data, which UINT64 cannot hold"),
        (
            {"half": [1, 2, 3, 65520]},
            "input 'half' has 65520 at 3 in data, which FP16 cannot hold",
        ),
    ],
)
def test_elements_of_another_type(changed: dict[str, Any], told: str) -> None:
    assert problems(mixed(**changed), MIXED) == [told]


def test_inputs_with_different_numbers_of_rows() -> None:
    body = orjson.loads(mixed())
    body["inputs"][0] |= {"shape": [1], "data": ["a"]}
    [told] = problems(orjson.dumps(body), MIXED)
    assert told.startswith("the inputs have different numbers of rows: 'text: 1', 'flag: 2'")


def test_many_wrong_inputs_do_not_make_an_endless_message() -> None:
    body = request(*({"name": f"n{index}"} for index in range(10_000)))
    with pytest.raises(RequestRefused) as caught:
        decode_request(body, IRIS)
    assert str(caught.value).endswith("; and 9981 problems more")
    assert len(str(caught.value)) < 2000


def binary(blob: bytes, size: Any, *inputs: Any, **fields: Any) -> tuple[bytes, int]:
    entry: dict[str, Any] = {"name": "x", "datatype": "FP32", "shape": [1, 4]}
    entry["parameters"] = {"binary_data_size": size}
    head = request(entry, *inputs, **fields)
    return head + blob, len(head)


BLOB = struct.pack("<4f", *IRIS_ROW)


def test_binary_data() -> None:
    body, length = binary(BLOB, 16, parameters={"binary_data_output": True})
    read = decode_request(body, IRIS, length)
    assert read.inputs["x"].tolist() == [pytest.approx(IRIS_ROW)]
    assert read.outputs == [("prediction", True), ("probabilities", True)]
    # A model may write into what it gets.
    read.inputs["x"][0, 0] = 1
    # A missing number can be said so.
    missing, length = binary(struct.pack("<4f", 1, 2, 3, float("nan")), 16)
    assert np.isnan(decode_request(missing, IRIS, length).inputs["x"][0, 3])


@pytest.mark.parametrize(
    ("blob", "size", "told"),
    [
        (BLOB, 12, "input 'x' has 12 bytes of binary data, and its shape [1, 4] of FP32 says 16"),
        (BLOB[:8], 16, "input 'x' says 16 bytes of binary data, and 8 are left"),
        (BLOB + b"more", 16, "the body has 4 bytes of binary data that no input asks for"),
        (BLOB, "16", "binary_data_size of inputs[0] is not a number of bytes"),
    ],
)
def test_binary_data_that_do_not_fit(blob: bytes, size: Any, told: str) -> None:
    body, length = binary(blob, size)
    assert told in problems(body, IRIS, length)


@pytest.mark.parametrize("length", [0, 10_000])
def test_a_length_of_json_that_cannot_be(length: int) -> None:
    assert "Inference-Header-Content-Length says" in problems(request(ROW), IRIS, length)[0]


def texts(*items: bytes) -> bytes:
    return b"".join(struct.pack("<I", len(item)) + item for item in items)


TEXT = Signature(
    inputs=(TensorSpec(name="x", datatype="BYTES", shape=(-1,)),),
    outputs=(TensorSpec(name="x", datatype="BYTES", shape=(-1,)),),
)


@pytest.mark.parametrize(
    ("blob", "found"),
    [
        (texts(b"a", "ü".encode()), ["a", "ü"]),
        (texts(b"a", b"\xff"), ["a", b"\xff"]),
        (texts(b"a"), "has 1 elements in its binary data, and its shape says 2"),
        (texts(b"a", b"b")[:-1], "has binary data of BYTES that ends within element 1"),
        (texts(b"a", b"b") + b"\1\0", "has binary data of BYTES that ends within element 2"),
    ],
)
def test_texts_in_binary_data(blob: bytes, found: list[Any] | str) -> None:
    entry = {"name": "x", "datatype": "BYTES", "shape": [2]}
    head = request({**entry, "parameters": {"binary_data_size": len(blob)}})
    if isinstance(found, list):
        assert decode_request(head + blob, TEXT, len(head)).inputs["x"].tolist() == found
    else:
        assert problems(head + blob, TEXT, len(head)) == [f"input 'x' {found}"]


def test_truth_values_in_binary_data() -> None:
    flag = Signature(
        inputs=(TensorSpec(name="x", datatype="BOOL", shape=(-1,)),), outputs=IRIS.outputs
    )
    head = request(
        {"name": "x", "datatype": "BOOL", "shape": [2], "parameters": {"binary_data_size": 2}}
    )
    assert decode_request(head + b"\0\1", flag, len(head)).inputs["x"].tolist() == [False, True]
    assert "bytes other than 0 and 1" in problems(head + b"\0\2", flag, len(head))[0]


OUTPUTS = {
    "prediction": np.array([2]),
    "probabilities": np.array([[0.1, 0.2, 0.7]], np.float32),
}


def test_a_response_in_json() -> None:
    body, length = Codec(IRIS, "iris", "1").encode(InferRequest({}, 1, id="a"), OUTPUTS)
    assert length is None
    assert orjson.loads(body) == {
        "model_name": "iris",
        "model_version": "1",
        "id": "a",
        "outputs": [
            tensor("prediction", "INT64", (1,), [2]),
            # As short as single precision is.
            tensor("probabilities", "FP32", (1, 3), [0.1, 0.2, 0.7]),
        ],
    }


def test_a_response_of_some_outputs_in_both_forms() -> None:
    codec = Codec(IRIS, "iris", "1")
    wanted = [("probabilities", True), ("prediction", False)]
    body, length = codec.encode(InferRequest({}, 1, outputs=wanted), OUTPUTS)
    assert length is not None
    first, second = orjson.loads(body[:length])["outputs"]
    assert first == tensor("prediction", "INT64", (1,), [2])
    assert second["parameters"] == {"binary_data_size": 12}
    assert "data" not in second
    assert body[length:] == OUTPUTS["probabilities"].tobytes()
    alone, length = codec.encode(InferRequest({}, 1, outputs=wanted[1:]), OUTPUTS)
    assert length is None
    assert len(orjson.loads(alone)["outputs"]) == 1


def test_outputs_that_json_cannot_say() -> None:
    codec = Codec(IRIS, "iris", "1")
    broken = OUTPUTS | {"probabilities": np.array([[np.nan, 1, np.inf]], np.float32)}
    with pytest.raises(RequestRefused, match="'probabilities' holds NaN or Infinity") as caught:
        codec.encode(InferRequest({}, 1), broken)
    assert caught.value.status == 500
    _, length = codec.encode(InferRequest({}, 1, outputs=[("probabilities", True)]), broken)
    assert length is not None
    for broken in (b"\xff", "\ud800"):
        with pytest.raises(RequestRefused, match="text that is no UTF-8"):
            Codec(TEXT, "t", "1").encode(
                InferRequest({}, 1), {"x": np.array(["a", broken], object)}
            )
    body, _ = Codec(TEXT, "t", "1").encode(
        InferRequest({}, 1), {"x": np.array(["null", b"b"], object)}
    )
    assert orjson.loads(body)["outputs"][0]["data"] == ["null", "b"]


# Any JSON, with the words of the protocol more often than chance would have them.
WORDS = st.sampled_from(
    ["inputs", "outputs", "id", "parameters", "name", "datatype", "shape", "data", "x", "FP32",
     "binary_data_size", "binary_data", "binary_data_output", "prediction"]
)  # fmt: skip
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=5), WORDS,
)  # fmt: skip
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(WORDS, inner, max_size=6),
    max_leaves=30,
)
ENTRIES = st.fixed_dictionaries(
    {},
    optional={
        "name": st.just("x") | VALUES,
        "datatype": st.sampled_from([*DTYPES]) | VALUES,
        "shape": st.lists(st.integers(-1, 5), max_size=3) | VALUES,
        "data": st.lists(SCALARS, max_size=8) | VALUES,
        "parameters": VALUES,
    },
)
REQUESTS = st.fixed_dictionaries(
    {"inputs": st.lists(ENTRIES, max_size=3) | VALUES},
    optional={"id": VALUES, "outputs": VALUES, "parameters": VALUES, "other": VALUES},
)


def is_refused_or_fits(body: bytes, length: int | None) -> None:
    """Reading it ends in a refusal with reasons, or in arrays of the signature; never otherwise."""
    refused = None
    try:
        array = decode_request(body, IRIS, length).inputs["x"]
    except RequestRefused as error:
        refused = error
        array = np.empty(0)
    if refused is not None:
        assert refused.status == 400
        assert refused.problems
        assert len(set(refused.problems)) == len(refused.problems)
        return
    assert array.dtype == np.float32
    assert array.shape[1:] == (4,)
    assert np.isfinite(array).all() or length is not None


@given(value=REQUESTS | VALUES)
def test_any_json_is_refused_or_fits(value: Any) -> None:
    is_refused_or_fits(orjson.dumps(value), None)


@given(body=st.binary(max_size=300), length=st.none() | st.integers(0, 400))
def test_any_bytes_are_refused_or_fit(body: bytes, length: int | None) -> None:
    is_refused_or_fits(body, length)


@given(
    value=REQUESTS,
    blob=st.binary(max_size=64),
    size=st.integers(-5, 80),
    shape=st.lists(st.integers(0, 5), max_size=3),
)
def test_any_binary_data_are_refused_or_fit(
    value: dict[str, Any], blob: bytes, size: int, shape: list[int]
) -> None:
    entry = {"name": "x", "datatype": "FP32", "shape": shape}
    value["inputs"] = [{**entry, "parameters": {"binary_data_size": size}}]
    head = orjson.dumps(value)
    is_refused_or_fits(head + blob, len(head))


@given(
    data=st.data(),
    datatype=st.sampled_from([name for name in DTYPES if name != "BYTES"]),
    shape=st.lists(st.integers(1, 4), min_size=1, max_size=3),
)
def test_arrays_survive_both_forms(data: st.DataObject, datatype: Any, shape: list[int]) -> None:
    """What is written as an output is read as an input, in JSON and in bytes."""
    from hypothesis.extra.numpy import arrays

    dtype = DTYPES[datatype]
    finite = {"allow_nan": False, "allow_infinity": False} if dtype.kind == "f" else None
    array = data.draw(arrays(dtype, tuple(shape), elements=finite))
    spec = TensorSpec(name="x", datatype=datatype, shape=tuple(shape))
    signature = Signature(inputs=(spec,), outputs=(spec,))
    codec = Codec(signature, "m", "1")
    for wanted in (None, [("x", True)]):
        body, length = codec.encode(InferRequest({}, 1, outputs=wanted), {"x": array})
        head = orjson.loads(body if length is None else body[:length])
        again = orjson.dumps({"inputs": head["outputs"]})
        blob = b"" if length is None else body[length:]
        read = codec.decode(again + blob, None if length is None else len(again))
        assert read.inputs["x"].dtype == array.dtype
        assert np.array_equal(read.inputs["x"], array)
