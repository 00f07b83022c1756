"""Ports of one home: the usual ones where they are free, and then always the same."""

import errno
import fcntl
import socket
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from constellation_dagster.local.errors import StackError

_STEP = 10
_TRIES = 100


class Ports(BaseModel):
    """TCP ports on 127.0.0.1."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    front_door: int = Field(default=54321, description="Caddy: /rest/v1 and /auth/v1.")
    postgres: int = Field(default=54322, description="Postgres.")
    webserver: int = Field(default=3000, description="Dagster's UI and GraphQL.")
    code_server: int = Field(default=4000, description="Dagster's code server (gRPC).")


def is_free(port: int) -> bool:
    """Whether a server could listen on a port of 127.0.0.1 now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do: connections of the last start, still closing, do not make a port taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise
    return True


@contextmanager
def chosen_ports(path: Path, reservations: Path) -> Generator[Ports]:
    """The remembered ports where they are free, others where they are not; remembers the choice.

    Args:
        path: Where this home remembers them.
        reservations: A folder that all homes of a user share. While the context lasts, no other
            start takes the same ports: between the choice and the listening lie seconds.
    """
    try:
        wanted = Ports.model_validate_json(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValidationError):
        wanted = Ports()
    with ExitStack() as held:
        chosen = {name: _reserve(name, port, reservations, held) for name, port in wanted}
        ports = Ports.model_validate(chosen)
        path.write_text(ports.model_dump_json(indent=2), encoding="utf-8")
        yield ports


def load_ports(path: Path) -> Ports:
    """The ports of the stack that is running."""
    return Ports.model_validate_json(path.read_text(encoding="utf-8"))


def _reserve(name: str, wanted: int, reservations: Path, held: ExitStack) -> int:
    for port in range(wanted, min(wanted + _STEP * _TRIES, 65536), _STEP):
        # The lock goes with the process, however that ends; its file may stay.
        file = held.enter_context((reservations / f"port-{port}").open("w"))
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        if is_free(port):
            return port
    raise StackError(f"No free port for {name} from {wanted} on, in steps of {_STEP}.")
