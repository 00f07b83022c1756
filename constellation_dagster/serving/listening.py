"""Sockets that the server listens on, and how it stops without losing who has knocked."""

import asyncio
import contextlib
import socket
import stat
from collections.abc import Callable
from pathlib import Path

from constellation_dagster.domain.plain_errors import ConstellationError

_BACKLOG = 2048


class CannotListen(ConstellationError):
    """The address cannot be listened on."""


class Listener:
    """A listening socket.

    Args:
        listening: Bound already.
        path: Of a unix socket.
    """

    def __init__(self, listening: socket.socket, path: Path | None = None) -> None:
        self._socket = listening
        self._path = path
        # The loop closes its own when it stops accepting.
        self._spare = listening.dup()
        self._server: asyncio.Server | None = None

    @property
    def address(self) -> str:
        """Where clients reach it."""
        if self._path is not None:
            return f"unix:{self._path}"
        host, port = self._socket.getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    async def start(self, protocol: Callable[[], asyncio.Protocol]) -> None:
        """Accepts connections from now on."""
        loop = asyncio.get_running_loop()
        if self._path is not None:
            self._server = await loop.create_unix_server(
                protocol, sock=self._socket, backlog=_BACKLOG
            )
        else:
            self._server = await loop.create_server(protocol, sock=self._socket, backlog=_BACKLOG)

    async def stop(self, protocol: Callable[[], asyncio.Protocol]) -> None:
        """Accepts who has connected already, then nobody."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)
        if self._server is not None:
            self._server.close()
        loop = asyncio.get_running_loop()
        self._spare.setblocking(False)
        with contextlib.suppress(OSError):
            while True:
                connected, _ = self._spare.accept()
                await loop.connect_accepted_socket(protocol, connected)
        self._spare.close()


def listen_tcp(host: str, port: int) -> Listener:
    """A TCP socket.

    Raises:
        CannotListen: The port is taken, or the host is none of this machine.
    """
    try:
        family, kind, number, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, number)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
    except OSError as error:
        raise CannotListen(f"Cannot listen on {host}:{port}: {error.strerror}.") from error
    return Listener(listening)


def listen_unix(path: Path) -> Listener:
    """A unix socket; one that a server left behind at its end is replaced.

    Raises:
        CannotListen: Something else is there, or the path is too long or not writable.
    """
    try:
        if path.exists() and not stat.S_ISSOCK(path.stat().st_mode):
            raise CannotListen(f"Cannot listen on {path}: there is a file that is no socket.")
        path.unlink(missing_ok=True)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listening.bind(str(path))
    except OSError as error:
        raise CannotListen(f"Cannot listen on {path}: {error.strerror or error}.") from error
    return Listener(listening, path)
