"""What the engine knows of a container, as the state of a replica."""

import http.client
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from constellation_dagster.domain.replicas import Replica, ReplicaState
from constellation_dagster.images.dockerfile import PORT
from constellation_dagster.runtimes.containers import (
    DEPLOYMENT_LABEL,
    REPLICA_LABEL,
    SPEC_LABEL,
)

PROBE_SECONDS = 2.0
# So many ends in a row are no accident.
CRASH_LOOP = 3
_KILLED = 137
# It was ready, or it had its time: until then the engine calls it `starting`.
_SICK = {
    "healthy": "no longer answers that it is ready",
    "unhealthy": "runs and is not ready, for longer than a start may take",
}
_NEVER = "0001-01-01T00:00:00Z"


@dataclass(frozen=True)
class End:
    """How the process of a container ended.

    Attributes:
        code: Its exit code.
        out_of_memory: Whether it wanted more memory than its limit.
    """

    code: int
    out_of_memory: bool = False


def replica_of(
    inspected: Mapping[str, Any],
    *,
    last_end: Callable[[], End | None],
    last_line: Callable[[], str],
) -> Replica:
    """A container as a replica; asks its server whether it is ready.

    Args:
        inspected: What the engine says of the container.
        last_end: How its process ended before the engine started it again.
        last_line: The last line that it said.
    """
    labels, state = inspected["Config"]["Labels"], inspected["State"]
    address = _address(inspected)
    found, reason = _judge(inspected, address, last_end)
    if found in {"sick", "dead"} and (said := last_line()):
        reason = f"{reason}; it said last: {said}"
    started = state["StartedAt"] if state["StartedAt"] != _NEVER else inspected["Created"]
    return Replica(
        id=labels[REPLICA_LABEL],
        deployment=labels[DEPLOYMENT_LABEL],
        spec_hash=labels[SPEC_LABEL],
        state=found,
        address=address,
        started_at=datetime.fromisoformat(started).timestamp(),
        restarts=inspected["RestartCount"],
        reason=reason,
    )


def _judge(
    inspected: Mapping[str, Any], address: str, last_end: Callable[[], End | None]
) -> tuple[ReplicaState, str]:
    state = inspected["State"]
    match state["Status"]:
        case "running" if is_ready(address):
            return "ready", ""
        case "running":
            health = state.get("Health", {}).get("Status")
            return ("sick", _SICK[health]) if health in _SICK else _restarts(inspected, last_end)
        case "restarting":
            return _restarts(inspected, lambda: _end(state))
        case "paused":
            return "sick", "is paused"
        case "created":
            return "dead", f"was never started {state['Error']}".rstrip()
        case _:
            return "dead", f"has ended {_how(inspected, _end(state))}"


def _restarts(
    inspected: Mapping[str, Any], last_end: Callable[[], End | None]
) -> tuple[ReplicaState, str]:
    """Of one that is on its way to become ready, the first time or again."""
    restarts = inspected["RestartCount"]
    if not restarts:
        return "starting", ""
    if restarts < CRASH_LOOP:
        return "starting", f"was started again: it had ended {_how(inspected, last_end())}"
    return "sick", f"has ended {restarts} times, {_how(inspected, last_end())}"


def _end(state: Mapping[str, Any]) -> End:
    return End(state["ExitCode"], state["OOMKilled"])


def _how(inspected: Mapping[str, Any], end: End | None) -> str:
    if end is None:
        return "and the engine no longer knows how"
    if end.out_of_memory:
        limit = inspected["HostConfig"]["Memory"] // 1024**2
        return f"since it wanted more memory than its limit of {limit} MiB (OOMKilled)"
    if end.code == _KILLED:
        return f"as it was killed (exit code {end.code})"
    return f"with exit code {end.code}"


def _address(inspected: Mapping[str, Any]) -> str:
    # As it was asked for: while the container is down the engine tells no other.
    bound = inspected["HostConfig"]["PortBindings"][f"{PORT}/tcp"][0]
    return f"{bound['HostIp']}:{bound['HostPort']}"


def is_ready(address: str) -> bool:
    """Whether the server at `host:port` says that its model is ready."""
    host, _, port = address.rpartition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=PROBE_SECONDS)
    try:
        connection.request("GET", "/v2/health/ready")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
