"""A supervisor for replicas that are processes, with a front door and a router or without."""

import json
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from constellation_dagster.domain.deployments import PoolName
from constellation_dagster.domain.errors import ConstellationError
from constellation_dagster.domain.reconciliation import Route, RoutePool
from constellation_dagster.domain.replicas import Replica, ReplicaSpec
from constellation_dagster.local.environment import endpoints_url
from constellation_dagster.local.guard import Record
from constellation_dagster.local.home import Home, write_private
from constellation_dagster.local.ports import Ports, chosen_ports
from constellation_dagster.local.programs import caddy, router
from constellation_dagster.local.stack import Stack
from constellation_dagster.local.supervision import Supervisor
from constellation_dagster.resources.router import Router
from constellation_dagster.runtimes.process import ProcessRuntime
from tests.load import Exchange, Load
from tests.runtimes.contract import DEPLOYMENT, RuntimeHarness
from tests.runtimes.packages import Package


@contextmanager
def supervised(root: Path, parts: Iterable[str] = ()) -> Generator[Home]:
    """A home whose supervisor runs."""
    home = Home(root)
    home.prepare()
    stack = Stack(home)
    stack.supervisor.start(parts)
    process = stack.supervisor._process  # pyright: ignore[reportPrivateUsage]
    assert process is not None
    try:
        yield home
    finally:
        stack.down()
        process.wait(10)


class ProcessHarness(RuntimeHarness):
    """Replicas as processes of two supervisors."""

    def __init__(self, home: Home, stranger: Home, package: Package) -> None:
        self.home = home
        self.package = package
        self.runtime = ProcessRuntime(home.root, self._fetch)
        self.stranger = ProcessRuntime(stranger.root, self._fetch)

    def spec(self, **changes: Any) -> ReplicaSpec:
        wanted: dict[str, Any] = {
            "deployment": DEPLOYMENT,
            "package": "obedient@1",
            "digest": self.package.digest,
            **changes,
        }
        return ReplicaSpec(**wanted)

    def process(self, replica: str) -> psutil.Process:
        """The server of a replica."""
        record = Record.load(self.home.records / f"replica-{replica}.json")
        assert record is not None
        process = record.process()
        assert process is not None
        return process

    def kill(self, replica: str) -> None:
        self.process(replica).kill()

    def seen_from_outside(self, replica: str) -> str:
        server = self.process(replica)
        guard = server.parent()
        assert guard is not None
        return repr([(each.cmdline(), each.environ()) for each in (server, guard)])

    def _fetch(self, digest: str) -> Path:
        if digest != self.package.digest:
            raise ConstellationError(f"There is no package {digest}.")
        return self.package.folder


KEY = "a-key-of-a-client"


@dataclass(frozen=True)
class Door:
    """A front door and a router, with replicas behind them, and no other part of a stack."""

    home: Home
    url: str
    harness: ProcessHarness
    router: Router

    def load(self, exchanges: Sequence[Exchange], connections: int = 16) -> Load:
        """Requests for the deployment `obedient`."""
        url = f"{self.url}/{DEPLOYMENT}/v2/models/{DEPLOYMENT}/infer"
        return Load(url, exchanges, {"apikey": KEY}, connections=connections)

    def route(self, champion: Sequence[Replica], canary: Sequence[Replica] = ()) -> None:
        """Sends requests to these, a fifth to the canary."""
        percent = 20 if canary else 0
        pools: dict[PoolName, RoutePool] = {"champion": _pool(champion, 100 - percent)}
        if canary:
            pools["canary"] = _pool(canary, percent)
        self.router.set_route(DEPLOYMENT, Route(tuple(pools.items())))

    def restart_router(self) -> None:
        """As `kill -9` does."""
        record = Record.load(self.home.records / "router.json")
        assert record is not None
        process = record.process()
        assert process is not None
        process.kill()


@contextmanager
def front_door(root: Path, package: Package) -> Generator[Door]:
    """A door in a home of its own."""
    with supervised(root, ("router", "caddy")) as home:
        supervisor = Supervisor(home)
        # Away from the usual ones.
        home.ports.write_text(Ports(front_door=22001).model_dump_json())
        with chosen_ports(home.ports, home.shared) as ports:
            keys = {"SUPABASE_KEY": KEY, "SUPABASE_SERVICE_ROLE_KEY": "another"}
            for program in (router(home), caddy(home, ports, keys, hosted=True)):
                launch = home.launches / f"{program.name}.json"
                write_private(launch, program.launch(home).as_json())
                supervisor.start_program(program.name)
            url = endpoints_url(ports)
            until(lambda: _answers(f"{url}/none", 404))
        harness = ProcessHarness(home, home, package)
        yield Door(home, url, harness, Router(str(home.router_admin_socket)))


def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait for it."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def saying(words: int) -> list[Exchange]:
    """Requests that the model answers with one word each, no two of them the same."""
    return [_saying(f"word-{number}") for number in range(words)]


def _saying(word: str) -> Exchange:
    tensor = {"name": "command", "datatype": "BYTES", "shape": [1], "data": [f"say {word}"]}

    def is_right(body: bytes) -> bool:
        return json.loads(body)["outputs"][0]["data"] == [word]

    return Exchange(json.dumps({"inputs": [tensor]}).encode(), is_right)


def _pool(replicas: Sequence[Replica], weight: int) -> RoutePool:
    return RoutePool(weight, frozenset(replica.address for replica in replicas))


def _answers(url: str, status: int) -> bool:
    try:
        return httpx.get(url, headers={"apikey": KEY}).status_code == status
    except httpx.TransportError:
        return False
