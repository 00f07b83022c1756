"""Somebody who deploys models on a running stack."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from supabase import Client
from upath import UPath

from constellation_dagster.domain.digests import canonical_json
from constellation_dagster.domain.replicas import ReplicaSpec
from constellation_dagster.packaging.store import PackageStore
from constellation_dagster.runtimes.process import ProcessRuntime
from tests.end_to_end.person import new_name, wait_for
from tests.load import Exchange, Load
from tests.runtimes.packages import OBEDIENT, obedient_package
from tests.stack_fixture import RunningStack

SECONDS = 90.0


@dataclass(frozen=True)
class Deployer:
    """A signed-in person with an obedient model in several versions."""

    client: Client
    stack: RunningStack

    @classmethod
    def operator(cls, stack: RunningStack) -> "Deployer":
        """The person that the command line acts as."""
        client, variables = stack.client(), stack.variables
        client.auth.sign_in_with_password(
            {
                "email": variables["CONSTELLATION_EMAIL"],
                "password": variables["CONSTELLATION_PASSWORD"],
            }
        )
        return cls(client, stack)

    @property
    def owner(self) -> str:
        user = self.client.auth.get_user()
        assert user is not None
        return user.user.id

    def register(self, name: str, version: str, code: str | None = None) -> str:
        """Registers the obedient model, with a remark that makes it another package."""
        source = (code or OBEDIENT.read_text()) + f"\n# version {version} of {name}\n"
        with tempfile.TemporaryDirectory() as folder:
            package = obedient_package(Path(folder), code=source)
            self.store.put(package.folder)
        # Only an operator registers Python code.
        arguments = {
            "name": name,
            "version": version,
            "manifest": canonical_json(package.manifest.model_dump(mode="json")),
            "owner": self.owner,
        }
        self.stack.service().rpc("register_model_package", arguments).execute()
        return f"{name}@{version}"

    def model(self, prefix: str) -> str:
        """A package of a new name, in the versions 1 and 2."""
        name = new_name(prefix)
        for version in ("1", "2"):
            self.register(name, version)
        return name

    def deploy(self, package: str, **columns: Any) -> str:
        """Inserts a row; returns the deployment's name."""
        name = columns.pop("name", None) or new_name("birds")
        row = {"name": name, "package": package, **columns}
        self.client.table("deployments").insert(row).execute()
        return name

    def change(self, name: str, **columns: Any) -> None:
        self.client.table("deployments").update(columns).eq("name", name).execute()

    def delete(self, name: str) -> None:
        self.client.table("deployments").delete().eq("name", name).execute()

    def row(self, name: str) -> dict[str, Any]:
        row = self.row_or_none(name)
        assert row is not None
        return row

    def row_or_none(self, name: str) -> dict[str, Any] | None:
        query: Any = self.client.table("deployments").select("*").eq("name", name)
        rows = query.execute().data
        return rows[0] if rows else None

    def settled(self, name: str, *statuses: str, seconds: float = SECONDS) -> dict[str, Any]:
        """The row once its generation has come to an end, with one of these statuses."""

        def ask() -> dict[str, Any] | None:
            row = self.row(name)
            done = row["generation"] == row["observed_generation"]
            return row if done and row["status"] in statuses else None

        try:
            return wait_for(ask, f"{name} to be {' or '.join(statuses)}", seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.row(name)}") from error

    def healthy(self, name: str, seconds: float = SECONDS) -> dict[str, Any]:
        return self.settled(name, "healthy", seconds=seconds)

    @property
    def store(self) -> PackageStore:
        """The stack's packages."""
        return PackageStore(UPath(self.stack.home / "packages"), self.stack.home / "cache")

    @property
    def runtime(self) -> ProcessRuntime:
        """The stack's replicas."""
        return ProcessRuntime(self.stack.home, self.store.fetch)

    def spec(self, row: dict[str, Any]) -> ReplicaSpec:
        """What the replicas of a deployment without any options are started with."""
        observed = row["observed"]
        return ReplicaSpec(row["name"], observed["package"], observed["digest"])

    def load(self, url: str, exchanges: list[Exchange]) -> Load:
        """Requests through the front door, one after the other on some connections."""
        headers = {"apikey": self.stack.variables["SUPABASE_KEY"]}
        return Load(url, exchanges, headers, connections=4)

    def ask(self, name: str, command: str) -> httpx.Response:
        """Has the model carry out a command, through the front door."""
        tensor = {"name": "command", "datatype": "BYTES", "shape": [1], "data": [command]}
        return httpx.post(
            f"{self.stack.variables['CONSTELLATION_ENDPOINTS_URL']}/{name}/v2/models/{name}/infer",
            headers={"apikey": self.stack.variables["SUPABASE_KEY"]},
            json={"inputs": [tensor]},
            timeout=30,
        )

    def says(self, name: str, text: str = "hello") -> str:
        """What the model answers to `say …`."""
        answer = self.ask(name, f"say {text}")
        assert answer.is_success, f"{answer.status_code}: {answer.text}"
        return answer.json()["outputs"][0]["data"][0]

    def gone(self, name: str) -> None:
        """Waits until nothing answers any more."""
        wait_for(lambda: self.ask(name, "say x").status_code == 404, f"{name} to be gone", SECONDS)
