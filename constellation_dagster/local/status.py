"""What there is to say about a stack."""

from pydantic import BaseModel, ConfigDict, Field

from constellation_dagster.local.environment import (
    endpoints_url,
    front_door_url,
    webserver_url,
)
from constellation_dagster.local.guard import Record
from constellation_dagster.local.home import REPLICA_PREFIX, Home
from constellation_dagster.local.ports import Ports, load_ports
from constellation_dagster.local.supervision import RUNNING, Supervisor
from constellation_dagster.settings import read_env_file

NOT_RUNNING = "stopped"


class PartStatus(BaseModel):
    """One program."""

    model_config = ConfigDict(frozen=True)

    name: str = Field(description="Name of the part.")
    state: str = Field(description="As the supervisor says: running, starting, backoff, fatal, …")
    pid: int | None = Field(default=None, description="Process id while it runs.")
    port: int | None = Field(default=None, description="TCP port on 127.0.0.1, if it has one.")


class ReplicaStatus(BaseModel):
    """One replica of a deployed model, where it is a process of this stack."""

    model_config = ConfigDict(frozen=True)

    name: str = Field(description="Its name.")
    state: str = Field(description="As the supervisor says, of its process.")
    pid: int | None = Field(default=None, description="Process id while it runs.")


class StackStatus(BaseModel):
    """One stack."""

    model_config = ConfigDict(frozen=True)

    home: str = Field(description="Its folder.")
    running: bool = Field(description="Whether all of its parts run.")
    mode: str | None = Field(description="embedded or hosted; null when it is stopped.")
    urls: dict[str, str] = Field(description="Addresses by name.")
    ports: dict[str, int] = Field(description="TCP ports by name.")
    parts: list[PartStatus] = Field(description="Its programs.")
    replicas: list[ReplicaStatus] = Field(
        default=[],
        description="What it runs for deployed models; rows say how many there should be.",
    )


def read_status(home: Home) -> StackStatus:
    """Look at a stack; changes nothing."""
    supervisor = Supervisor(home)
    if not supervisor.alive:
        return StackStatus(
            home=str(home.root), running=False, mode=None, urls={}, ports={}, parts=[]
        )
    ports = load_ports(home.ports)
    programs = supervisor.states()
    states = {
        name: state for name, state in programs.items() if not name.startswith(REPLICA_PREFIX)
    }
    embedded = "postgres" in states
    listening = _listening(ports, embedded)
    parts = [
        PartStatus(
            name=state.name,
            state=state.state.lower(),
            pid=_pid(home, state.name),
            port=listening.get(state.name),
        )
        for state in states.values()
    ]
    replicas = [
        ReplicaStatus(
            name=state.name.removeprefix(REPLICA_PREFIX),
            state=state.state.lower(),
            pid=_pid(home, state.name),
        )
        for state in programs.values()
        if state.name not in states
    ]
    environment = read_env_file(home.stack_env)
    urls = {
        "supabase": front_door_url(ports) if embedded else environment.get("SUPABASE_URL", ""),
        "dagster": webserver_url(ports),
        "graphql": f"{webserver_url(ports)}/graphql",
        "endpoints": environment.get("CONSTELLATION_ENDPOINTS_URL", endpoints_url(ports)),
    }
    return StackStatus(
        home=str(home.root),
        running=bool(states) and all(state.state == RUNNING for state in states.values()),
        mode="embedded" if embedded else "hosted",
        urls=urls,
        ports=listening,
        parts=parts,
        replicas=replicas,
    )


def _listening(ports: Ports, embedded: bool) -> dict[str, int]:
    both = {
        "caddy": ports.front_door,
        "code-server": ports.code_server,
        "webserver": ports.webserver,
    }
    return {"postgres": ports.postgres} | both if embedded else both


def _pid(home: Home, name: str) -> int | None:
    record = Record.load(home.records / f"{name}.json")
    return record.pid if record and record.process() else None
