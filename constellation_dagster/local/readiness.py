"""When each part of a stack is ready, asked the way its users will."""

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from constellation_dagster.local.environment import front_door_url, webserver_url
from constellation_dagster.local.errors import StackError
from constellation_dagster.local.home import Home
from constellation_dagster.local.ports import Ports, is_free
from constellation_dagster.settings import socket_answers

Check = Callable[[], bool]

_LOCATION = """{ workspaceOrError { ... on Workspace { locationEntries { name loadStatus locationOrLoadError {
  __typename ... on PythonError { message errorChain { error { message } } } } } } } }"""
_DAEMONS = "{ instance { daemonHealth { allDaemonStatuses { required lastHeartbeatTime } } } }"


def checks(
    home: Home, ports: Ports, anon_key: str, client: httpx.Client, since: float
) -> dict[str, Check]:
    """One question per part that can be asked over and over.

    Args:
        home: Where the sockets of the parts are.
        ports: Where the parts listen.
        anon_key: The key that the front door wants.
        client: Asks; answers within its timeout or counts as not ready.
        since: Heartbeats from before this moment are another start's.
    """
    door, webserver = front_door_url(ports), webserver_url(ports)
    key = {"apikey": anon_key}

    def answers(path: str) -> bool:
        try:
            return client.get(f"{door}{path}", headers=key).is_success
        except httpx.TransportError:
            return False

    def graphql(query: str) -> Any:
        try:
            answer = client.post(f"{webserver}/graphql", json={"query": query})
        except httpx.TransportError:
            return None
        return answer.json()["data"] if answer.is_success else None

    def location_loaded() -> bool:
        data = graphql(_LOCATION)
        entries: list[Any] = data["workspaceOrError"].get("locationEntries", []) if data else []
        if not entries or entries[0]["loadStatus"] != "LOADED":
            return False
        loaded: dict[str, Any] = entries[0]["locationOrLoadError"]
        if loaded["__typename"] == "PythonError":
            causes = [link["error"]["message"] for link in loaded["errorChain"]]
            told = "\n".join(message.strip() for message in (loaded["message"], *causes))
            raise StackError(f"Dagster cannot load the code location:\n{told}")
        return True

    def daemons_beat() -> bool:
        data = graphql(_DAEMONS)
        statuses: list[Any] = data["instance"]["daemonHealth"]["allDaemonStatuses"] if data else []
        beats = [status["lastHeartbeatTime"] or 0.0 for status in statuses if status["required"]]
        return bool(beats) and min(beats) >= since

    return {
        "postgrest": lambda: answers("/rest/v1/"),
        "auth": lambda: answers("/auth/v1/health"),
        "valkey": lambda: _valkey_answers(home.valkey_socket),
        "router": lambda: socket_answers(home.router_admin_socket),
        "caddy": lambda: answers("/health"),
        "code-server": lambda: not is_free(ports.code_server),
        "webserver": location_loaded,
        "daemon": daemons_beat,
    }


def _valkey_answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(1.0)
        try:
            connection.connect(str(path))
            connection.sendall(b"PING\r\n")
            return connection.recv(16) == b"+PONG\r\n"
        except OSError:
            return False
