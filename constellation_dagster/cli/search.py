"""`constellation search`: blocks, pipelines, deployments and tables by what they do."""

import json
from enum import StrEnum
from typing import Annotated

import typer


class SearchKind(StrEnum):
    """What can be searched for."""

    BLOCK = "block"
    PIPELINE = "pipeline"
    DEPLOYMENT = "deployment"
    TABLE = "table"


def search(
    query: Annotated[str, typer.Argument(help='What it does, such as "drop incomplete rows".')],
    kind: Annotated[
        list[SearchKind] | None, typer.Option("--kind", help="Only these; may be repeated.")
    ] = None,
    limit: Annotated[int, typer.Option(help="How many to show at most.", min=1, max=100)] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Search blocks, and your pipelines and deployments, by words and by meaning."""
    from rich.console import Console
    from rich.table import Column, Table

    from constellation_dagster.cli.tables import add_row
    from constellation_dagster.resources.person import person_client
    from constellation_dagster.resources.search import Kind, SearchRows

    kinds: list[Kind] = [item.value for item in kind or []]
    found = SearchRows(person_client()).search(query, kinds, limit)
    if as_json:
        typer.echo(json.dumps([item.model_dump(mode="json") for item in found], indent=2))
        return
    if not found:
        typer.echo(
            "Nothing found. A new stack knows its blocks a minute after its start.", err=True
        )
        return
    table = Table(Column("Name", no_wrap=True), "Kind", "What it does", box=None)
    for item in found:
        add_row(table, item.name, item.kind, item.content.split(". ")[0])
    Console().print(table)
