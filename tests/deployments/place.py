"""All that a reconciler works with, and nothing else: Postgres, Valkey, router, front door and supervisor.

No Dagster and no PostgREST, so that nobody but the test reconciles.
"""

import subprocess
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb
from redis import Redis
from typing_extensions import override
from upath import UPath

from constellation_dagster.domain.changes import Drain, Phase, Step
from constellation_dagster.domain.deployments import (
    DeploymentStatusSchema,
    ResolvedPackage,
    Revision,
)
from constellation_dagster.domain.digests import canonical_json
from constellation_dagster.domain.replicas import Replica
from constellation_dagster.local.home import Home
from constellation_dagster.local.postgres import PostgresServer
from constellation_dagster.local.programs import valkey
from constellation_dagster.packaging.store import PackageStore
from constellation_dagster.resources.deployment_rows import (
    DeploymentRows,
    PackageNotReady,
    Report,
)
from constellation_dagster.runtimes.docker import DockerRuntime
from constellation_dagster.runtimes.process import ProcessRuntime
from constellation_dagster.runtimes.reconciler import Outcome, Reconciler
from constellation_dagster.settings import get_settings
from tests.conftest import migrated_database
from tests.database.deployments import change, deploy
from tests.load import Exchange, Load
from tests.roles import as_service, as_user, create_user
from tests.runtimes.packages import OBEDIENT, obedient_package
from tests.runtimes.supervised import KEY, Door, front_door

MODEL = "obedient"


