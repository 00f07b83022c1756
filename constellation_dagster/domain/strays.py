"""Edges that lead nowhere, and the inputs that they were meant for.

An edge with a wrong target also leaves the input that it was meant for without an edge. That is
one mistake, so such an edge and such an input are paired and told together.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from constellation_dagster.domain.errors import Problem
from constellation_dagster.domain.ports import Port, PortType
from constellation_dagster.domain.references import Blocks, Resolved, Unresolved, arrow
from constellation_dagster.domain.schemas import EdgeSchema
from constellation_dagster.domain.suggestions import Suggester, closest, did_you_mean, listing

Input: TypeAlias = tuple[str, str]
"""A node and one of its input ports."""


@dataclass
class Stray:
    """An end of an edge that leads nowhere; for an unknown node, of all edges that name it."""

    end: Unresolved
    other: Resolved | Unresolved
    edges: list[EdgeSchema] = field(default_factory=list[EdgeSchema])
    meant: list[Input] = field(default_factory=list[Input])
    """The inputs without an edge that were probably meant."""


@dataclass(frozen=True)
class Homeless:
    """An edge in need of a target."""

    meant: list[Input]
    """Where to note the input that it was meant for."""
    brings: PortType | None
    """What it brings, where that is known."""
    node: str | None
    """The node that it does name."""
    unknown_node: str | None = None
    port_name: str = ""


class OpenInputs:
    """Required inputs that no edge feeds."""

    def __init__(self, inputs: Mapping[Input, Port], nodes: Suggester) -> None:
        self._nodes = nodes
        self._all = dict(inputs)
        self._by_node: dict[str, dict[Input, Port]] = defaultdict(dict)
        self._by_kind: dict[object, dict[Input, None]] = defaultdict(dict)
        for key, port in inputs.items():
            self._by_node[key[0]][key] = port
            for kind in self._kinds(port):
                self._by_kind[kind][key] = None

    @property
    def left(self) -> Mapping[Input, Port]:
        """Those that no edge was meant for."""
        return self._all

    def pair(self, edge: Homeless) -> None:
        """Find the input that an edge was meant for, and take it off the list."""
        found = self._find(edge)
        if found is not None:
            for kind in self._kinds(self._all.pop(found)):
                del self._by_kind[kind][found]
            del self._by_node[found[0]][found]
            edge.meant.append(found)

    def _find(self, edge: Homeless) -> Input | None:
        if edge.node is not None:
            return self._of_node(edge.node, edge)
        # Several edges to one wrong name were meant for one node.
        guesses = [node for node, _ in edge.meant[-1:]]
        if edge.unknown_node is not None and (node := self._nodes.closest(edge.unknown_node)):
            guesses.append(node)
        for node in guesses:
            if found := self._of_node(node, edge):
                return found
        kinds = [(edge.brings, edge.port_name), edge.brings] if edge.brings else [None]
        return next((key for kind in kinds for key in self._by_kind[kind]), None)

    def _of_node(self, node: str, edge: Homeless) -> Input | None:
        names = {
            key[1]: key
            for key, port in self._by_node[node].items()
            if edge.brings in (None, port.type)
        }
        if not names:
            return None
        name = closest(edge.port_name, names) if edge.port_name else None
        return names[name] if name is not None else next(iter(names.values()))

    @staticmethod
    def _kinds(port: Port) -> tuple[object, ...]:
        return None, port.type, (port.type, port.name)


def stray_problem(stray: Stray, blocks: Blocks, nodes: Suggester, pipeline: str) -> Problem:
    """What is wrong with an end that leads nowhere."""
    end, other, edges = stray.end, stray.other, stray.edges
    shown = ", ".join(arrow(edge) for edge in edges[:3])
    more = f" and {len(edges) - 3} more" if len(edges) > 3 else ""
    named = f"the edge{'' if len(edges) == 1 else 's'} {shown}{more}"
    is_output = edges[0].source == end.text
    way = "output" if is_output else "input"
    block = blocks[end.node] if end.node is not None else None
    ports = (block.outputs if is_output else block.inputs) if block is not None else ()
    names = [port.name for port in ports]
    match end.fault:
        case "unknown_node":
            message = f"{named}: there is no node {end.unknown_node!r}."
            listed = f"The nodes are {listing(blocks)}." if blocks else ""
            guess = nodes.closest(end.unknown_node or "")
            hint = f"Did you mean {guess!r}? {listed}" if guess is not None else listed
        case "unknown_port":
            message = (
                f"{named}: block {block.ref if block else ''!r} has no {way} {end.port_name!r}."
            )
            hint = (
                did_you_mean(end.port_name, names, there_are=f"The {way}s are")
                or f"It has no {way}s."
            )
        case "malformed_edge":
            message = f"{named}: {end.text!r} is not of the form 'node.{way}'."
            fitting = [f"{end.node}.{name}" for name in names]
            hint = f"Did you mean {listing(fitting)}?" if fitting else "Write it as 'load.table'."
    if stray.meant:
        hint = meant_hint(stray.meant)
    known = isinstance(other, Resolved) and other.port is not None and len(edges) == 1
    at_other = (
        (other.node, other.port_name) if isinstance(other, Resolved) and known else (None, None)
    )
    node, port = (end.node, None) if end.fault == "unknown_port" else at_other
    return Problem(
        code=end.fault, message=message, pipeline=pipeline, node=node, port=port, hint=hint or None
    )


def meant_hint(inputs: Sequence[Input]) -> str:
    """A hint for edges that were probably meant for these inputs."""
    have = "has" if len(inputs) == 1 else "have"
    return f"Did you mean {listing('.'.join(key) for key in inputs)}, which {have} no edge yet?"
