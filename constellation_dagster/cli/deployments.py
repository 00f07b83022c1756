"""`constellation deployment`: what is deployed, how it does, and what is to become of it."""

import json
import time
from typing import Annotated, Any, Literal, overload

import typer
from rich.console import Console
from rich.table import Column, Table

from constellation_dagster.cli.tables import add_row
from constellation_dagster.domain.errors import ConstellationError

app = typer.Typer(no_args_is_help=True, help="Models that answer requests.")

Name = Annotated[str, typer.Argument(help="The deployment's name.")]
Wait = Annotated[bool, typer.Option("--wait", help="Wait until it is so, and say how it goes.")]

POLL_SECONDS = 0.3


class Mistake(ConstellationError):
    """What was asked for makes no sense."""


class DeploymentNotFound(ConstellationError):
    """There is no deployment of that name for this person."""


class DeploymentFailed(ConstellationError):
    """A deployment did not become what was asked for."""


@app.command("list")
def list_deployments() -> None:
    """List your deployments and how they do."""
    from constellation_dagster.resources.person import person_client
    from constellation_dagster.resources.rest import fetch

    rows = fetch(person_client().table("deployments").select("*").order("name"))
    table = Table(
        Column("name", no_wrap=True), "status", "package", "ready", "runtime", "canary", "url"
    )
    for row in rows:
        add_row(
            table,
            row["name"],
            row["status"],
            row["package"],
            _ready(row),
            row["runtime"],
            _canary(row),
            row["url"] or "",
        )
    Console().print(table)


@app.command()
def status(
    name: Name,
    as_json: Annotated[bool, typer.Option("--json", help="Print the row, for programs.")] = False,
) -> None:
    """Show a deployment: what answers, where requests go, and what went wrong."""
    from constellation_dagster.resources.person import person_client

    row = find(person_client(), name)
    if as_json:
        typer.echo(json.dumps(row, indent=2))
        return
    console = Console(soft_wrap=True, highlight=False)

    def say(text: str, style: str | None = None) -> None:
        console.print(text, markup=False, style=style)

    pending = "" if row["generation"] == row["observed_generation"] else ", a change is under way"
    say(f"{name}: {row['status']}{pending}")
    say(f"package   {row['package']}, generation {row['generation']}")
    say(f"url       {row['url'] or 'none yet'}")
    for part in row["observed"].get("traffic", ()):
        replicas = f"{part['replicas']} replica{'s' if part['replicas'] > 1 else ''}"
        say(f"traffic   {part['percent']} % to {part['package']} ({part['pool']}, {replicas})")
    replicas = row["observed"].get("replicas", ())
    if replicas:
        table = Table("replica", "state", "pool", "restarts", "reason")
        for replica in replicas:
            add_row(
                table,
                replica["id"],
                replica["state"],
                replica["pool"] or "",
                str(replica["restarts"]),
                replica["reason"].split("\n")[0],
            )
        console.print(table)
    if row["note"]:
        say(f"note      {row['note']}")
    if row["error"]:
        say(row["error"]["message"], style="red")


@app.command()
def logs(
    name: Name,
    lines: Annotated[int, typer.Option("--lines", min=1, help="So many of each replica.")] = 50,
) -> None:
    """Print what the replicas said last; they have to run on this machine."""
    from constellation_dagster.resources.person import person_client
    from constellation_dagster.runtimes.installation import open_runtimes
    from constellation_dagster.settings import get_settings

    row = find(person_client(), name)
    runtimes = open_runtimes(get_settings())
    names = {pool["runtime"] for pool in row["observed"].get("pools", ())} | {row["runtime"]}
    said = False
    for runtime in (runtimes[name] for name in sorted(names)):
        for replica in runtime.replicas(name):
            said = True
            typer.echo(f"== {replica.id}, {replica.state}")
            typer.echo(runtime.logs(replica.id, lines).rstrip("\n"))
    if not said:
        typer.echo(f"{name}: nothing of it runs on this machine", err=True)


@app.command()
def stop(name: Name, wait: Wait = False) -> None:
    """Remove all replicas; the deployment stays and can be started again."""
    _update(name, {"desired_state": "stopped"}, wait=wait)


@app.command()
def start(name: Name, wait: Wait = False) -> None:
    """Start a deployment that was stopped."""
    _update(name, {"desired_state": "running"}, wait=wait)


@app.command()
def restart(name: Name, wait: Wait = False) -> None:
    """Replace all replicas by new ones; try again what has failed."""
    _call("restart_deployment", name, wait=wait)