class SqlRows(DeploymentRows):
    """The same functions and tables, without PostgREST between."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection

    @override
    def by_name(self, name: str) -> DeploymentStatusSchema | None:
        rows = self._rows("select * from deployments where name = %s", name)
        return DeploymentStatusSchema.model_validate(rows[0]) if rows else None

    @override
    def resolve(self, ref: str, owner: UUID) -> ResolvedPackage:
        rows = self._rows("select * from resolve_package(%s, %s)", ref, owner)
        if not rows:
            raise PackageNotReady(f"There is no package {ref!r}.", final=True)
        [row] = rows
        return ResolvedPackage(ref=row["package"], digest=row["digest"], image=row["image"])

    @override
    def last_revision(self, deployment: UUID) -> Revision | None:
        rows = self._rows(
            "select spec from deployment_revisions where deployment_id = %s "
            "order by revision desc limit 1",
            deployment,
        )
        return Revision.model_validate(rows[0]["spec"]) if rows else None

    @override
    def secrets(self, deployment: UUID) -> dict[str, str]:
        rows = self._rows(
            "select name, value from deployment_secrets where deployment_id = %s", deployment
        )
        return {row["name"]: row["value"] for row in rows}

    @override
    def report(self, deployment: UUID, fence: int, report: Report) -> bool:
        call = "select report_deployment(%s, %s, %s) as done"
        return self._rows(call, deployment, fence, Jsonb(report.payload()))[0]["done"]

    @override
    def end_canary(self, deployment: UUID, reason: str, generation: int) -> bool:
        call = "select end_canary(%s, %s, %s) as done"
        return self._rows(call, deployment, reason, generation)[0]["done"]

    def _rows(self, query: str, *parameters: object) -> list[dict[str, Any]]:
        with as_service(self._connection), self._connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(query.encode(), parameters).fetchall()


class Killed(BaseException):
    """The reconciler ended here."""


@dataclass
class Place:
    """One person's packages and deployments."""

    door: Door
    connection: psycopg.Connection
    redis_url: str
    owner: UUID
    log: list[str] = field(default_factory=list[str])

    @property
    def store(self) -> PackageStore:
        return PackageStore(UPath(self.door.home.root / "packages"), self.door.home.root / "cache")

    @property
    def runtime(self) -> ProcessRuntime:
        return ProcessRuntime(self.door.home.root, self.store.fetch)

    def register(self, version: str, code: str | None = None) -> str:
        """Another version of the obedient model, or of one with other code."""
        with tempfile.TemporaryDirectory() as folder:
            code = f"{code or OBEDIENT.read_text()}\n# version {version}\n"
            package = obedient_package(Path(folder), code=code)
            self.store.put(package.folder)
        manifest = canonical_json(package.manifest.model_dump(mode="json"))
        with as_service(self.connection):
            self.connection.execute(
                "select register_model_package(name => %s, version => %s, manifest => %s, "
                "owner => %s)",
                (MODEL, version, manifest, self.owner),
            )
        return f"{MODEL}@{version}"

    def deploy(self, package: str, **columns: Any) -> str:
        name = f"birds_{uuid4().hex[:8]}"
        deploy(self.connection, self.owner, package, name, **columns)
        return name

    def change(self, name: str, **columns: Any) -> None:
        change(self.connection, self.owner, name, **columns)

    def delete(self, name: str) -> None:
        with as_user(self.connection, self.owner):
            self.connection.execute("delete from deployments where name = %s", (name,))

    def row(self, name: str) -> DeploymentStatusSchema:
        row = SqlRows(self.connection).by_name(name)
        assert row is not None
        return row

    def reconciler(self, after_step: Callable[[Step], object] = lambda _step: None) -> Reconciler:
        return Reconciler(
            rows=SqlRows(self.connection),
            runtimes={"process": self.runtime, "docker": DockerRuntime(self.door.home.root)},
            router=self.door.router,
            redis_url=self.redis_url,
            endpoints_url=self.door.url,
            image_of=lambda package: f"image of {package.ref}",
            log=self.log.append,
            after_step=after_step,
        )

    def reconcile(self, name: str, until: Phase = Phase.REMOVE) -> Outcome:
        return self.reconciler().reconcile(name, until)

    def reconcile_step_by_step(self, name: str) -> tuple[list[Step], Outcome]:
        """Each reconciler is killed after its first step, and another one begins anew.

        Only one that waits once more, as the one before it did, is let go on.
        """
        steps: list[Step] = []

        def die(step: Step) -> None:
            again = isinstance(step, Drain) and steps and isinstance(steps[-1], Drain)
            steps.append(step)
            if not again:
                raise Killed

        for _ in range(60):
            try:
                return steps, self.reconciler(die).reconcile(name)
            except Killed:
                continue
        raise AssertionError([str(step) for step in steps])

    def replicas(self, name: str) -> list[Replica]:
        return list(self.runtime.replicas(name))

    def ask(self, name: str, command: str = "say hello") -> httpx.Response:
        tensor = {"name": "command", "datatype": "BYTES", "shape": [1], "data": [command]}
        url = f"{self.door.url}/{name}/v2/models/{name}/infer"
        headers = {"apikey": KEY}
        return httpx.post(url, headers=headers, json={"inputs": [tensor]}, timeout=30)

    def answers(self, name: str, command: str = "say hello") -> str:
        answer = self.ask(name, command)
        assert answer.is_success, f"{answer.status_code}: {answer.text}"
        return answer.json()["outputs"][0]["data"][0]

    def load(self, name: str, exchanges: list[Exchange], connections: int = 8) -> Load:
        url = f"{self.door.url}/{name}/v2/models/{name}/infer"
        return Load(url, exchanges, {"apikey": KEY}, connections=connections)


@contextmanager
def place(root: Path, postgres: PostgresServer) -> Generator[Place]:
    """A place of its own, without a Docker engine."""
    package = obedient_package(root / "package")
    with (
        _no_engine(root),
        front_door(root / "home", package) as door,
        _valkey(door.home) as redis_url,
        migrated_database(postgres) as url,
        psycopg.connect(url, autocommit=True) as connection,
    ):
        yield Place(door, connection, redis_url, create_user(connection))


@contextmanager
def _no_engine(root: Path) -> Generator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_HOST", f"unix://{root}/no-engine.sock")
        get_settings.cache_clear()
        yield
    get_settings.cache_clear()


@contextmanager
def _valkey(home: Home) -> Generator[str]:
    program = valkey(home)
    process = subprocess.Popen(
        program.argv, env=program.environment, cwd=program.directory, stdout=subprocess.DEVNULL
    )
    url = f"unix://{quote(str(home.valkey_socket))}"
    try:
        with Redis.from_url(url) as client:
            deadline = time.monotonic() + 20
            while not home.valkey_socket.exists() or not client.ping():
                assert time.monotonic() < deadline
                time.sleep(0.02)
        yield url
    finally:
        process.kill()
        process.wait()
