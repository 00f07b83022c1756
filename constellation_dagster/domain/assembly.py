"""Steps become a pipeline: what each takes is found by type, from the nearest step before it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from constellation_dagster.domain.block import AnyBlock
from constellation_dagster.domain.completeness import block_words, judge
from constellation_dagster.domain.conversations import Question
from constellation_dagster.domain.errors import Problem
from constellation_dagster.domain.node_ids import node_ids, plain_name, unique_name
from constellation_dagster.domain.ports import Port, PortType
from constellation_dagster.domain.proposals import Edge, ProposedSchedule, Step
from constellation_dagster.domain.registry import Registry

_WANTED_OUTPUT = {"train": "train", "evaluate": "test", "infer": "test"}
"""Which of several equal outputs a kind of block means: a model learns from `train`."""
_PASS_ON = ("transform", "infer", "train")
"""Kinds of blocks that hand on what they take, where they make a value of its type."""


@dataclass(frozen=True)
class Assembly:
    """A pipeline put together, and what is open about it."""

    spec: dict[str, Any]
    questions: tuple[Question, ...]
    problems: tuple[Problem, ...]


def assemble(
    name: str,
    steps: Sequence[Step],
    registry: Registry,
    *,
    edges: Iterable[Edge] | None = None,
    schedule: ProposedSchedule | None = None,
    description: str = "",
) -> Assembly:
    """Put steps together to a pipeline.

    Args:
        name: The pipeline's name; made an allowed one if it is not.
        steps: The steps in the order in which they are done.
        registry: The blocks.
        edges: Edges that are known; what they leave open is found by type all the same.
        schedule: When it runs by itself.
        description: What it is for.
    """
    assembler = _Assembler(registry, steps, edges or ())
    for step, node in zip(steps, assembler.ids, strict=True):
        assembler.add(node, step)
    if not edges:
        assembler.ask_about_unused()
    spec: dict[str, Any] = {
        "name": plain_name(name, otherwise="pipeline"),
        "description": description,
        "nodes": assembler.nodes,
        "edges": assembler.edges,
        "schedule": schedule.model_dump() if schedule else None,
    }
    verdict = judge(spec, registry, assembler.questions)
    return Assembly(spec, verdict.questions, verdict.problems)


@dataclass
class _Output:
    """An output of a step that is there already."""

    node: str
    block: AnyBlock
    port: Port
    place: int
    passed_on: bool = False
    """A block that makes another such value of it has taken it."""
    used: bool = False

    @property
    def is_main(self) -> bool:
        """Whether it is what the step is for, or what the step took with something added."""
        kept = self.block.kind != "evaluate" and self.port.type in _types(self.block.inputs)
        return kept or self.port.type is self.block.outputs[0].type


@dataclass
class _Assembler:
    registry: Registry
    steps: Sequence[Step]
    given: Iterable[Edge]
    ids: list[str] = field(init=False)
    nodes: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    edges: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    questions: list[Question] = field(default_factory=list[Question])
    outputs: list[_Output] = field(default_factory=list[_Output])

    def __post_init__(self) -> None:
        self.ids = node_ids(self.steps)
        self.edges.extend(edge.model_dump() for edge in self.given)

    def add(self, node: str, step: Step) -> None:
        """Add a step, and the edges that lead to it."""
        self.nodes.append({"id": node, "block": step.block, "config": dict(step.config)})
        block = self.registry.find(step.block)
        if block is None:
            return
        taken: list[_Output] = []
        fed = self.known_sources(node)
        for port in block.inputs:
            if port.name in fed:
                taken.extend(self.outputs_named(fed[port.name]))
                continue
            chosen = self.choose(node, block, port, step.after, taken)
            for output in chosen:
                self.connect(output, node, port)
            taken.extend(chosen)
            if not chosen and port.required:
                self.ask_for(node, block, port)
        kept = _types(block.outputs) if block.kind in _PASS_ON else ()
        for output in taken:
            output.used = True
            output.passed_on = output.passed_on or output.port.type in kept
        place = len(self.outputs)
        self.outputs.extend(_Output(node, block, port, place) for port in block.outputs)

    def known_sources(self, node: str) -> dict[str, set[str]]:
        block = self.registry.find(next(n["block"] for n in self.nodes if n["id"] == node))
        fed: dict[str, set[str]] = {}
        for edge in self.edges:
            target, _, port = edge["target"].partition(".")
            if target == node:
                inputs = block.inputs if block is not None else ()
                port = port or (inputs[0].name if inputs else "")
                fed.setdefault(port, set()).add(edge["source"])
        return fed

    def outputs_named(self, sources: set[str]) -> list[_Output]:
        return [
            output
            for output in self.outputs
            if f"{output.node}.{output.port.name}" in sources or output.node in sources
        ]

    def choose(
        self,
        node: str,
        block: AnyBlock,
        port: Port,
        after: tuple[str, ...],
        taken: list[_Output],
    ) -> list[_Output]:
        """What feeds an input; nothing when there is nothing that can."""
        fitting = [output for output in self.outputs if output.port.type is port.type]
        if after:
            fitting = [output for output in fitting if output.node in after] or fitting
        if port.required and block.kind == "sink" and not after:
            figures = self.last_figures(port)
            if figures is not None:
                return [figures]
        if port.many:
            is_open = [output for output in fitting if not output.used] if not after else fitting
            # An optional list takes what nothing else does, a required one needs something.
            return is_open or (self.nearest(block, fitting)[:1] if port.required else [])
        # An optional input is left alone unless it is clear that it is meant.
        if not port.required:
            fitting = [output for output in fitting if output.node in after or not output.used]
            if any(other.type is port.type for other in block.inputs if other is not port):
                return []
        fitting = [output for output in fitting if output not in taken]
        equals = [p for p in block.inputs if p.type is port.type and p.required and not p.many]
        if len(equals) > 1:
            return self.one_of_several(block, port, equals, fitting, taken)
        if not fitting and port.required:
            bridge = self.bridge(port.type, {output.port.type for output in self.outputs})
            return [bridge] if bridge is not None else []
        return self.nearest(block, fitting)[:1]

    def one_of_several(
        self,
        block: AnyBlock,
        port: Port,
        equals: list[Port],
        fitting: list[_Output],
        taken: list[_Output],
    ) -> list[_Output]:
        """For a join: its inputs are the latest open ends in the order of their steps."""
        left = len(equals) - equals.index(port)
        others = {output.node for output in taken}
        apart = [output for output in fitting if output.node not in others]
        by_node: dict[str, _Output] = {}
        for output in self.nearest(block, apart or fitting):
            by_node.setdefault(output.node, output)
        latest = list(by_node.values())[:left]
        if len(latest) < left:
            # Two parts of one step are better than nothing.
            latest = self.nearest(block, fitting)[:left]
        if len(latest) < left and equals.index(port) > 0:
            return []
        return sorted(latest, key=lambda output: output.place)[:1]

    def nearest(self, block: AnyBlock, fitting: list[_Output]) -> list[_Output]:
        """The likeliest first: an open end before one that was passed on, then the latest."""
        wanted = _WANTED_OUTPUT.get(block.kind)
        judged = [o for o in fitting if o.block.kind != "evaluate"]
        if block.kind in ("evaluate", "infer") and judged:
            fitting = judged
        if block.kind == "evaluate":
            held_out = [output for output in fitting if output.port.name == wanted]
            fitting = held_out or fitting

        def rank(output: _Output) -> tuple[bool, bool, int, bool, int]:
            ports = [port.name for port in output.block.outputs]
            is_wanted = output.port.name == wanted
            return (
                output.passed_on,
                not output.is_main and (output.used or self.has_open_main(output)),
                -output.place,
                not is_wanted,
                ports.index(output.port.name),
            )

        return sorted(fitting, key=rank)

    def has_open_main(self, output: _Output) -> bool:
        """Whether another step's main result of this type waits to be used."""
        return any(
            other.is_main and not other.used
            for other in self.outputs
            if other.port.type is output.port.type
        )

    def last_figures(self, port: Port) -> _Output | None:
        """The figures of the step just before as a table, if a block makes one of them.

        Who has something judged and then written wants the judgement written, not the data.
        """
        place = self.outputs[-1].place if self.outputs else 0
        last = [output for output in self.outputs if output.place == place]
        if any(o.block.kind != "evaluate" or o.used for o in last):
            return None
        if not any(o.is_main and o.port.type is PortType.METRICS for o in last):
            return None
        # A list takes tables of figures as they are.
        if port.many and any(o.port.type is port.type for o in last):
            return None
        return self.bridge(port.type, {PortType.METRICS}, kinds=("transform", "evaluate"))

    def bridge(
        self, type_: PortType, there: set[PortType], kinds: tuple[str, ...] = ("transform",)
    ) -> _Output | None:
        """Add the one block that makes such a value of these, if there is exactly one."""
        found = [
            block
            for block in (self.registry.get(name) for name in self.registry.names)
            if block.kind in kinds
            and block.inputs
            and block.outputs[:1]
            and block.outputs[0].type is type_
            and all(port.type in there for port in block.inputs if port.required)
            and not any(f.is_required() for f in block.config_model.model_fields.values())
        ]
        if len(found) != 1:
            return None
        position = len(self.nodes) - 1
        node = unique_name(found[0].name, {*self.ids, *(n["id"] for n in self.nodes)})
        self.add(node, Step(block=found[0].name))
        # It runs before the step that needs it, and is read so.
        self.nodes.insert(position, self.nodes.pop())
        return next(o for o in reversed(self.outputs) if o.node == node and o.port.type is type_)

    def connect(self, output: _Output, node: str, port: Port) -> None:
        """Add an edge."""
        source, target = f"{output.node}.{output.port.name}", f"{node}.{port.name}"
        self.edges.append({"source": source, "target": target})

    def ask_for(self, node: str, block: AnyBlock, port: Port) -> None:
        """Ask where a required input comes from."""
        options = tuple(
            name
            for name in self.registry.names
            if any(output.type is port.type for output in self.registry.get(name).outputs)
        )
        text = (
            f"Where does {node!r} ({block_words(block.name)}) get its {port.name!r} from? "
            f"It needs {port.a_type}, and no step before it gives one."
        )
        self.questions.append(Question(node=node, key=port.name, text=text, options=options[:8]))

    def ask_about_unused(self) -> None:
        """Ask what a source is for that nothing reads, when the other steps do not need it."""
        used = {output.node for output in self.outputs if output.used}
        last = self.nodes[-1]["id"] if self.nodes else None
        for node in dict.fromkeys(o.node for o in self.outputs if o.block.kind == "source"):
            if node not in used and node != last:
                others = tuple(n["id"] for n in self.nodes if n["id"] != node)
                text = f"Nothing uses what {node!r} reads. Which step is it for?"
                self.questions.append(Question(node=node, key=None, text=text, options=others))


def _types(ports: Iterable[Port]) -> set[PortType]:
    return {port.type for port in ports}
