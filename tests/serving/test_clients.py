"""Clients that others wrote, and what they send, against the server as a process."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from constellation_dagster.serving.requirements import (
    SERVER_VERSION,
)
from tests.serving.packages import IRIS_ROW, Package, tensor
from tests.serving.running import (
    NAME,
    Server,
    serving,
)

ROW = tensor("x", "FP32", (1, 4), IRIS_ROW)
ROWS = np.array([IRIS_ROW, [6.5, 3.0, 5.5, 2.0]], np.float32)


@pytest.fixture(scope="module")
def columns(penguins: Package, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A server of a model that reads columns, on a unix socket."""
    with serving(penguins, tmp_path_factory.mktemp("columns-server"), name="penguins") as running:
        yield running


@pytest.mark.filterwarnings("ignore")  # gevent, which Triton's client brings, warns of itself.
@pytest.mark.parametrize("as_binary", [False, True])
@pytest.mark.parametrize("wants_binary", [False, True])
def test_tritons_client(server: Server, as_binary: bool, wants_binary: bool) -> None:
    import tritonclient.http as triton
    from tritonclient.utils import InferenceServerException

    client: Any = triton.InferenceServerClient(f"127.0.0.1:{server.port}")
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready(NAME)
    assert client.is_model_ready(NAME, "1")
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    about = client.get_model_metadata(NAME)
    assert about["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}]
    asked: Any = triton.InferInput("x", [2, 4], "FP32")
    asked.set_data_from_numpy(ROWS, binary_data=as_binary)
    outputs: Any = [
        triton.InferRequestedOutput(name, binary_data=wants_binary)
        for name in ("probabilities", "prediction")
    ]
    for wanted in (outputs, outputs[:1], None):
        result = client.infer(NAME, [asked], outputs=wanted, request_id="17")
        assert result.get_response()["id"] == "17"
        assert result.as_numpy("probabilities").sum(axis=1) == pytest.approx([1, 1])
        found = result.as_numpy("prediction")
        assert found is None if wanted == outputs[:1] else found.tolist() == [0, 2]
    with pytest.raises(InferenceServerException, match="there is no model 'other'"):
        client.infer("other", [asked])
    client.close()


@pytest.mark.filterwarnings("ignore")
def test_tritons_client_with_text_and_truth_values(penguins: Package, tmp_path: Path) -> None:
    import tritonclient.http as triton

    with serving(penguins, tmp_path, unix=False, name="penguins") as server:
        client: Any = triton.InferenceServerClient(f"127.0.0.1:{server.port}")
        for as_binary in (True, False):
            inputs: list[Any] = []
            for name, kind, array in (
                ("mass", "FP64", np.array([3000.0, 5200.0])),
                ("island", "BYTES", np.array(["Dream", "Törgersen"], object)),
                ("is_adult", "BOOL", np.array([True, False])),
            ):
                asked: Any = triton.InferInput(name, [2], kind)
                asked.set_data_from_numpy(array, binary_data=as_binary)
                inputs.append(asked)
            result = client.infer("penguins", inputs)
            assert [item.decode() for item in result.as_numpy("prediction")] == ["Adelie", "Gentoo"]
        client.close()


def test_what_mlflows_clients_send(server: Server) -> None:
    """Bodies as its documentation shows them; a matrix takes the columns in their order."""
    rows: list[Any] = ROWS.tolist()
    columns = list("abcd")
    frames = {
        "dataframe_split": {"columns": columns, "data": rows, "index": [0, 1]},
        "dataframe_records": [dict(zip(columns, row, strict=True)) for row in rows],
        "instances": rows,
        "inputs": rows,
    }
    for form, value in frames.items():
        reply = server.ask("/invocations", {form: value}, {"content-type": "application/json"})
        assert (reply.status, reply.json()) == (200, {"predictions": [0, 2]}), form
    assert server.ask("/invocations", {"inputs": {"x": rows}}).json() == {"predictions": [0, 2]}
    lines = [",".join(columns), *(",".join(map(str, row)) for row in rows)]
    csv = "\n".join(lines).encode()
    reply = server.ask("/invocations", csv, {"content-type": "text/csv; charset=utf-8"})
    assert reply.json() == {"predictions": [0, 2]}
    assert server.ask("/ping").status == 200
    assert server.ask("/version").body.decode() == SERVER_VERSION


@pytest.mark.filterwarnings("ignore")
def test_mlflows_own_client(server: Server) -> None:
    pytest.importorskip("mlflow")
    import pandas as pd
    from mlflow.pyfunc.scoring_server.client import ScoringServerClient

    client: Any = ScoringServerClient("127.0.0.1", server.port)
    client.wait_server_ready(timeout=10)
    answer = client.invoke(pd.DataFrame(ROWS, columns=list("abcd")))
    assert answer.get_predictions().iloc[:, 0].tolist() == [0, 2]


def test_columns_by_name_as_mlflows_clients_send_them(columns: Server) -> None:
    records = [
        {"island": "Dream", "mass": 3000, "is_adult": True, "more": None},
        {"island": "Biscoe", "mass": 5200.5, "is_adult": False, "more": None},
    ]
    for body in (
        {"dataframe_records": records},
        {"instances": records},
        {"inputs": {name: [row[name] for row in records] for name in records[0]}},
    ):
        assert columns.ask("/invocations", body).json() == {"predictions": ["Adelie", "Gentoo"]}
    csv = b'mass,island,is_adult\n3000,"Dream",TRUE\n5200.5,Biscoe,false\n'
    reply = columns.ask("/invocations", csv, {"content-type": "text/csv"})
    assert reply.json() == {"predictions": ["Adelie", "Gentoo"]}


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({}, "the body should have one of dataframe_split, dataframe_records, instances, inputs"),
        ({"inputs": [], "instances": []}, "and has instances and inputs"),
        ({"inputs": [1]}, "inputs should be by name, since the model takes 'mass', 'island'"),
        ({"dataframe_split": [1]}, "dataframe_split should have the lists columns and data"),
        (
            {"dataframe_split": {"columns": ["a", "a"], "data": []}},
            "columns of dataframe_split should be names that differ",
        ),
        (
            {"dataframe_split": {"columns": ["mass"], "data": [[1], [1, 2], 3]}},
            "row 1 is not a list of 1 values; row 2 is not a list of 1 values",
        ),
        (
            {"dataframe_records": [{"mass": 1}, {"island": "a"}]},
            "dataframe_records[1] has other names than the first",
        ),
        ({"dataframe_records": 1}, "dataframe_records should be a list of objects"),
        (
            {"dataframe_records": [{"mass": None, "island": 3, "more": 1}]},
            "'island' has 3 at 0 in data, and BYTES takes text; column 'is_adult' is missing",
        ),
        ({"dataframe_records": []}, "column 'mass' is missing; column 'island' is missing"),
        (
            {"inputs": {"mass": [1, 2], "island": ["a"], "is_adult": [True]}},
            "the inputs have different numbers of rows",
        ),
        ({"inputs": {"mass": 1, "island": [], "is_adult": []}}, "'mass' is not a list"),
        ({"instances": [{"mass": 1}], "params": {"a": 1}}, "params: this model takes none"),
    ],
)
def test_invocations_that_are_refused(columns: Server, body: Any, told: str) -> None:
    reply = columns.ask("/invocations", body)
    assert reply.status == 400
    assert told in reply.error


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "the CSV has no line with the names"),
        (b"\xff", "the body is not CSV"),
        (b'a\n"b', "the body is not CSV"),
        (b"mass,island,is_adult\n1,a", "row 0 is not a list of 3 values"),
        (b"mass,island,is_adult\nx,a,maybe", "'mass' has the text 'x' at 0 in data"),
        (b"mass,island,is_adult\nnan,a,true", "'mass' has the text 'nan' at 0 in data"),
        (b"mass,island,is_adult\n1,a,maybe", "'is_adult' has the text 'maybe' at 0 in data"),
    ],
)
def test_csv_that_is_refused(columns: Server, body: bytes, told: str) -> None:
    reply = columns.ask("/invocations", body, {"content-type": "text/csv"})
    assert reply.status == 400
    assert told in reply.error


def test_infer_over_a_unix_socket(columns: Server) -> None:
    body = {
        "inputs": [
            tensor("is_adult", "BOOL", (1,), [True]),
            tensor("mass", "FP64", (1,), [5000]),
            tensor("island", "BYTES", (1,), ["Biscoe"]),
        ]
    }
    for path in ("/v2/models/penguins/infer", "/v2/models/penguins/versions/1/infer?a=b"):
        first = columns.ask(path, body).json()["outputs"][0]
        assert first == tensor("prediction", "BYTES", (1,), ["Gentoo"])
    assert columns.unix is not None
    assert columns.unix.is_socket()
