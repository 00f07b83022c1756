"""A real registry of images on loopback."""

import shutil
import socket
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

UNPACKED = Path(".tools/registry/usr/bin/docker-registry")
START_SECONDS = 20.0

CONFIG = """\
version: 0.1
log: {{level: warn}}
storage: {{filesystem: {{rootdirectory: {folder}}}, delete: {{enabled: true}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""


@contextmanager
def running_registry(folder: Path) -> Generator[str]:
    """Starts Debian's docker-registry; gives its address, `127.0.0.1:port`."""
    command = shutil.which("docker-registry") or (UNPACKED if UNPACKED.exists() else None)
    if command is None:
        pytest.skip("there is no docker-registry; Debian, Ubuntu: apt-get install docker-registry")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = folder / "config.yml"
    config.write_text(CONFIG.format(folder=folder, port=port))
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([command, "serve", config], stdout=log, stderr=log)
    try:
        _wait(f"http://127.0.0.1:{port}/v2/", folder / "log")
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def _wait(url: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            assert httpx.get(url).status_code == 200
        except httpx.TransportError:
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        else:
            return
