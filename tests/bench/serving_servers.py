"""The servers that are measured: how each is started and asked."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from constellation_dagster.settings import PROJECT_ROOT
from tests.serving.packages import IRIS_ROW, Package

PEERS = PROJECT_ROOT / ".tools" / "serving-peers"
_APPS = PROJECT_ROOT / "tests" / "bench" / "serving_peers"
PORT = 18_431
_START_SECONDS = 120.0

V2 = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": IRIS_ROW}]})
ROW = json.dumps({"row": IRIS_ROW})
ROWS = json.dumps({"rows": [IRIS_ROW]})
INPUTS = json.dumps({"inputs": [IRIS_ROW]})


@dataclass(frozen=True)
class Served:
    """A server.

    Attributes:
        name: In the tables.
        command: How it is started.
        path: What is asked.
        body: What it is sent.
        env: More variables.
    """

    name: str
    command: Sequence[str]
    path: str
    body: str
    env: Mapping[str, str]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{PORT}{self.path}"


def servers(package: Package, mlflow_models: Path) -> list[Served]:
    """Ours and its peers, each with one worker."""
    model = {"BENCH_MODEL": str(package.folder / "model.onnx")}
    port = str(PORT)
    mlflow = [
        str(PEERS / "bin" / "mlflow"), "models", "serve", "--env-manager", "local", "--host",
        "127.0.0.1", "--port", port, "--workers", "1", "--model-uri",
    ]  # fmt: skip
    return [
        Served("constellation", ours(package), "/v2/models/iris/infer", V2, {}),
        Served(
            "FastAPI + ONNX Runtime",
            [
                str(PEERS / "bin" / "uvicorn"), "fastapi_app:app", "--port", port, "--loop",
                "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning",
            ],
            "/predict", ROW, model,
        ),
        Served(
            "LitServe, batching",
            [str(PEERS / "bin" / "python"), "litserve_server.py", port],
            "/predict", ROW, model,
        ),
        Served(
            "BentoML, batching",
            [
                str(PEERS / "bin" / "bentoml"), "serve", "bentoml_service:Iris", "--port", port,
                "--host", "127.0.0.1",
            ],
            "/predict", ROWS, model,
        ),
        Served("MLflow, ONNX", [*mlflow, str(mlflow_models / "onnx")], "/invocations", INPUTS, {}),
        Served(
            "MLflow, scikit-learn",
            [*mlflow, str(mlflow_models / "sklearn")], "/invocations", INPUTS, {},
        ),
    ]  # fmt: skip


def ours(package: Package) -> list[str]:
    """Our server."""
    return [
        sys.executable, "-m", "constellation_dagster.serving", str(package.folder), "--name",
        "iris", "--version", "1", "--digest", package.digest, "--port", str(PORT),
    ]  # fmt: skip


def echoes(answer: str) -> list[Served]:
    """Servers that answer something fixed: what their HTTP costs alone."""
    env = {"BENCH_ANSWER": answer}
    port = str(PORT)
    return [
        Served(
            "httptools on uvloop (ours)",
            [sys.executable, "-m", "tests.bench.serving_echo", port], "/", V2, env,
        ),
        Served(
            "uvicorn, ASGI",
            [
                str(PEERS / "bin" / "uvicorn"), "echo_asgi:app", "--port", port, "--loop", "uvloop",
                "--http", "httptools", "--no-access-log", "--log-level", "warning", "--lifespan",
                "off",
            ],
            "/", V2, env,
        ),
        Served(
            "Granian, RSGI",
            [
                str(PEERS / "bin" / "granian"), "--interface", "rsgi", "--port", port, "--loop",
                "uvloop", "--workers", "1", "--no-access-log", "--log-level", "warning",
                "echo_rsgi:app",
            ],
            "/", V2, env,
        ),
    ]  # fmt: skip


@contextmanager
def started(served: Served, core: int, log: Path) -> Generator[tuple[psutil.Process, float]]:
    """Starts a server on one core; gives its process and how long its first answer took."""
    began = time.perf_counter()
    with log.open("ab") as output:
        process = psutil.Popen(
            ["taskset", "-c", str(core), *served.command],
            cwd=PROJECT_ROOT if served.command[0] == sys.executable else _APPS,
            env=_environment(served),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _await_answer(served, process, began, log)
        yield process, time.perf_counter() - began
    finally:
        family = [process, *process.children(recursive=True)]
        for member in family:
            with suppress(psutil.NoSuchProcess):
                member.terminate()
        _, alive = psutil.wait_procs(family, timeout=10)
        for member in alive:
            with suppress(psutil.NoSuchProcess):
                member.kill()
        psutil.wait_procs(alive, timeout=10)


def cpu_seconds(process: psutil.Process) -> float:
    """Processor time of a server with all its processes so far."""
    family = [process, *process.children(recursive=True)]
    return sum(sum(member.cpu_times()[:2]) for member in family)


def memory_mb(process: psutil.Process) -> float:
    """Resident memory of a server with all its processes, what they share counted once."""
    family = [process, *process.children(recursive=True)]
    found = [member.memory_full_info() for member in family]
    shared = max(memory.rss - memory.uss for memory in found)
    return (sum(memory.uss for memory in found) + shared) / 1e6


def _environment(served: Served) -> dict[str, str]:
    quiet = {"DO_NOT_TRACK": "1", "MLFLOW_DISABLE_TELEMETRY": "true", "BENTOML_DO_NOT_TRACK": "1"}
    path = f"{PEERS / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, **quiet, **served.env, "PATH": path, "LITSERVE_TRACKING": "0"}


def _await_answer(served: Served, process: psutil.Process, began: float, log: Path) -> None:
    request = urllib.request.Request(
        served.url, served.body.encode(), {"Content-Type": "application/json"}
    )
    while time.perf_counter() - began < _START_SECONDS:
        assert process.is_running(), log.read_text()[-2000:]
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                assert response.status == 200
                return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.005)
    raise AssertionError(log.read_text()[-2000:])
