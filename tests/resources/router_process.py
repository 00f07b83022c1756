"""A real router and small servers behind it."""

import http.client
import json
import os
import socket
import socketserver
import subprocess
import time
from collections import Counter
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from threading import Thread
from typing import Any

from constellation_dagster.local.home import Home
from constellation_dagster.local.programs import router
from constellation_dagster.resources.router import Router


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("router", timeout=15)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


@dataclass
class RunningRouter:
    """A router of a home of its own, without anything else."""

    home: Home
    process: subprocess.Popen[bytes] = field(init=False)

    def start(self) -> None:
        """Start it and wait until it answers."""
        program = router(self.home)
        with (self.home.logs / "router.log").open("ab") as log:
            self.process = subprocess.Popen(
                program.argv, env=program.environment, stdout=log, stderr=log
            )
        deadline = time.monotonic() + 20
        while True:
            with socket.socket(socket.AF_UNIX) as probe:
                if probe.connect_ex(str(self.home.router_admin_socket)) == 0:
                    return
            assert time.monotonic() < deadline, (self.home.logs / "router.log").read_text()
            time.sleep(0.02)

    def kill(self) -> None:
        """As `kill -9`."""
        self.process.kill()
        self.process.wait()

    @property
    def client(self) -> Router:
        """What is tested."""
        return Router(str(self.home.router_admin_socket))

    def ask(
        self, path: str, body: bytes = b"{}", headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        """Status and JSON of an answer to a POST."""
        connection = UnixConnection(self.home.router_socket)
        try:
            connection.request("POST", path, body, dict(headers or {}))
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def answered_by(self, deployment: str, requests: int) -> Counter[str]:
        """Which replica answered how many of so many requests."""
        path = f"/endpoints/{deployment}/v2"
        return Counter(self.ask(path)[1]["replica"] for _ in range(requests))


@contextmanager
def running_router(folder: Path) -> Generator[RunningRouter]:
    """A router in a home below a folder."""
    home = Home(folder)
    home.prepare()
    running = RunningRouter(home)
    running.start()
    try:
        yield running
    finally:
        running.kill()
        home.remove_sockets()


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """The router closes connections when its routes change."""


@contextmanager
def small_server(folder: Path, name: str) -> Generator[str]:
    """A server that tells what it was asked, on a unix socket; gives its address as Caddy dials it."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer({})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            told = {"replica": name, "path": self.path, "body": body.decode()}
            self._answer({**told, "headers": dict(self.headers)})

        def _answer(self, told: dict[str, Any]) -> None:
            data = json.dumps(told).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def address_string(self) -> str:
            return name

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            return

    path = folder / f"{name}.sock"
    path.unlink(missing_ok=True)
    with _Server(str(path), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield f"unix/{path}"
        finally:
            server.shutdown()
            thread.join()
    os.unlink(path)  # noqa: PTH108
