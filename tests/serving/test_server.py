"""The server as a process: what it refuses, says of itself, and bears."""

import gzip
import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from constellation_dagster.domain.packages import Signature, TensorSpec
from tests.serving.packages import (
    IRIS_ROW,
    SLEEPER,
    Package,
    asked,
    python_package,
    tensor,
)
from tests.serving.running import (
    INFER,
    NAME,
    Server,
    ask,
    serving,
)

ROW = tensor("x", "FP32", (1, 4), IRIS_ROW)
ROWS = np.array([IRIS_ROW, [6.5, 3.0, 5.5, 2.0]], np.float32)


@pytest.mark.parametrize(
    ("path", "body", "status", "told"),
    [
        ("/", None, 404, "there is nothing at '/': see /openapi.json"),
        ("/v2/models/other/infer", b"{}", 404, "there is no model 'other': this server has 'iris'"),
        ("/v2/models/iris/versions/2", None, 404, "this server has '1'"),
        ("/v2/models/iris/config", None, 404, "there is nothing at"),
        (INFER, None, 405, "GET is not allowed here: POST is"),
        ("/v2", b"{}", 405, "POST is not allowed here: GET is"),
        (INFER, b"", 400, "the body is empty"),
        (INFER, b"{", 400, "the body is not JSON"),
        (INFER, b"{}", 400, "inputs is missing"),
    ],
)
def test_errors(server: Server, path: str, body: bytes | None, status: int, told: str) -> None:
    reply = server.ask(path, body)
    assert reply.status == status
    assert told in reply.error
    assert reply.headers["content-type"] == "application/json"
    if status == 405:
        assert reply.headers["allow"] == ("POST" if body is None else "GET")


def test_headers_that_are_refused(server: Server) -> None:
    body = json.dumps({"inputs": [ROW]}).encode()
    for length in ("x", "-1", "9" * 30):
        reply = server.ask(INFER, body, {"Inference-Header-Content-Length": length})
        assert (reply.status, reply.error) == (
            400, "Inference-Header-Content-Length is not a number of bytes",
        )  # fmt: skip
    reply = server.ask(INFER, gzip.compress(body), {"Content-Encoding": "gzip"})
    assert reply.status == 415
    too_large = server.ask(INFER, b"x" * (16 * 1024 * 1024 + 1))
    assert too_large.status == 413
    assert "16777216 are the most" in too_large.error
    assert server.ask(INFER, body).status == 200


def test_ids(server: Server) -> None:
    replies = [server.ask("/v2"), server.ask("/v2")]
    ids = [reply.headers["x-request-id"] for reply in replies]
    assert len(set(ids)) == 2
    reply = server.ask(INFER, b"{}", {"X-Request-Id": "mine-1"})
    assert reply.headers["x-request-id"] == "mine-1"
    assert "POST '/v2/models/iris/infer' id=mine-1" in server.said
    for odd in ("x" * 129, "\u00fc"):
        assert server.ask("/v2", headers={"X-Request-Id": odd}).headers["x-request-id"] != odd


def test_metrics(server: Server) -> None:
    requests = f'constellation_serving_requests_total{{route="{INFER}",code="200"}}'
    server.ask(INFER, {"inputs": [ROW]})
    before = server.metric(requests)
    rows = server.metric("constellation_serving_batch_rows_sum")
    server.ask(INFER, {"inputs": [tensor("x", "FP32", (2, 4), ROWS.ravel().tolist())]})
    server.ask("/made/up/1")
    server.ask("/made/up/2")
    assert server.metric(requests) == before + 1
    assert server.metric("constellation_serving_batch_rows_sum") == rows + 2
    text = server.ask("/metrics").body.decode()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    info = families["constellation_serving_model_info"].samples[0]
    assert info.labels["version"] == "1"
    assert info.labels["digest"].startswith("sha256:")
    routes = {s.labels["route"] for s in families["constellation_serving_requests"].samples}
    assert "other" in routes
    assert not any("made" in route for route in routes)
    assert families["constellation_serving_queue_depth"].samples[0].value == 0
    assert families["constellation_serving_in_flight"].samples[0].value == 0
    buckets = families["constellation_serving_request_seconds"].samples
    assert buckets[-1].value == next(s.value for s in buckets if s.labels.get("le") == "+Inf")


