"""What the supervisor knows of a process, as the state of a replica."""

import http.client
import socket
from pathlib import Path

from typing_extensions import override

from constellation_dagster.domain.replicas import Replica, ReplicaState
from constellation_dagster.local.guard import History, read_history
from constellation_dagster.local.supervision import ProcessState, log_tail
from constellation_dagster.runtimes.process_places import Identity, ReplicaPlace

PROBE_SECONDS = 2.0
# So many ends are no accident.
CRASH_LOOP = 3


def replica_of(place: ReplicaPlace, identity: Identity, state: ProcessState | None) -> Replica:
    """A replica as it is now; asks its server whether it is ready.

    Args:
        place: Where its things are.
        identity: What it was made as.
        state: What the supervisor says; None when it has no such program.
    """
    history = read_history(place.history)
    found, reason = _judge(place, state, history)
    if found in {"sick", "dead"} and (said := log_tail(place.log)):
        reason = f"{reason}; it said last:\n{said}"
    return Replica(
        id=place.replica,
        deployment=identity.deployment,
        spec_hash=identity.spec_hash,
        state=found,
        address=f"unix/{place.socket}",
        started_at=state.since if state else 0,
        restarts=max(0, history.starts - 1),
        reason=reason,
    )


def _judge(
    place: ReplicaPlace, state: ProcessState | None, history: History
) -> tuple[ReplicaState, str]:
    match state.state if state else None:
        case "STARTING" | "RUNNING" if state:
            return _judge_running(place, state, history)
        case "BACKOFF" | "EXITED":  # it is started again within seconds
            return _restarted(history, history.starts)
        case "STOPPED" if state and not state.since:
            return "starting", ""
        case "STOPPING":
            return "sick", "is being stopped"
        case "FATAL":
            return "dead", f"does not start: it ends again and again, {_how(history)}"
        case name:
            ended = "was stopped" if name else "was not made, or not removed, to the end"
            return "dead", ended


def _judge_running(
    place: ReplicaPlace, state: ProcessState, history: History
) -> tuple[ReplicaState, str]:
    refusal = _ask(place.socket)
    if not refusal:
        place.remember_ready(state.since)
        return "ready", ""
    if place.was_ready(state.since):
        return "sick", refusal
    return _restarted(history, history.starts - 1)


def _restarted(history: History, restarts: int) -> tuple[ReplicaState, str]:
    if restarts < 1:
        return "starting", ""
    if restarts < CRASH_LOOP:
        return "starting", f"was started again: it had ended {_how(history)}"
    return "sick", f"has ended {restarts} times, {_how(history)}"


def _how(history: History) -> str:
    if history.why:
        return f"as it was killed: {history.why}"
    if history.exit_code is None:
        return "and nobody noted its exit code"
    return f"with exit code {history.exit_code}"


def _ask(path: Path) -> str:
    """Empty when the server says that its model is ready, else what it says."""
    connection = _UnixConnection(path)
    try:
        connection.request("GET", "/v2/health/ready")
        status = connection.getresponse().status
    except TimeoutError:
        return f"does not answer within {PROBE_SECONDS:.0f} s"
    except (OSError, http.client.HTTPException):
        return "does not answer"
    finally:
        connection.close()
    return "" if status == 200 else f"says that it is not ready ({status})"


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("replica", timeout=PROBE_SECONDS)
        self._path = path

    @override
    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(PROBE_SECONDS)
        self.sock.connect(str(self._path))
