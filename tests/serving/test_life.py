"""How the server begins and ends, and what it needs."""

import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from constellation_dagster.serving.requirements import (
    RUNTIME_REQUIREMENTS,
    SERVER_VERSION,
    SERVING_REQUIREMENTS,
)
from constellation_dagster.settings import PROJECT_ROOT
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
    Server,
    ask,
    await_ready,
    command,
    ended,
    run_to_end,
    serving,
)

ROW = tensor("x", "FP32", (1, 4), IRIS_ROW)
ROWS = np.array([IRIS_ROW, [6.5, 3.0, 5.5, 2.0]], np.float32)


def test_it_is_refused_before_it_listens(copied: Package) -> None:
    model = copied.folder / "model.onnx"
    content = model.read_bytes()
    model.write_bytes(content[:-1])
    result = run_to_end(copied)
    assert result.returncode == 1
    [line] = result.stderr.splitlines()
    assert line.startswith("constellation serving: The package in ")
    assert f"model.onnx is changed: it has {len(content) - 1} bytes" in line


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("def setup(self, f): pass\n def predict(self, i): return {'x': [7.0]}", "differs by 6"),
        ("def setup(self, f): pass\n def predict(self, i): 1 / 0", "ZeroDivisionError: division"),
        (
            "def setup(self, f): raise OSError('no disk')\n def predict(self, i): pass",
            "raised OSError: no disk",
        ),
        ("pass", "has no setup and no predict"),
    ],
)
def test_a_model_that_does_not_answer_its_example(tmp_path: Path, code: str, told: str) -> None:
    result = run_to_end(python_package(tmp_path, f"class Model:\n {code}"))
    assert result.returncode == 1
    assert told in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr


