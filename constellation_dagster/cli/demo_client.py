"""What the demo does with rows, in plain supabase-py, and how it tells of it."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from rich.console import Console

from constellation_dagster.cli.demo_pipelines import Edges, Nodes
from constellation_dagster.domain.errors import ConstellationError

if TYPE_CHECKING:
    from supabase import Client

EMAIL, PASSWORD = "demo@constellation.local", "anybody-may-know-it"
WAIT_SECONDS = 180.0
console = Console(highlight=False, soft_wrap=True)


class DemoFailed(ConstellationError):
    """The demo did not come to its end."""


def sign_in(url: str, key: str) -> "Client":
    """A client of the demo's person."""
    from supabase import create_client
    from supabase_auth.errors import AuthApiError

    client = create_client(url, key)
    credentials: Any = {"email": EMAIL, "password": PASSWORD}
    try:
        client.auth.sign_up(credentials)
    except AuthApiError:  # the demo ran before
        client.auth.sign_in_with_password(credentials)
    return client


def draw(client: "Client", name: str, nodes: Nodes, edges: Edges) -> str:
    """Inserts the rows of a pipeline, unless an earlier demo did."""
    found = cast("Any", client.table("pipelines").select("id").eq("name", name).execute().data)
    if found:
        return found[0]["id"]
    inserted = cast("Any", client.table("pipelines").insert({"name": name}).execute().data)
    pipeline = inserted[0]["id"]
    rows = [
        {
            "pipeline_id": pipeline,
            "node": node,
            "block": block,
            "config": dict(config),
        }
        for node, (block, config) in nodes.items()
    ]
    client.table("nodes").insert(rows).execute()
    client.table("edges").insert(
        [{"pipeline_id": pipeline, "source": source, "target": target} for source, target in edges]
    ).execute()
    return pipeline


def outcome(client: "Client", pipeline: str) -> dict[str, Any]:
    """The pipeline's row once it is published or put aside."""

    def settled() -> dict[str, Any] | None:
        query = client.table("pipelines").select("status,version,problems").eq("id", pipeline)
        row = cast("Any", query.execute().data)[0]
        return None if row["status"] == "approved" else row

    return wait_for(settled, "nothing was published")


def run(client: "Client", pipeline: str) -> dict[str, Any]:
    """Asks for a run and tells of its nodes as they finish."""
    inserted = cast("Any", client.table("runs").insert({"pipeline_id": pipeline}).execute().data)
    run_id = inserted[0]["id"]
    told: set[str] = set()

    def ended() -> dict[str, Any] | None:
        row = cast("Any", client.table("runs").select("*").eq("id", run_id).execute().data)[0]
        done = {n: e for n, e in row["progress"].items() if e["status"] != "running"}
        for node in sorted(done.keys() - told, key=lambda node: done[node]["finished_at"]):
            console.print(f"  {_tell(node, done[node])}")
            told.add(node)
        return row if row["status"] in ("succeeded", "failed", "cancelled") else None

    row = wait_for(ended, "the run did not end")
    if row["status"] != "succeeded":
        raise DemoFailed(f"the run {row['status']}: {row['error']}")
    return row


def _tell(node: str, entry: Mapping[str, Any]) -> str:
    facts = [f"{count} rows ({port})" for port, count in entry.get("rows", {}).items()]
    for metrics in entry.get("metrics", {}).values():
        facts += [f"{name} {value:.3g}" for name, value in metrics.items()]
    mark = "[green]✓[/]" if entry["status"] == "succeeded" else "[red]✗[/]"
    return f"{mark} {node:<9} {', '.join(facts) or entry.get('error', '')}"


def publish(client: "Client", name: str, nodes: Nodes, edges: Edges) -> tuple[str, int]:
    """Draws and approves a pipeline and waits until it is published; its id and version."""
    pipeline = draw(client, name, nodes, edges)
    client.rpc("approve_pipeline", {"pipeline": pipeline}).execute()
    row = outcome(client, pipeline)
    if row["status"] != "published":
        raise DemoFailed(f"pipeline {name!r} is {row['status']}: {row['problems']}")
    return pipeline, row["version"]


def print_problems(problems: Sequence[Mapping[str, Any]]) -> None:
    """Tells what is wrong with a pipeline."""
    from constellation_dagster.domain.errors import Problem

    for problem in problems:
        console.print("  •", str(Problem.model_validate(problem)), markup=False)


def step(name: str, what: str) -> None:
    """Tells what comes now."""
    console.print(f"[bold cyan]{name}[/] {what}")


def wait_for(ask: Callable[[], Any], otherwise: str) -> Any:
    """Asks until there is an answer; `otherwise` says what is missing without one."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not (answer := ask()):
        if time.monotonic() > deadline:
            raise DemoFailed(
                f"{otherwise} within {WAIT_SECONDS:.0f} s; see `constellation status`."
            )
        time.sleep(0.2)
    return answer
