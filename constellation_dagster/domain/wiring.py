"""Resolving a pipeline's edges, and telling everything that is wrong with them."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from constellation_dagster.domain.crowding import crowding_problems
from constellation_dagster.domain.errors import Problem
from constellation_dagster.domain.plan import OutputRef
from constellation_dagster.domain.ports import Port, PortType
from constellation_dagster.domain.references import Blocks, Resolved, Unresolved, arrow, resolve
from constellation_dagster.domain.schemas import EdgeSchema, PipelineCreateSchema
from constellation_dagster.domain.strays import (
    Homeless,
    Input,
    OpenInputs,
    Stray,
    meant_hint,
    stray_problem,
)
from constellation_dagster.domain.suggestions import Suggester, listing


@dataclass(frozen=True)
class Wiring:
    """What feeds what."""

    inputs: Mapping[str, Mapping[str, tuple[OutputRef, ...]]]
    """For each node, what feeds each input port that has an edge."""
    children: Mapping[str, set[str]]
    """For each node, the nodes that read from it."""
    problems: tuple[Problem, ...]


def wire(spec: PipelineCreateSchema, blocks: Blocks) -> Wiring:
    """Resolve the edges of a pipeline."""
    return _Wirer(spec, blocks).run()


@dataclass(frozen=True)
class _Mismatch:
    """An edge between ports of different types."""

    edge: EdgeSchema
    source: Resolved
    brought: Port
    target: Resolved
    taken: Port
    meant: list[Input]


class _Wirer:
    def __init__(self, spec: PipelineCreateSchema, blocks: Blocks) -> None:
        self.spec = spec
        self.blocks = blocks
        self.nodes = Suggester(blocks)
        self.problems: list[Problem] = []
        self.strays: dict[object, Stray] = {}
        self.mismatches: list[_Mismatch] = []
        self.homeless: list[Homeless] = []
        self.fed: dict[Input, list[OutputRef]] = defaultdict(list)
        # Inputs that some edge names, be it a wrong one: they do not count as missing too.
        self.named: set[Input] = set()
        self.children: dict[str, set[str]] = {node: set() for node in blocks}
        self.outputs: dict[PortType, list[str]] = defaultdict(list)
        for node, block in blocks.items():
            for port in block.outputs if block is not None else ():
                self.outputs[port.type].append(f"{node}.{port.name}")

    def run(self) -> Wiring:
        for edge, count in Counter(self.spec.edges).items():
            if count > 1:
                message = f"the edge {arrow(edge)} is there {count} times."
                self.report("double_edge", message, "Keep one.")
            self.edge(edge)
        open_inputs = OpenInputs(self.missing(), self.nodes)
        for homeless in self.homeless:
            open_inputs.pair(homeless)
        for stray in self.strays.values():
            self.problems.append(stray_problem(stray, self.blocks, self.nodes, self.spec.name))
        for mismatch in self.mismatches:
            self.report_mismatch(mismatch)
        for (node, name), port in open_inputs.left.items():
            message = f"this input takes {port.a_type} and has no edge."
            self.report("missing_input", message, self.what_fits(node, port), node, name)
        self.problems.extend(crowding_problems(self.spec.name, self.children, self.crowded()))
        return Wiring(self.inputs(), self.children, tuple(self.problems))

    def report(
        self, code: str, message: str, hint: str, node: str | None = None, port: str | None = None
    ) -> None:
        self.problems.append(
            Problem(
                code=code,
                message=message,
                pipeline=self.spec.name,
                node=node,
                port=port,
                hint=hint,
            )
        )

    def edge(self, edge: EdgeSchema) -> None:
        source = resolve(edge.source, self.blocks, output=True)
        target = resolve(edge.target, self.blocks, output=False)
        if isinstance(source, Unresolved):
            self.stray(edge, source, target)
        if isinstance(target, Unresolved):
            stray = self.stray(edge, target, source)
            brings = source.port.type if isinstance(source, Resolved) and source.port else None
            self.homeless.append(
                Homeless(stray.meant, brings, target.node, target.unknown_node, target.port_name)
            )
            return
        self.named.add((target.node, target.port_name))
        if isinstance(source, Resolved):
            self.join(edge, source, target)

    def stray(self, edge: EdgeSchema, end: Unresolved, other: Resolved | Unresolved) -> Stray:
        # A node that is not there is one mistake, however many edges name it.
        key = end.unknown_node if end.unknown_node is not None else (edge, end.text)
        stray = self.strays.setdefault(key, Stray(end, other))
        stray.edges.append(edge)
        return stray

    def join(self, edge: EdgeSchema, source: Resolved, target: Resolved) -> None:
        if source.node == target.node:
            message = f"the edge {arrow(edge)} leads from the node to itself."
            hint = "Take its input from another node."
            self.report("self_loop", message, hint, target.node, target.port_name)
        elif source.port and target.port and source.port.type is not target.port.type:
            mismatch = _Mismatch(edge, source, source.port, target, target.port, [])
            self.mismatches.append(mismatch)
            # It may have been meant for another input of its target.
            self.homeless.append(Homeless(mismatch.meant, source.port.type, target.node))
        else:
            ref = OutputRef(source.node, source.port_name)
            self.fed[target.node, target.port_name].append(ref)
            self.children[source.node].add(target.node)

    def report_mismatch(self, mismatch: _Mismatch) -> None:
        brought, taken, target = mismatch.brought, mismatch.taken, mismatch.target.node
        message = (
            f"the edge {arrow(mismatch.edge)} brings {brought.a_type}, "
            f"but this input takes {taken.a_type}."
        )
        if mismatch.meant:
            hint = meant_hint(mismatch.meant)
        else:
            source, reader = self.blocks[mismatch.source.node], self.blocks[target]
            outputs = source.outputs if source is not None else ()
            own = [
                f"{mismatch.source.node}.{port.name}" for port in outputs if port.type is taken.type
            ]
            hint = f"What fits: {listing(own)}." if own else self.what_fits(target, taken)
            inputs = reader.inputs if reader is not None else ()
            fitting = [f"{target}.{port.name}" for port in inputs if port.type is brought.type]
            hint += f" What it brings goes into {listing(fitting)}." if fitting else ""
        self.report("wrong_type", message, hint, target, taken.name)

    def what_fits(self, node: str, port: Port) -> str:
        # Of thousands a hundred are enough to choose from.
        fitting = [ref for ref in self.outputs[port.type][:100] if ref.rpartition(".")[0] != node]
        if fitting:
            return f"What fits: {listing(fitting)}."
        return f"No other node returns a {port.type}: add one that does."

    def missing(self) -> dict[Input, Port]:
        return {
            (node, port.name): port
            for node, block in self.blocks.items()
            for port in (block.inputs if block is not None else ())
            if port.required and (node, port.name) not in self.named
        }

    def crowded(self) -> dict[Input, list[OutputRef]]:
        found: dict[Input, list[OutputRef]] = {}
        for (node, name), refs in self.fed.items():
            block = self.blocks[node]
            port = block.input(name) if block is not None else None
            if len(refs) > 1 and port is not None and not port.many:
                found[node, name] = refs
        return found

    def inputs(self) -> dict[str, dict[str, tuple[OutputRef, ...]]]:
        return {
            node: {
                port.name: tuple(self.fed[node, port.name])
                for port in (block.inputs if block is not None else ())
                if (node, port.name) in self.fed
            }
            for node, block in self.blocks.items()
        }
