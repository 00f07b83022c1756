"""The server as it runs for people: a process of its own."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from typing_extensions import override

from constellation_dagster.settings import PROJECT_ROOT
from tests.serving.packages import Package

NAME = "iris"
VERSION = "1"
INFER = f"/v2/models/{NAME}/infer"


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    @override
    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


@dataclass(frozen=True)
class Reply:
    """An answer."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict[str, str])

    def json(self) -> Any:
        return orjson.loads(self.body)

    @property
    def error(self) -> str:
        """What it says is wrong."""
        told = self.json()
        assert set(told) == {"error"}
        return told["error"]


@dataclass
class Server:
    """A running server."""

    process: subprocess.Popen[bytes]
    log: Path
    unix: Path | None = None
    port: int = 0

    def connection(self, timeout: float = 30) -> http.client.HTTPConnection:
        if self.unix is not None:
            return UnixConnection(self.unix, timeout)
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def socket(self) -> socket.socket:
        """A raw connection."""
        connection = self.connection()
        connection.connect()
        return connection.sock

    def ask(
        self,
        path: str,
        body: bytes | Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        method: str | None = None,
    ) -> Reply:
        """One request on a connection of its own."""
        connection = self.connection()
        try:
            return ask(connection, path, body, headers, method)
        finally:
            connection.close()

    @property
    def said(self) -> str:
        """All that it has logged."""
        return self.log.read_text()

    def metric(self, line: str) -> float:
        """The value of one line of its metrics."""
        lines = self.ask("/metrics").body.decode().splitlines()
        return next(float(found.rsplit(" ", 1)[1]) for found in lines if found.startswith(line))

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)


def ask(
    connection: http.client.HTTPConnection,
    path: str,
    body: bytes | Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
    method: str | None = None,
) -> Reply:
    """One request on a connection."""
    content = orjson.dumps(body) if isinstance(body, Mapping) else body
    method = method or ("GET" if body is None else "POST")
    connection.request(method, path, content, dict(headers or {}))
    response = connection.getresponse()
    names = {name.lower(): value for name, value in response.getheaders()}
    return Reply(response.status, response.read(), names)


def command(package: Package, *options: str, name: str = NAME) -> list[str]:
    return [
        sys.executable, "-m", "constellation_dagster.serving", str(package.folder),
        "--name", name, "--version", VERSION, "--digest", package.digest, *options,
    ]  # fmt: skip


@contextmanager
def serving(
    package: Package, tmp_path: Path, *options: str, unix: bool = True, name: str = NAME
) -> Generator[Server]:
    """Starts a server, waits until it is ready, and ends it."""
    path = tmp_path / "server.sock" if unix else None
    port = 0 if unix else _free_port()
    where = ("--unix", str(path)) if unix else ("--port", str(port))
    log = tmp_path / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command(package, *where, *options, name=name),
            cwd=PROJECT_ROOT,
            env={**os.environ, "PYTHONWARNINGS": "error"},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    server = Server(process, log, path, port)
    with ended(process):
        await_ready(server)
        yield server


@contextmanager
def ended(process: subprocess.Popen[bytes]) -> Generator[None]:
    """Ends a process in the end."""
    try:
        yield
    finally:
        process.kill()
        process.wait()


def run_to_end(package: Package, *options: str) -> subprocess.CompletedProcess[str]:
    """Runs a server that should not get so far as to listen."""
    return subprocess.run(
        command(package, *options),
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def await_ready(server: Server) -> None:
    """Waits until it takes requests."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        assert server.process.poll() is None, server.said
        try:
            if server.ask("/v2/health/ready").status == 200:
                return
        except OSError:
            time.sleep(0.02)
    raise AssertionError(server.said)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
