"""`constellation run`: what became of a run."""

import time
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from constellation_dagster.cli.tables import add_row
from constellation_dagster.domain.errors import ConstellationError

app = typer.Typer(no_args_is_help=True, help="Runs of pipelines.")

POLL_SECONDS = 0.5


class RunNotFound(ConstellationError):
    """There is no such run for this person."""


@app.command()
def show(
    run: Annotated[str, typer.Argument(help="The run's id, as `pipeline run` prints it.")],
    wait: Annotated[bool, typer.Option("--wait", help="Wait for its end.")] = False,
) -> None:
    """Show a run: its status, its nodes, and what went wrong."""
    from constellation_dagster.resources.person import person_client

    client = person_client()
    if wait:
        follow(client, run)
    else:
        _print(_read(client, run))


def follow(client: Any, run: str) -> None:
    """Waits for a run's end and shows it; leaves with 1 when it did not succeed."""
    from constellation_dagster.domain.states import FINAL_RUN_STATUSES

    while (row := _read(client, run))["status"] not in FINAL_RUN_STATUSES:
        time.sleep(POLL_SECONDS)
    _print(row)
    if row["status"] != "succeeded":
        raise typer.Exit(1)


def _read(client: Any, run: str) -> dict[str, Any]:
    from uuid import UUID

    from constellation_dagster.resources.rest import fetch

    try:
        UUID(run)
    except ValueError as error:
        raise RunNotFound(f"{run!r} is not the id of a run; `pipeline run` prints it.") from error
    rows = fetch(client.table("runs").select("*,pipelines(name)").eq("id", run))
    if not rows:
        raise RunNotFound(f"You have no run {run!r}.")
    return rows[0]


def _print(row: dict[str, Any]) -> None:
    console = Console(soft_wrap=True)
    version = "" if row["version"] is None else f", version {row['version']}"
    console.print(
        f"pipeline {row['pipelines']['name']!r}{version}: {row['status']}"
        + (f", Dagster run {row['dagster_run_id']}" if row["dagster_run_id"] else "")
    )
    table = Table("node", "status", "rows", "seconds", "error")
    entries = sorted(row["progress"].items(), key=lambda item: item[1].get("started_at") or "~")
    for node, entry in entries:
        rows = ", ".join(f"{port} {count}" for port, count in entry.get("rows", {}).items())
        error = entry.get("error") or ""
        add_row(table, node, entry["status"], rows, _seconds(entry), error)
    if entries:
        console.print(table)
    if row["error"]:
        console.print(row["error"]["message"], style="red", markup=False, highlight=False)


def _seconds(entry: dict[str, Any]) -> str:
    from datetime import datetime

    started, finished = entry.get("started_at"), entry.get("finished_at")
    if not (started and finished):
        return ""
    taken = datetime.fromisoformat(finished) - datetime.fromisoformat(started)
    return f"{taken.total_seconds():.2f}"
