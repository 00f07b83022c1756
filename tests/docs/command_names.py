"""What `constellation` can be told."""

from collections.abc import Iterator

import typer

from constellation_dagster.cli import app


def command_names() -> frozenset[str]:
    """All subcommands, such as `up` and `pipeline run`."""
    return frozenset(_names(app))


def _names(group: typer.Typer) -> Iterator[str]:
    for command in group.registered_commands:
        assert command.callback is not None
        yield command.name or command.callback.__name__
    for inner in group.registered_groups:
        assert inner.typer_instance is not None
        yield from (f"{inner.name} {name}" for name in _names(inner.typer_instance))
