"""`constellation demo`: the main job, from rows to a model that answers, as a frontend would do it.

Everything below is plain supabase-py and HTTP, and SQL where a person would use the SQL editor.
"""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from constellation_dagster.cli.demo_agent import talk
from constellation_dagster.cli.demo_client import (
    DemoFailed,
    console,
    draw,
    outcome,
    print_problems,
    publish,
    run,
    sign_in,
    step,
    wait_for,
)
from constellation_dagster.cli.demo_pipelines import (
    BROKEN,
    BROKEN_EDGES,
    BROKEN_NODES,
    DEPLOYMENT,
    EDGES,
    NODES,
    PIPELINE,
    SCORING,
    SCORING_EDGES,
    SCORING_NODES,
)

if TYPE_CHECKING:
    from supabase import Client

    from constellation_dagster.settings import Settings

RESULTS_TABLE = """
create table if not exists penguin_predictions (
  id bigint generated always as identity primary key,
  owner uuid not null default auth.uid(),
  species text, island text, bill_length_mm float8, bill_depth_mm float8,
  flipper_length_mm float8, body_mass_g float8, sex text, year integer, prediction text
);
alter table penguin_predictions enable row level security;
drop policy if exists own on penguin_predictions;
create policy own on penguin_predictions to authenticated
  using (is_member(owner)) with check (is_member(owner));
grant select, insert, delete on penguin_predictions to authenticated;
notify pgrst, 'reload schema';
"""
REQUEST: Mapping[str, Any] = {
    "inputs": [
        {"name": "bill_length_mm", "datatype": "FP64", "shape": [1], "data": [50.0]},
        {"name": "bill_depth_mm", "datatype": "FP64", "shape": [1], "data": [15.3]},
    ]
}


def demo() -> None:
    """Show the main job on real data; needs a running stack."""
    from constellation_dagster.domain.registry import load_registry
    from constellation_dagster.settings import get_settings

    began = time.monotonic()
    settings = get_settings()
    client = sign_in(*settings.require_supabase())
    step("blocks", "the library publishes itself as rows")
    count = len(load_registry())
    wait_for(lambda: _blocks(client) >= count, "the blocks did not appear in Supabase")
    console.print(f"  {count} blocks in table [bold]blocks[/]")

    step("pipeline", f"{len(NODES)} nodes and {len(EDGES)} edges go in as rows")
    _create_results_table(settings.require_database())
    pipeline, version = publish(client, PIPELINE, NODES, EDGES)
    url = settings.require_dagster_webserver()
    console.print(f"  version {version} is published: {url}/asset-groups")

    step("run", "a row in table runs asks for it")
    trained = run(client, pipeline)

    step("model", "the run has registered it; a row in table deployments makes it answer")
    _deploy(client)
    _ask(settings)

    step("score", "a second pipeline sends its rows to the endpoint")
    scoring, _ = publish(client, SCORING, SCORING_NODES, SCORING_EDGES)
    scored = run(client, scoring)

    step("mistakes", f"pipeline {BROKEN!r} is full of them, and its row tells them all")
    broken = draw(client, BROKEN, BROKEN_NODES, BROKEN_EDGES)
    client.rpc("approve_pipeline", {"pipeline": broken}).execute()
    print_problems(outcome(client, broken)["problems"])

    talk(client, url)

    step("done", f"in {time.monotonic() - began:.1f} s")
    _print_summary(client, trained, scored, url, settings.file_roots[0])


def _blocks(client: "Client") -> int:
    return len(cast("Any", client.table("blocks").select("id").execute().data))


def _create_results_table(database_url: str) -> None:
    import psycopg

    with psycopg.connect(database_url) as connection:
        connection.execute(RESULTS_TABLE)


def _deploy(client: "Client") -> None:
    """Asks for two replicas of the champion and waits until they answer."""
    from constellation_dagster.images.engine import engine_can_build
    from constellation_dagster.settings import get_settings

    package = _package(client)
    console.print(f"  package {package['name']}@{package['version']}, {package['digest'][:19]}…")
    can_build = engine_can_build(get_settings().base_image, console.print)
    runtime = "docker" if can_build else "process"
    row = {
        "name": DEPLOYMENT,
        "package": f"{package['name']}@champion",
        "replicas": 2,
        "runtime": runtime,
    }
    began = time.monotonic()
    if not _deployment(client):
        client.table("deployments").insert(row).execute()

    def settled() -> dict[str, Any] | None:
        row = _deployment(client)
        return row if row and row["status"] in ("healthy", "failed") else None

    ended = wait_for(settled, "the deployment did not become healthy")
    if ended["status"] != "healthy":
        raise DemoFailed(f"deployment {DEPLOYMENT!r} failed: {ended['error']}")
    seconds = time.monotonic() - began
    console.print(f"  2 replicas ({ended['runtime']}) answer after {seconds:.1f} s: {ended['url']}")


def _package(client: "Client") -> dict[str, Any]:
    def packaged() -> dict[str, Any] | None:
        query = (
            client.table("model_packages")
            .select("*")
            .eq("name", "penguins")
            .order("created_at", desc=True)
        )
        rows = cast("Any", query.in_("status", ["packaged", "imaged"]).execute().data)
        return rows[0] if rows else None

    return wait_for(packaged, "no package was registered")


def _deployment(client: "Client") -> dict[str, Any] | None:
    rows = cast(
        "Any", client.table("deployments").select("*").eq("name", DEPLOYMENT).execute().data
    )
    return rows[0] if rows else None


def _ask(settings: "Settings") -> None:
    """One request, as any client of the Open Inference Protocol sends it."""
    import httpx

    url = f"{settings.require_endpoints()}/{DEPLOYMENT}/v2/models/{DEPLOYMENT}/infer"
    _, key = settings.require_supabase()
    answer = httpx.post(url, json=REQUEST, headers={"apikey": key}, timeout=30)
    if answer.is_error:
        raise DemoFailed(f"the endpoint says {answer.status_code}: {answer.text}")
    species = answer.json()["outputs"][0]["data"][0]
    asked = ", ".join(f"{tensor['name']} {tensor['data'][0]}" for tensor in REQUEST["inputs"])
    console.print(
        f"  {asked} → [bold]{species}[/], in {answer.elapsed.total_seconds() * 1e3:.1f} ms"
    )


def _print_summary(
    client: "Client", trained: Mapping[str, Any], scored: Mapping[str, Any], url: str, files: Path
) -> None:
    metrics = trained["progress"]["evaluate"]["metrics"]["metrics"]
    stored = client.table("penguin_predictions").select("prediction", count="exact").execute()  # pyright: ignore[reportArgumentType]
    rows = {node: scored["progress"][node]["rows"]["table"] for node in ("score", "wrong")}
    facts = {
        "accuracy on rows it has not seen": f"{metrics['accuracy']:.3f}",
        "predictions as the person's own rows": f"{stored.count} in table penguin_predictions",
        "predictions as a file": f"{files}/penguins_predicted.parquet",
        "scored by the endpoint": f"{rows['score']} rows, {rows['wrong']} of them wrong",
        "assets and lineage": f"{url}/asset-groups",
        "the run": f"{url}/runs/{trained['dagster_run_id']}",
        "the endpoint": f"constellation deployment status {DEPLOYMENT}",
        "what else there is": "constellation --help",
        "to stop the stack": "make down",
    }
    for what, where in facts.items():
        console.print(f"  {what:<37} [bold]{where}[/]")
