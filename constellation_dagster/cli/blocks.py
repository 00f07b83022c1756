"""`constellation block`: what blocks there are, and how each is used."""

import json
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

if TYPE_CHECKING:
    from constellation_dagster.domain.ports import Port
    from constellation_dagster.domain.registry import AnyBlock

app = typer.Typer(help="The blocks that pipelines are made of.", no_args_is_help=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


@app.command("list")
def list_blocks(as_json: AsJson = False) -> None:
    """List all blocks that are installed."""
    from rich.console import Console
    from rich.table import Column, Table

    from constellation_dagster.cli.tables import add_row
    from constellation_dagster.domain.registry import load_registry

    registry = load_registry()
    if as_json:
        typer.echo(json.dumps([_described(block) for block in registry], indent=2))
    else:
        table = Table(
            Column("Block", no_wrap=True), "Kind", "Takes", "Returns", "What it does", box=None
        )
        for block in registry:
            takes, returns = _ports(block.inputs), _ports(block.outputs)
            add_row(table, block.ref, block.kind, takes, returns, block.summary)
        Console().print(table)
    for failure in registry.failures:
        typer.echo(f"Warning: {failure}", err=True)


@app.command("show")
def show_block(
    name: Annotated[str, typer.Argument(help="The block, such as read_csv or read_csv@1.")],
    as_json: AsJson = False,
) -> None:
    """Show a block's ports, configuration and documentation."""
    from rich.console import Console
    from rich.markdown import Markdown
    from rich.table import Table

    from constellation_dagster.cli.tables import add_row
    from constellation_dagster.domain.registry import load_registry

    block = load_registry().get(name)
    if as_json:
        typer.echo(json.dumps(_described(block), indent=2))
        return
    console = Console()
    console.print(f"[bold]{block.ref}[/bold]  ({block.kind})")
    ports = Table("Port", "Type", "", "", box=None)
    for port in block.inputs:
        way = "in" if port.required else "in, optional"
        add_row(ports, port.name, port.type_name, way, port.description)
    for port in block.outputs:
        add_row(ports, port.name, port.type_name, "out", port.description)
    console.print(ports)
    if properties := _properties(block):
        required = cast("list[str]", block.config_schema.get("required", []))
        settings = Table("Config", "Value", "Default", "", box=None)
        for key, schema in properties.items():
            default = "needed" if key in required else json.dumps(schema.get("default"))
            add_row(settings, key, _value(schema), default, str(schema.get("description", "")))
        console.print(settings)
    if block.requirements:
        console.print(f"Needs the Python packages {', '.join(block.requirements)}.")
    console.print()
    console.print(Markdown(block.doc))


def _described(block: "AnyBlock") -> dict[str, Any]:
    return {
        "name": block.name,
        "version": block.version,
        "kind": block.kind,
        "summary": block.summary,
        "doc": block.doc,
        "inputs": [port.model_dump(mode="json") for port in block.inputs],
        "outputs": [port.model_dump(mode="json") for port in block.outputs],
        "config_schema": block.config_schema,
        "requirements": list(block.requirements),
        "resources": list(block.resources),
        "code_version": block.code_version,
    }


def _ports(ports: "tuple[Port, ...]") -> str:
    return ", ".join(f"{port.name}: {port.type_name}" for port in ports)


def _properties(block: "AnyBlock") -> dict[str, dict[str, Any]]:
    return cast("dict[str, dict[str, Any]]", block.config_schema.get("properties", {}))


def _value(schema: dict[str, Any]) -> str:
    """What a key takes, in a few words."""
    if "enum" in schema:
        return " | ".join(str(choice) for choice in schema["enum"])
    if "anyOf" in schema:
        return " | ".join(_value(choice) for choice in schema["anyOf"])
    if schema.get("type") == "array":
        return f"list of {_value(schema.get('items', {}))}"
    return str(schema.get("type", "any"))
