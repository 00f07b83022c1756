"""Ports of one home: the usual ones where they are free, and then always the same."""

import errno
import socket
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


def choose_ports(path: Path) -> Ports:
    """The remembered ports where they are free, others where they are not; remembers the choice."""
    try:
        wanted = Ports.model_validate_json(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValidationError):
        wanted = Ports()
    taken: set[int] = set()
    chosen: dict[str, int] = {}
    for name, port in wanted:
        chosen[name] = _free_port(name, port, taken)
        taken.add(chosen[name])
    ports = Ports.model_validate(chosen)
    path.write_text(ports.model_dump_json(indent=2), encoding="utf-8")
    return ports


def load_ports(path: Path) -> Ports:
    """The ports of the stack that is running."""
    return Ports.model_validate_json(path.read_text(encoding="utf-8"))


def _free_port(name: str, wanted: int, taken: set[int]) -> int:
    for port in range(wanted, min(wanted + _STEP * _TRIES, 65536), _STEP):
        if port not in taken and is_free(port):
            return port
    raise StackError(f"No free port for {name} from {wanted} on, in steps of {_STEP}.")
