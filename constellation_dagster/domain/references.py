"""Resolving one end of an edge, such as `load.table`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from constellation_dagster.domain.block import AnyBlock
from constellation_dagster.domain.ports import Port
from constellation_dagster.domain.schemas import EdgeSchema

Blocks: TypeAlias = Mapping[str, AnyBlock | None]
"""The block of each node; None where it is unknown, and its ports with it."""

Fault = Literal["malformed_edge", "unknown_node", "unknown_port"]


@dataclass(frozen=True)
class Resolved:
    """An end that is known: a port of a node."""

    text: str
    node: str
    port_name: str
    port: Port | None
    """None where the node's block is unknown, so that its ports cannot be judged."""


@dataclass(frozen=True)
class Unresolved:
    """An end that leads nowhere."""

    text: str
    fault: Fault
    node: str | None
    """The node, where it is known."""
    unknown_node: str | None = None
    port_name: str = ""


def resolve(text: str, blocks: Blocks, *, output: bool) -> Resolved | Unresolved:
    """Find the port that one end of an edge names."""
    node, dot, name = text.rpartition(".")
    if not dot or not name or (not node and node not in blocks):
        node = text.strip(".")
        return Unresolved(text, "malformed_edge", node if node in blocks else None)
    if node not in blocks:
        return Unresolved(text, "unknown_node", None, node, name)
    block = blocks[node]
    if block is None:
        return Resolved(text, node, name, None)
    port = block.output(name) if output else block.input(name)
    if port is None:
        return Unresolved(text, "unknown_port", node, port_name=name)
    return Resolved(text, node, name, port)


def arrow(edge: EdgeSchema) -> str:
    """The edge as it is shown in messages."""
    return f"'{edge.source} → {edge.target}'"
