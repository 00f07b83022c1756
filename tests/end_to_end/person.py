"""What a person does with the platform, through their own Supabase client only."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import uuid4

import httpx
import psycopg
from supabase import Client
from tenacity import retry, stop_after_attempt, wait_fixed

from tests.stack_fixture import RunningStack

T = TypeVar("T")
SECONDS = 120.0

Nodes = Mapping[str, tuple[str, Mapping[str, Any]]]


def wait_for(ask: Callable[[], T | None], what: str, seconds: float = SECONDS) -> T:
    """The first answer that is not empty."""
    deadline = time.monotonic() + seconds
    while True:
        if answer := ask():
            return answer
        assert time.monotonic() < deadline, f"no {what} within {seconds} s"
        time.sleep(0.2)


def new_name(prefix: str) -> str:
    """A pipeline name that no other test has."""
    return f"{prefix}_{uuid4().hex[:8]}"


@dataclass(frozen=True)
class Person:
    """A signed-in client and the stack it talks to."""

    client: Client
    stack: RunningStack

    @property
    def id(self) -> str:
        """The user's id."""
        user = self.client.auth.get_user()
        assert user is not None
        return user.user.id

    def rows(self, query: Any) -> list[dict[str, Any]]:
        """What a query answers."""
        return query.execute().data

    def draw(self, name: str, nodes: Nodes, edges: Sequence[str] = ()) -> str:
        """Inserts the rows of a pipeline; edges are written as `a.table > b.table`."""
        [row] = self.rows(self.client.table("pipelines").insert({"name": name}))
        pipeline = row["id"]
        self.client.table("nodes").insert(
            [
                {"pipeline_id": pipeline, "node": node, "block": block, "config": dict(config)}
                for node, (block, config) in nodes.items()
            ]
        ).execute()
        pairs = [edge.split(" > ") for edge in edges]
        if pairs:
            self.client.table("edges").insert(
                [
                    {"pipeline_id": pipeline, "source": source, "target": target}
                    for source, target in pairs
                ]
            ).execute()
        return pipeline

    def approve(self, pipeline: str) -> dict[str, Any]:
        """Has a pipeline published; returns its row once it is, or is put aside."""
        self.client.rpc("approve_pipeline", {"pipeline": pipeline}).execute()
        return self.settled(pipeline)

    def settled(self, pipeline: str) -> dict[str, Any]:
        """A pipeline's row once it waits for nothing."""

        def ask() -> dict[str, Any] | None:
            [row] = self.rows(self.client.table("pipelines").select("*").eq("id", pipeline))
            return None if row["status"] == "approved" else row

        return wait_for(ask, "publication")

    def publish(self, name: str, nodes: Nodes, edges: Sequence[str] = ()) -> str:
        """Draws a pipeline and has it published."""
        pipeline = self.draw(name, nodes, edges)
        row = self.approve(pipeline)
        assert row["status"] == "published", row["problems"]
        return pipeline

    def ask_for_run(self, pipeline: str, **columns: Any) -> str:
        """Inserts a run's row."""
        row = {"pipeline_id": pipeline, **columns}
        return self.rows(self.client.table("runs").insert(row))[0]["id"]

    def run_row(self, run: str) -> dict[str, Any]:
        """A run's row as it is now."""
        [row] = self.rows(self.client.table("runs").select("*").eq("id", run))
        return row

    def ended(self, run: str, seconds: float = SECONDS) -> dict[str, Any]:
        """A run's row once it is final."""

        def ask() -> dict[str, Any] | None:
            row = self.run_row(run)
            return row if row["status"] in ("succeeded", "failed", "cancelled") else None

        return wait_for(ask, "end of the run", seconds)

    def node_running(self, run: str, node: str) -> dict[str, Any]:
        """A run's row once one of its nodes runs."""

        def ask() -> dict[str, Any] | None:
            row = self.run_row(run)
            return row if row["progress"].get(node, {}).get("status") == "running" else None

        return wait_for(ask, f"start of node {node!r}")

    def make_table(self, columns: str) -> str:
        """A table of people's rows, as one makes it in the SQL editor; returns its name."""
        table = new_name("t")
        with psycopg.connect(self.stack.variables["DATABASE_URL"]) as connection:
            connection.execute(
                f"create table {table} (owner uuid default auth.uid(), {columns});"
                f"alter table {table} enable row level security;"
                f"create policy own on {table} to authenticated"
                "  using (is_member(owner)) with check (is_member(owner));"
                f"grant select, insert, delete on {table} to authenticated;"
                "notify pgrst, 'reload schema'".encode()
            )
        wait_for(lambda: self._serves(table), f"table {table} over REST")
        return table

    def _serves(self, table: str) -> bool:
        # Before PostgREST has reloaded it answers a select, and 404 to an insert.
        key = self.stack.variables["SUPABASE_SERVICE_ROLE_KEY"]
        headers = {"apikey": key, "Authorization": f"Bearer {key}"}
        answer = httpx.get(f"{self.stack.url}/rest/v1/", headers=headers)
        return answer.is_success and f"/{table}" in answer.json()["paths"]


# After a restart of Postgres, some connections of the webserver are to the one that is gone.
@retry(stop=stop_after_attempt(5), wait=wait_fixed(0.5), reraise=True)
def graphql(stack: RunningStack, query: str, **variables: Any) -> dict[str, Any]:
    """Asks what the Dagster UI asks."""
    url = f"{stack.variables['CONSTELLATION_DAGSTER_URL']}/graphql"
    answer = httpx.post(url, json={"query": query, "variables": variables}, timeout=60).json()
    assert "errors" not in answer, answer["errors"][0]["message"][:300]
    return answer["data"]
