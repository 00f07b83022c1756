"""Ends what an earlier stack of the same home has left behind, whatever killed it."""

import signal
from contextlib import suppress

import psutil

from constellation_dagster.local.guard import STACK_MARK, Record, end_processes
from constellation_dagster.local.home import Home


def sweep(home: Home) -> int:
    """End every process of this home's stack; returns how many there were.

    Found by the recorded pid and start time, and by the mark that each inherits in its environment (a program may
    have overwritten that, as Postgres does, or have been started by one that was killed).
    """
    found = _recorded(home) | _marked(home)
    myself = psutil.Process()
    for kin in (myself, *myself.parents()):
        found.discard(kin)
    end_processes(list(found), patience=4.0)
    for record in home.records.glob("*.json"):
        record.unlink(missing_ok=True)
    return len(found)


def _recorded(home: Home) -> set[psutil.Process]:
    found: set[psutil.Process] = set()
    for file in home.records.glob("*.json"):
        record = Record.load(file)
        process = record.process() if record else None
        if process is None:
            continue
        with suppress(psutil.NoSuchProcess):
            found |= {process, *process.children(recursive=True)}
            if file.stem == "postgres":
                # SIGTERM alone would have it wait for its clients to leave.
                process.send_signal(signal.SIGINT)
    return found


def _marked(home: Home) -> set[psutil.Process]:
    found: set[psutil.Process] = set()
    for process in psutil.process_iter():
        try:
            if process.environ().get(STACK_MARK) == str(home.root):
                found.add(process)
        except (psutil.Error, OSError):
            continue
    return found