@app.command()
def rollback(name: Name, wait: Wait = False) -> None:
    """End the canary, or go back to what was healthy before."""
    _call("rollback_deployment", name, wait=wait)


@app.command()
def promote(name: Name, wait: Wait = False) -> None:
    """Make the canary's package the one that is deployed, without waiting for a verdict."""
    _call("promote_canary", name, wait=wait)


@app.command()
def delete(name: Name) -> None:
    """Take a deployment away, with its replicas, secrets and history."""
    from constellation_dagster.resources.person import person_client
    from constellation_dagster.resources.rest import fetch

    client = person_client()
    row = find(client, name)
    fetch(client.table("deployments").delete().eq("id", row["id"]))
    typer.echo(f"{name}: deleted; its replicas finish what they have accepted")


@overload
def find(client: Any, name: str) -> dict[str, Any]: ...
@overload
def find(client: Any, name: str, *, or_none: Literal[True]) -> dict[str, Any] | None: ...
def find(client: Any, name: str, *, or_none: bool = False) -> dict[str, Any] | None:
    """A person's deployment by its name.

    Raises:
        DeploymentNotFound: There is none, and `or_none` is not set.
    """
    from constellation_dagster.domain.suggestions import did_you_mean
    from constellation_dagster.resources.rest import fetch

    rows = fetch(client.table("deployments").select("*").eq("name", name))
    if rows or or_none:
        return rows[0] if rows else None
    names = sorted(row["name"] for row in fetch(client.table("deployments").select("name")))
    hint = did_you_mean(name, names, there_are="Your deployments are")
    none = "You have none yet: see `constellation deploy --help`."
    raise DeploymentNotFound(f"You have no deployment {name!r}. {hint or none}")


def follow(client: Any, name: str, generation: int) -> None:
    """Says how a deployment does until a generation has come to its end.

    Raises:
        DeploymentFailed: It did not become what was asked for; the message says why.
    """
    told = ""
    while True:
        row = find(client, name)
        now = f"{name}: {row['status']}{_counted(row)}"
        if now != told:
            typer.echo(now)
            told = now
        error: dict[str, Any] = row["error"] or {}
        if row["status"] == "failed" and error.get("generation", 0) >= generation:
            raise DeploymentFailed(f"{error['message']}\n{_what_answers(row)}")
        if error.get("code") == "canary_rolled_back" and error["generation"] > generation:
            raise DeploymentFailed(error["message"])
        if row["observed_generation"] >= generation and row["status"] in ("healthy", "stopped"):
            if row["status"] == "healthy":
                typer.echo(f"{name}: {row['url']}")
            return
        time.sleep(POLL_SECONDS)


def _update(name: str, columns: dict[str, Any], *, wait: bool) -> None:
    from constellation_dagster.resources.person import person_client
    from constellation_dagster.resources.rest import fetch

    client = person_client()
    row = find(client, name)
    fetch(client.table("deployments").update(columns).eq("id", row["id"]))
    _asked(client, name, wait=wait)


def _call(function: str, name: str, *, wait: bool) -> None:
    from constellation_dagster.resources.person import person_client
    from constellation_dagster.resources.rest import insert

    client = person_client()
    said = insert(client.rpc(function, {"deployment": find(client, name)["id"]}))
    if said:
        typer.echo(f"{name}: {said}")
    _asked(client, name, wait=wait)


def _asked(client: Any, name: str, *, wait: bool) -> None:
    row = find(client, name)
    if wait:
        follow(client, name, row["generation"])
    elif row["generation"] == row["observed_generation"]:
        typer.echo(f"{name}: it is so already, {row['status']}")
    else:
        typer.echo(f"{name}: asked for, generation {row['generation']}")


def _ready(row: dict[str, Any]) -> str:
    wanted = sum(pool["replicas"] for pool in row["observed"].get("pools", ()))
    replicas = row["observed"].get("replicas", ())
    return f"{sum(replica['state'] == 'ready' for replica in replicas)} of {wanted}"


def _what_answers(row: dict[str, Any]) -> str:
    """What is true of a deployment that has failed."""
    packages = [part["package"] for part in row["observed"].get("traffic", ())]
    return f"{', '.join(packages)} goes on answering." if packages else "Nothing answers."


def _counted(row: dict[str, Any]) -> str:
    return f", {_ready(row)} ready" if row["status"] in ("healthy", "degraded") else ""


def _canary(row: dict[str, Any]) -> str:
    return f"{row['canary']['package']}, {row['canary']['percent']} %" if row["canary"] else ""
