"""`constellation demo`: the main job, from rows to results, as a frontend would do it.

Everything below is plain supabase-py, and SQL where a person would use the SQL editor.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from rich.console import Console

from constellation_dagster.domain.errors import ConstellationError

if TYPE_CHECKING:
    from supabase import Client

EMAIL, PASSWORD = "demo@constellation.local", "anybody-may-know-it"

Nodes = Mapping[str, tuple[str, Mapping[str, Any]]]
Edges = Sequence[tuple[str, str]]

PIPELINE = "penguins"
NODES: Nodes = {
    "load": ("sample_data", {"name": "penguins"}),
    "impute": ("impute_missing", {}),
    "split": ("split_rows", {"test_fraction": 0.25, "stratify": "species", "seed": 7}),
    "train": (
        "train_classifier",
        {
            "target": "species",
            "features": ["bill_length_mm", "bill_depth_mm"],
            "algorithm": "random_forest",
        },
    ),
    "evaluate": ("evaluate_model", {}),
    "predict": ("predict", {}),
    "chart": (
        "chart",
        {"kind": "scatter", "x": "bill_length_mm", "y": "bill_depth_mm", "color": "species"},
    ),
    "save": ("write_parquet", {"url": "penguins_predicted.parquet"}),
    "store": ("write_table", {"name": "penguin_predictions", "mode": "replace"}),
}
EDGES: Edges = [
    ("load.table", "impute.table"),
    ("impute.table", "split.table"),
    ("impute.table", "chart.table"),
    ("split.train", "train.table"),
    ("split.test", "evaluate.table"),
    ("split.test", "predict.table"),
    ("train.model", "evaluate.model"),
    ("train.model", "predict.model"),
    ("predict.table", "save.table"),
    ("predict.table", "store.table"),
]

BROKEN = "penguins_broken"
BROKEN_NODES: Nodes = {
    "load": ("sampel_data", {"name": "penguins"}),
    "split": ("split_rows", {"test_fractoin": 0.25}),
    "train": ("train_classifier", {"target": "species", "algorithm": "oracle"}),
    "evaluate": ("evaluate_model", {}),
}
BROKEN_EDGES: Edges = [
    ("load.table", "split.table"),
    ("split.trian", "train.table"),
    ("split.test", "evaluate.model"),
]

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

WAIT_SECONDS = 180.0
console = Console(highlight=False, soft_wrap=True)


class DemoFailed(ConstellationError):
    """The demo did not come to its end."""


def demo() -> None:
    """Show the main job on real data; needs a running stack."""
    from constellation_dagster.domain.registry import load_registry
    from constellation_dagster.settings import get_settings

    began = time.monotonic()
    settings = get_settings()
    client = _sign_in(*settings.require_supabase())
    _step("blocks", "the library publishes itself as rows")
    count = len(load_registry())
    _wait_for(lambda: _blocks(client) >= count, "the blocks did not appear in Supabase")
    console.print(f"  {count} blocks in table [bold]blocks[/]")

    _step("pipeline", f"{len(NODES)} nodes and {len(EDGES)} edges go in as rows")
    _create_results_table(settings.require_database())
    pipeline = _draw(client, PIPELINE, NODES, EDGES)
    version = client.rpc("approve_pipeline", {"pipeline": pipeline}).execute().data
    row = _outcome(client, pipeline)
    if row["status"] != "published":
        raise DemoFailed(f"pipeline {PIPELINE!r} is {row['status']}: {row['problems']}")
    url = settings.require_dagster_webserver()
    console.print(f"  version {version} is published: {url}/asset-groups")

    _step("run", "a row in table runs asks for it")
    run = _run(client, pipeline)
    stored = client.table("penguin_predictions").select("prediction", count="exact").execute()  # pyright: ignore[reportArgumentType]

    _step("mistakes", f"pipeline {BROKEN!r} is full of them, and its row tells them all")
    broken = _draw(client, BROKEN, BROKEN_NODES, BROKEN_EDGES)
    client.rpc("approve_pipeline", {"pipeline": broken}).execute()
    _print_problems(_outcome(client, broken)["problems"])

    _step("done", f"in {time.monotonic() - began:.1f} s")
    _print_summary(run, stored.count or 0, url, settings.file_roots[0])


def _sign_in(url: str, key: str) -> "Client":
    from supabase import create_client
    from supabase_auth.errors import AuthApiError

    client = create_client(url, key)
    credentials: Any = {"email": EMAIL, "password": PASSWORD}
    try:
        client.auth.sign_up(credentials)
    except AuthApiError:  # the demo ran before
        client.auth.sign_in_with_password(credentials)
    return client


def _blocks(client: "Client") -> int:
    return len(client.table("blocks").select("id").execute().data)


def _create_results_table(database_url: str) -> None:
    import psycopg

    with psycopg.connect(database_url) as connection:
        connection.execute(RESULTS_TABLE)


def _draw(client: "Client", name: str, nodes: Nodes, edges: Edges) -> str:
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


def _outcome(client: "Client", pipeline: str) -> dict[str, Any]:
    """The pipeline's row once it is published or put aside."""

    def settled() -> dict[str, Any] | None:
        query = client.table("pipelines").select("status,version,problems").eq("id", pipeline)
        row = cast("Any", query.execute().data)[0]
        return None if row["status"] == "approved" else row

    return _wait_for(settled, "nothing was published")


def _run(client: "Client", pipeline: str) -> dict[str, Any]:
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

    row = _wait_for(ended, "the run did not end")
    if row["status"] != "succeeded":
        raise DemoFailed(f"the run {row['status']}: {row['error']}")
    return row


def _tell(node: str, entry: Mapping[str, Any]) -> str:
    facts = [f"{count} rows ({port})" for port, count in entry.get("rows", {}).items()]
    for metrics in entry.get("metrics", {}).values():
        facts += [f"{name} {value:.3g}" for name, value in metrics.items()]
    mark = "[green]✓[/]" if entry["status"] == "succeeded" else "[red]✗[/]"
    return f"{mark} {node:<9} {', '.join(facts) or entry.get('error', '')}"


def _print_problems(problems: Sequence[Mapping[str, Any]]) -> None:
    from constellation_dagster.domain.errors import Problem

    for problem in problems:
        console.print("  •", str(Problem.model_validate(problem)), markup=False)


def _print_summary(run: Mapping[str, Any], stored: int, url: str, files: Path) -> None:
    metrics = run["progress"]["evaluate"]["metrics"]["metrics"]
    facts = {
        "accuracy on rows it has not seen": f"{metrics['accuracy']:.3f}",
        "predictions as the person's own rows": f"{stored} in table penguin_predictions",
        "predictions as a file": f"{files}/penguins_predicted.parquet",
        "assets and lineage": f"{url}/asset-groups",
        "the run": f"{url}/runs/{run['dagster_run_id']}",
        "what else there is": "constellation --help",
        "to stop the stack": "make down",
    }
    for what, where in facts.items():
        console.print(f"  {what:<37} [bold]{where}[/]")


def _step(name: str, what: str) -> None:
    console.print(f"[bold cyan]{name}[/] {what}")


def _wait_for(ask: Callable[[], Any], otherwise: str) -> Any:
    deadline = time.monotonic() + WAIT_SECONDS
    while not (answer := ask()):
        if time.monotonic() > deadline:
            raise DemoFailed(
                f"{otherwise} within {WAIT_SECONDS:.0f} s; see `constellation status`."
            )
        time.sleep(0.2)
    return answer
