"""`constellation draft`: look at what the agent proposes, and decide on it."""

import time
from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from constellation_dagster.domain.errors import ConstellationError

if TYPE_CHECKING:
    from supabase import Client

app = typer.Typer(no_args_is_help=True, help="Pipelines that the agent proposes.")

Draft = Annotated[str, typer.Argument(help="The draft's id, as `chat` and `draft list` print it.")]

COLUMNS = 8
POLL_SECONDS = 0.5
PUBLISH_SECONDS = 120.0


class NotAnId(ConstellationError):
    """Something is not the id of a row."""


class NotPublished(ConstellationError):
    """An approved draft was not published."""


class Status(StrEnum):
    """Where a draft can stand."""

    READY = "ready"
    INCOMPLETE = "incomplete"
    APPROVED = "approved"
    REJECTED = "rejected"


# A list is to be looked over; `show` has all of it.
SAID_CHARACTERS = 60


@app.command("list")
def list_drafts(
    status: Annotated[Status | None, typer.Option(help="Only those that stand so.")] = None,
) -> None:
    """List your drafts and where each stands, the newest first."""
    from rich.console import Console
    from rich.table import Column, Table

    from constellation_dagster.cli.tables import add_row
    from constellation_dagster.domain.markdown import cut
    from constellation_dagster.resources.draft_rows import DraftRows
    from constellation_dagster.resources.person import person_client

    drafts = DraftRows(person_client()).list(status.value if status else None)
    table = Table(
        Column("draft", no_wrap=True), Column("pipeline", overflow="fold"), "status", "open", "said"
    )
    for draft in drafts:
        count = str(len(draft.questions) + len(draft.problems) or "")
        said = cut(" ".join(draft.provenance.request.split()), SAID_CHARACTERS)
        add_row(table, str(draft.id), draft.name, draft.status, count, said)
    Console().print(table)


@app.command()
def show(draft: Draft) -> None:
    """Show a draft: its pipeline, what it does, and what is open."""
    from constellation_dagster.domain.draft_text import draft_yaml
    from constellation_dagster.resources.draft_rows import DraftRows
    from constellation_dagster.resources.person import person_client

    client = person_client()
    row = DraftRows(client).get(as_id(draft, "draft"))
    reason = f": {row.reason}" if row.status == "rejected" and row.reason else ""
    typer.echo(f"{row.name}: {row.status}{reason}, by the {row.provenance.planner} planner\n")
    for text in (row.explanation, draft_yaml(row.spec), row.diagram):
        if text.strip():
            typer.echo(f"{text.rstrip()}\n")
    if row.sample is not None:
        _print_sample(row.sample)
    print_open(client, row.id)


@app.command()
def diff(draft: Draft) -> None:
    """Show what a draft changes in its pipeline; all of it, when it is a new one."""
    from constellation_dagster.domain.draft_text import draft_changes
    from constellation_dagster.resources.draft_rows import DraftRows
    from constellation_dagster.resources.person import person_client
    from constellation_dagster.resources.rest import fetch

    client = person_client()
    row = DraftRows(client).get(as_id(draft, "draft"))
    [base] = fetch(client.table("drafts").select("base").eq("id", str(row.id)))
    typer.echo(draft_changes(base["base"], row.spec) or "It changes nothing.")


@app.command()
def approve(
    draft: Draft,
    name: Annotated[
        str | None, typer.Option(help="The pipeline's name, if not the draft's.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until it is published.")] = False,
) -> None:
    """Make a draft a pipeline, and have it published."""
    from constellation_dagster.resources.draft_rows import DraftRows
    from constellation_dagster.resources.person import person_client

    client = person_client()
    pipeline = DraftRows(client).approve(as_id(draft, "draft"), name)
    row = _wait_published(client, pipeline) if wait else _pipeline(client, pipeline)
    typer.echo(f"{row['name']}: {row['status']}; run it by `constellation pipeline run`.")


@app.command()
def reject(
    draft: Draft,
    reason: Annotated[
        str | None, typer.Option(help="Why; the agent reads it with your next message.")
    ] = None,
) -> None:
    """Turn a draft down."""
    from constellation_dagster.resources.draft_rows import DraftRows
    from constellation_dagster.resources.person import person_client

    DraftRows(person_client()).reject(known := as_id(draft, "draft"), reason)
    typer.echo(f"Draft {known} is rejected.")


def as_id(text: str, what: str) -> UUID:
    """An id that somebody typed.

    Raises:
        NotAnId: It is none.
    """
    try:
        return UUID(text)
    except ValueError as error:
        hint = "See `constellation draft list`." if what == "draft" else "`chat` prints it."
        raise NotAnId(f"{text!r} is not the id of a {what}. {hint}") from error


def print_open(client: "Client", draft: UUID) -> None:
    """Says what is open of a draft, and what to do next."""
    from constellation_dagster.resources.draft_rows import DraftRows

    row = DraftRows(client).get(draft)
    for question in row.questions:
        options = f" ({', '.join(question.options)})" if question.options else ""
        typer.echo(f"? {question.text}{options}")
    for problem in row.problems:
        typer.echo(f"! {problem}")
    if row.status == "ready":
        typer.echo(f"Approve it with `constellation draft approve {row.id}`.", err=True)


def _print_sample(sample: Mapping[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    from constellation_dagster.cli.tables import add_row
    from constellation_dagster.domain.samples import SampleResult

    result = SampleResult.model_validate(sample)
    typer.echo(f"On a sample of {result.rows} rows it {'runs' if result.ok else 'fails'}:\n")
    for name, output in result.outputs.items():
        typer.echo(f"{name}: {output.summary}")
        shown = output.columns[:COLUMNS]
        if shown:
            table = Table(*(Column(Text(f"{c.name}\n{c.type}"), overflow="fold") for c in shown))
            for row in output.head:
                add_row(table, *("" if cell is None else str(cell) for cell in row[:COLUMNS]))
            Console().print(table)
        if more := len(output.columns) - len(shown) + output.more_columns:
            typer.echo(f"and {more} more columns")
    for problem in result.problems:
        typer.echo(f"! {problem}")
    for skipped in result.skipped:
        typer.echo(f"- {skipped.node} was not run. {skipped.why}")
    typer.echo("")


def _pipeline(client: "Client", pipeline: UUID) -> dict[str, Any]:
    from constellation_dagster.resources.rest import fetch

    query = client.table("pipelines").select("name,status,problems")
    return fetch(query.eq("id", str(pipeline)))[0]


def _wait_published(client: "Client", pipeline: UUID) -> dict[str, Any]:
    from constellation_dagster.domain.errors import Problem

    deadline = time.monotonic() + PUBLISH_SECONDS
    while (row := _pipeline(client, pipeline))["status"] == "approved":
        if time.monotonic() > deadline:
            raise NotPublished(
                f"{row['name']} is not published after {PUBLISH_SECONDS:.0f} s. "
                "See `constellation status` and the runs of publish_pipelines in the Dagster UI."
            )
        time.sleep(POLL_SECONDS)
    if row["status"] == "invalid":
        problems = (str(Problem.model_validate(problem)) for problem in row["problems"])
        raise NotPublished("\n".join(problems))
    return row
