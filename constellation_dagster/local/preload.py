"""Runs a Dagster command line, importing its modules while the database is still being prepared.

Importing takes seconds, and by far most of a start. A program that waits imported is ready that much earlier.

    python -m constellation_dagster.local.preload MODULE[,MODULE...] WAIT_FOR ARGUMENT...

The first module's `main` is run. WAIT_FOR is the path of a file that must exist, or HOST:PORT that must accept
connections.
"""

import importlib
import socket
import sys
import time
from pathlib import Path

_INTERVAL = 0.05


def main(arguments: list[str]) -> None:
    """Import, wait, run."""
    names, condition, *rest = arguments
    program, *_ = [importlib.import_module(name) for name in names.split(",")]
    while not _met(condition):
        time.sleep(_INTERVAL)
    sys.argv = [program.__name__, *rest]
    program.main()


def _met(condition: str) -> bool:
    host, separator, port = condition.rpartition(":")
    if not separator or not port.isdigit():
        return Path(condition).exists()
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except OSError:
        return False
    return True


if __name__ == "__main__":
    main(sys.argv[1:])