def test_openapi(server: Server) -> None:
    document = server.ask("/openapi.json").json()
    assert document["openapi"] == "3.1.0"
    for path, methods in document["paths"].items():
        status = server.ask(path, method="PUT", body=b"").headers["allow"]
        assert status.lower() == next(iter(methods))
    schema = document["paths"][INFER]["post"]["requestBody"]["content"]["application/json"]
    tensors = schema["schema"]["properties"]["inputs"]["items"]["oneOf"]
    assert tensors[0]["properties"]["name"] == {"const": "x"}
    assert tensors[0]["properties"]["shape"]["prefixItems"] == [{"type": "integer"}, {"const": 4}]


def test_about_the_model(server: Server, iris: Package) -> None:
    about = server.ask(f"/v2/models/{NAME}").json()
    assert about["versions"] == ["1"]
    assert about["platform"] == "onnxruntime_onnx"
    assert about["outputs"][0] == {"name": "prediction", "datatype": "INT64", "shape": [-1]}
    assert about["parameters"]["digest"] == iris.digest
    assert about["parameters"]["classes"] == ["setosa", "versicolor", "virginica"]


def test_many_clients_at_once_get_their_own_answers(server: Server) -> None:
    rng = np.random.default_rng(0)
    rows = rng.uniform([4, 2, 1, 0.1], [8, 4.5, 7, 2.5], (400, 4)).astype(np.float32)

    def ask_for(part: Any) -> list[int]:
        connection = server.connection()
        found: list[int] = []
        for row in part:
            body = {"inputs": [tensor("x", "FP32", (1, 4), row.tolist())]}
            reply = ask(connection, INFER, body)
            assert reply.status == 200
            found += reply.json()["outputs"][0]["data"]
        connection.close()
        return found

    with ThreadPoolExecutor(16) as pool:
        found = [label for part in pool.map(ask_for, np.split(rows, 16)) for label in part]
    together = {"inputs": [tensor("x", "FP32", (400, 4), rows.ravel().tolist())]}
    assert found == server.ask(INFER, together).json()["outputs"][0]["data"]


def test_a_slow_model(tmp_path: Path) -> None:
    package = python_package(tmp_path / "package", SLEEPER)
    options = ("--request-timeout", "1", "--queue-size", "2", "--batch-size", "1")
    with serving(package, tmp_path, *options) as server, ThreadPoolExecutor(4) as pool:
        first = pool.submit(server.ask, INFER, asked(4))
        while server.metric("constellation_serving_in_flight") < 1:
            time.sleep(0.01)
        rest = [pool.submit(server.ask, INFER, asked(1)) for _ in range(2)]
        while server.metric("constellation_serving_queue_depth") < 2:
            time.sleep(0.01)
        # It answers meanwhile, and refuses what it has no place for.
        assert server.ask("/v2/health/live").status == 200
        busy = server.ask(INFER, asked(1))
        assert (busy.status, busy.headers["retry-after"]) == (429, "1")
        assert busy.error == "2 requests wait already"
        for reply in (first.result(), *(future.result() for future in rest)):
            assert reply.status == 504
            assert reply.error == "the model did not answer in time"
        unready = server.ask("/v2/health/ready")
        assert unready.status == 503
        assert "the model has been busy with one batch for" in unready.json()["error"]


def test_a_model_that_raises(tmp_path: Path) -> None:
    package = python_package(tmp_path / "package", SLEEPER)
    with serving(package, tmp_path) as server:
        reply = server.ask(INFER, asked(-1))
        assert reply.status == 500
        assert reply.error == "the model failed: ValueError: -1 is negative"
        assert "Traceback" in server.said
        assert "raise ValueError" in server.said
        assert server.ask(INFER, asked(66)).error == "the model failed: Unspeakable: \\ud800"
        assert server.ask(INFER, asked(77)).error == "the model failed: SystemExit: 3"
        assert server.ask(INFER, asked(1)).status == 200


def test_a_model_whose_answer_json_cannot_say(tmp_path: Path) -> None:
    x = TensorSpec(name="x", datatype="FP64", shape=(-1,))
    package = python_package(
        tmp_path / "package",
        "import numpy as np\n"
        "class Model:\n"
        " def setup(self, folder): pass\n"
        " def predict(self, inputs):\n"
        "  with np.errstate(all='ignore'):\n"
        "   return {'x': np.log(inputs['x'])}\n",
        signature=Signature(inputs=(x,), outputs=(x,)),
        response={"outputs": [tensor("x", "FP64", (1,), [0.0])]},
    )
    with serving(package, tmp_path) as server:
        reply = server.ask(INFER, asked(-1))
        assert reply.status == 500
        assert "output 'x' holds NaN or Infinity" in reply.error