def test_where_it_cannot_listen(iris: Package, server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for options, told in (
        (("--port", str(server.port)), "Address already in use"),
        (("--unix", str(tmp_path / "file")), "there is a file that is no socket"),
        (("--unix", str(tmp_path / "no" / "socket")), "No such file or directory"),
        (("--unix", str(tmp_path / ("long" * 40))), "too long"),
        (("--host", "192.0.2.1", "--port", "0"), "Cannot assign requested address"),
    ):
        result = run_to_end(iris, *options)
        assert result.returncode == 1
        assert told in result.stderr.splitlines()[-1]
        assert "Traceback" not in result.stderr


def test_arguments_that_are_no_numbers(iris: Package) -> None:
    result = run_to_end(iris, "--batch-size", "0")
    assert result.returncode == 2
    assert "'0' is no number from 1 on" in result.stderr


def test_its_version_is_the_projects() -> None:
    import tomllib

    project = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == SERVER_VERSION


def test_sigterm_answers_what_was_accepted(tmp_path: Path) -> None:
    package = python_package(tmp_path / "package", SLEEPER)
    with serving(package, tmp_path, "--batch-size", "1") as server, ThreadPoolExecutor(8) as pool:
        asking = [pool.submit(server.ask, INFER, asked(1.2 + n / 100)) for n in range(3)]
        while server.metric("constellation_serving_in_flight") < 3:
            time.sleep(0.01)
        idle = server.connection()
        assert ask(idle, "/v2/health/ready").status == 200
        # Connected, and not accepted yet when the signal comes, or just so.
        knocking = server.socket()
        server.terminate()
        while ask(idle, "/v2/health/ready").status != 503:
            pass
        knocking.sendall(b"GET /v2/health/live HTTP/1.1\r\n\r\n")
        assert knocking.recv(1000).startswith(b"HTTP/1.1 200 OK")
        replies = [future.result() for future in asking]
        assert [reply.status for reply in replies] == [200] * 3
        assert {reply.headers["connection"] for reply in replies} == {"close"}
        assert server.process.wait(30) == 0
        assert server.unix is not None
        assert not server.unix.exists()


def test_sigterm_with_a_model_that_hangs(tmp_path: Path) -> None:
    package = python_package(tmp_path / "package", SLEEPER)
    options = ("--request-timeout", "0.5")
    with serving(package, tmp_path, *options) as server, ThreadPoolExecutor(1) as pool:
        asking = pool.submit(server.ask, INFER, asked(3600))
        while server.metric("constellation_serving_in_flight") < 1:
            time.sleep(0.01)
        server.terminate()
        assert asking.result().status == 504
        assert server.process.wait(30) == 0


def test_who_connected_before_the_end_is_answered(iris: Package, tmp_path: Path) -> None:
    """Clients that connect again and again find nobody, or get an answer; never neither."""
    with serving(iris, tmp_path) as server:

        def ask_on(_: int) -> int:
            count = 0
            while True:
                connection = server.connection()
                try:
                    connection.connect()
                except (ConnectionRefusedError, FileNotFoundError):
                    return count
                assert ask(connection, INFER, {"inputs": [ROW]}).status == 200
                connection.close()
                count += 1

        with ThreadPoolExecutor(8) as pool:
            asking = [pool.submit(ask_on, number) for number in range(8)]
            while server.metric("constellation_serving_request_seconds_count") < 200:
                time.sleep(0.01)
            server.terminate()
            assert sum(future.result() for future in asking) >= 200
        assert server.process.wait(30) == 0


def test_kept_connections_are_told_before_they_are_closed(iris: Package, tmp_path: Path) -> None:
    body = {"inputs": [ROW]}
    with serving(iris, tmp_path) as server:

        def ask_on(_: int) -> None:
            """Asks on one connection without a pause, until the server says that it closes."""
            connection = server.connection()
            while True:
                reply = ask(connection, INFER, body)
                assert reply.status == 200
                if reply.headers.get("connection") == "close":
                    return

        with ThreadPoolExecutor(8) as pool:
            asking = [pool.submit(ask_on, number) for number in range(8)]
            while server.metric("constellation_serving_request_seconds_count") < 200:
                time.sleep(0.01)
            server.terminate()
            for future in asking:
                future.result()
        assert server.process.wait(30) == 0


def test_a_socket_that_a_killed_server_left_is_replaced(iris: Package, tmp_path: Path) -> None:
    with serving(iris, tmp_path) as server:
        assert server.unix is not None
        server.process.kill()
        server.process.wait()
        assert server.unix.exists()
    with serving(iris, tmp_path) as server:
        assert server.ask("/v2").status == 200


def test_it_runs_where_there_is_nothing_else(iris: Package, tmp_path: Path) -> None:
    """As in a model's image: two of our layers, what the server says it needs, and Python."""
    source = PROJECT_ROOT / "constellation_dagster"
    ours = tmp_path / "lib" / "constellation_dagster"
    ours.mkdir(parents=True)
    shutil.copy(source / "__init__.py", ours)
    for layer in ("domain", "serving"):
        shutil.copytree(source / layer, ours / layer)
    path = tmp_path / "server.sock"
    code = (
        "import runpy, sys\n"
        "missing = ('pydantic', 'polars', 'dagster', 'sklearn', 'skops', 'onnx', 'typing_extensions')\n"
        "sys.modules.update(dict.fromkeys(missing))\n"
        f"sys.argv = {['serving', *command(iris, '--unix', str(path))[3:]]!r}\n"
        "runpy.run_module('constellation_dagster.serving', run_name='__main__', alter_sys=True)\n"
    )
    log = tmp_path / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(tmp_path / "lib")},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    with ended(process):
        server = Server(process, log, path)
        await_ready(server)
        assert server.ask(INFER, {"inputs": [ROW]}).status == 200
        assert server.ask("/invocations", {"inputs": [IRIS_ROW]}).status == 200


def test_it_imports_only_what_it_says() -> None:
    code = (
        "import sys\n"
        "import constellation_dagster.serving.__main__, constellation_dagster.serving.server\n"
        "import constellation_dagster.serving.example, uvloop\n"
        "from constellation_dagster.serving.predictors import onnx\n"
        "print(*{name.partition('.')[0] for name in sys.modules})\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PROJECT_ROOT
    ).stdout
    found = {name for name in said.split() if not name.startswith("_")}
    # What onnxruntime requires itself, and what Cython leaves behind.
    others = {"constellation_dagster", "flatbuffers", "packaging", "google", "cython_runtime"}
    needed = {*SERVING_REQUIREMENTS, *RUNTIME_REQUIREMENTS["onnx"]}
    assert found - set(sys.stdlib_module_names) - others == needed
