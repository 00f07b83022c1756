"""`constellation pipeline`: check, apply, run, export and list pipelines."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Column, Table

from constellation_dagster.cli.tables import add_row
from constellation_dagster.domain.errors import ConstellationError

if TYPE_CHECKING:
    from constellation_dagster.domain.schemas import PipelineCreateSchema

app = typer.Typer(no_args_is_help=True, help="Pipelines: typed blocks joined by edges.")

Files = Annotated[list[Path], typer.Argument(help="YAML or JSON files, one pipeline each.")]
Name = Annotated[str, typer.Argument(help="The pipeline's name.")]
Wait = Annotated[bool, typer.Option("--wait", help="Wait for the end.")]

POLL_SECONDS = 0.5
PUBLISH_SECONDS = 120.0


class Unreadable(ConstellationError):
    """A file is not there, or holds no pipeline."""


class NotFound(ConstellationError):
    """There is no row of that name for this person."""


class NotPublished(ConstellationError):
    """A pipeline was not published."""


@app.command()
def check(files: Files) -> None:
    """Compile pipelines without saving anything, and say all that is wrong with them."""
    from constellation_dagster.domain.compiler import compile_pipeline
    from constellation_dagster.domain.registry import load_registry

    registry, wrong = load_registry(), ""
    for file in files:
        try:
            plan = compile_pipeline(_load(file), registry)
        except ConstellationError as error:
            wrong += _told(file, error)
        else:
            name, count = plan.pipeline.name, len(plan.nodes)
            typer.echo(f"{file}: {name!r} is right, {count} nodes, {plan.digest}")
    if wrong:
        typer.echo(wrong, nl=False)
        raise typer.Exit(1)


@app.command()
def apply(
    files: Files,
    draft: Annotated[bool, typer.Option("--draft", help="Save only; do not publish.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until it is published.")] = False,
) -> None:
    """Save pipelines and have them published; an unchanged one stays as it is."""
    from constellation_dagster.domain.schemas import pipeline_digest
    from constellation_dagster.resources.person import person_client
    from constellation_dagster.resources.rest import fetch

    specs = _load_all(files)
    client = person_client()
    for spec in specs:
        saved = fetch(client.rpc("save_pipeline", {"spec": spec.model_dump(mode="json")}))
        typer.echo(f"{spec.name}: saved, {pipeline_digest(spec)}")
        if draft:
            continue
        version = fetch(client.rpc("approve_pipeline", {"pipeline": saved}))
        if wait:
            _wait_published(client, saved, spec.name, version)
        status = _version(client, saved, version)["status"]
        typer.echo(f"{spec.name}: version {version} is {status}")


@app.command()
def run(
    name: Name,
    node: Annotated[
        list[str] | None, typer.Option("--node", help="Run this node only; may be repeated.")
    ] = None,
    wait: Wait = False,
) -> None:
    """Ask for a run by inserting a row; prints the row's id."""
    from constellation_dagster.cli.runs import follow
    from constellation_dagster.resources.person import person_client
    from constellation_dagster.resources.rest import insert

    client = person_client()
    pipeline = _find(client, name)
    row = {"pipeline_id": pipeline["id"]} | ({"nodes_selected": node} if node else {})
    run_id = insert(client.table("runs").insert(row))[0]["id"]
    typer.echo(run_id)
    if pipeline["version"] is None:
        typer.echo(f"{name}: not published yet, the run waits until it is.", err=True)
    if wait:
        follow(client, run_id)


@app.command()
def export(name: Name) -> None:
    """Print a pipeline as YAML; applied again it is the same pipeline."""
    from constellation_dagster.domain.pipeline_yaml import dump_yaml
    from constellation_dagster.domain.schemas import parse_pipeline
    from constellation_dagster.resources.person import person_client
    from constellation_dagster.resources.rest import fetch

    client = person_client()
    spec = fetch(client.rpc("pipeline_spec", {"pipeline": _find(client, name)["id"]}))
    typer.echo(dump_yaml(parse_pipeline(spec)), nl=False)


@app.command("list")
def list_pipelines() -> None:
    """List your pipelines and where each stands."""
    from constellation_dagster.resources.person import person_client
    from constellation_dagster.resources.rest import fetch

    rows = fetch(person_client().table("pipelines").select("*").order("name"))
    table = Table(Column("name", no_wrap=True), "status", "version", "problems", "description")
    for row in rows:
        version = "" if row["version"] is None else str(row["version"])
        problems = str(len(row["problems"]) or "")
        add_row(table, row["name"], row["status"], version, problems, row["description"])
    Console().print(table)


def _load_all(files: list[Path]) -> "list[PipelineCreateSchema]":
    """Reads all files before anything is done with one of them."""
    specs: list[PipelineCreateSchema] = []
    wrong = ""
    for file in files:
        try:
            specs.append(_load(file))
        except ConstellationError as error:
            wrong += _told(file, error)
    if wrong:
        raise Unreadable(f"nothing was saved.\n{wrong.rstrip()}")
    return specs


def _load(file: Path) -> "PipelineCreateSchema":
    from constellation_dagster.domain.pipeline_yaml import load_yaml

    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise Unreadable(f"{error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise Unreadable("It is not a UTF-8 text file.") from error
    return load_yaml(text)


def _told(file: Path, error: ConstellationError) -> str:
    """All that is wrong with a file, a line each."""
    lines = str(error).splitlines()
    return "".join(f"{line}\n" for line in [f"{file}:", *(f"  {line}" for line in lines)])


def _find(client: Any, name: str) -> dict[str, Any]:
    from constellation_dagster.domain.suggestions import did_you_mean
    from constellation_dagster.resources.rest import fetch

    rows = fetch(client.table("pipelines").select("id,name,version"))
    found = next((row for row in rows if row["name"] == name), None)
    if found is None:
        names = sorted(row["name"] for row in rows)
        hint = did_you_mean(name, names, there_are="Your pipelines are")
        raise NotFound(
            f"You have no pipeline {name!r}. {hint or 'You have none yet: see `constellation pipeline apply --help`.'}"
        )
    return found


def _version(client: Any, pipeline: str, version: int) -> dict[str, Any]:
    from constellation_dagster.resources.rest import fetch

    query = client.table("pipeline_versions").select("status,problems")
    return fetch(query.eq("pipeline_id", pipeline).eq("version", version))[0]


def _wait_published(client: Any, pipeline: str, name: str, version: int) -> None:
    deadline = time.monotonic() + PUBLISH_SECONDS
    while time.monotonic() < deadline:
        row = _version(client, pipeline, version)
        if row["status"] in ("published", "superseded"):
            return
        if row["status"] == "invalid":
            raise NotPublished("\n".join(_problem(problem) for problem in row["problems"]))
        time.sleep(POLL_SECONDS)
    raise NotPublished(
        f"{name}: version {version} is not published after {PUBLISH_SECONDS:.0f} s. "
        "See `constellation status` and the runs of publish_pipelines in the Dagster UI."
    )


def _problem(row: dict[str, Any]) -> str:
    from constellation_dagster.domain.errors import Problem

    return str(Problem.model_validate(row))
