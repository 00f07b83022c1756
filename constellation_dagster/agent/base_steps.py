"""A change as a whole list of steps, told apart from the pipeline that it changes.

A language model writes all steps anew. Those that were there keep their node, and the edges between
them stay, unless a new step comes between.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, cast

from constellation_dagster.agent.answer_schema import bare
from constellation_dagster.domain.explanation import in_order
from constellation_dagster.domain.node_ids import node_ids
from constellation_dagster.domain.ports import Port
from constellation_dagster.domain.proposals import Edge, Step
from constellation_dagster.domain.registry import Registry

_GO_BETWEEN = ("transform", "infer")
"""Kinds of blocks that take a value and hand on a changed one."""


@dataclass(frozen=True)
class Continued:
    """The steps of a changed pipeline."""

    steps: tuple[Step, ...]
    edges: tuple[Edge, ...] | None


def is_whole(steps: Sequence[Step], registry: Registry) -> bool:
    """Whether there is a step that reads, as each pipeline has; what has none is only a part."""
    found = (registry.find(step.block) for step in steps)
    return any(block is not None and block.kind == "source" for block in found)


def completed(part: Sequence[Step], whole: Sequence[Step], registry: Registry) -> tuple[Step, ...]:
    """A pipeline with what a model said of its change only.

    A step of a block that the pipeline has once is that one, changed. Others are new: those that
    write come last, the rest before what writes.

    Args:
        part: The steps that the model gave.
        whole: All steps of the pipeline.
        registry: The blocks.
    """
    steps = list(whole)
    for step in part:
        writes = _writes(step, registry)
        same = [n for n, old in enumerate(whole) if bare(old.block) == bare(step.block)]
        if len(same) == 1 and not writes and whole[same[0]] in steps:
            old = whole[same[0]]
            changed = {"config": {**old.config, **step.config}}
            steps[steps.index(old)] = old.model_copy(update=changed)
            continue
        sinks = [n for n, old in enumerate(steps) if _writes(old, registry)]
        steps.insert(len(steps) if writes or not sinks else sinks[0], step)
    return tuple(steps)


def _writes(step: Step, registry: Registry) -> bool:
    block = registry.find(step.block)
    return block is not None and block.kind == "sink"


def continue_base(
    steps: Sequence[Step],
    given: Sequence[Edge] | None,
    base: Mapping[str, Any],
    registry: Registry,
) -> Continued:
    """The steps with the nodes and edges of what they change.

    Args:
        steps: All steps after the change, as a model lists them.
        given: Edges that the model gave, by names such as `read_csv_2`.
        base: The pipeline or draft; nothing for a new one.
        registry: The blocks.
    """
    nodes = {node["id"]: node for node in base.get("nodes", ())}
    order = in_order(base) if nodes else []
    kept = _kept([bare(s.block) for s in steps], [bare(nodes[n]["block"]) for n in order])
    called = node_ids(steps)
    named: list[Step] = []
    for place, step in enumerate(steps):
        if place not in kept:
            named.append(step)
            continue
        node = nodes[order[kept[place]]]
        named.append(_as_before(step, node, registry))
    ids = node_ids(named)
    chosen = _given_edges(given or (), dict(zip(called, ids, strict=True)), named, ids, registry)
    if chosen is None and nodes:
        chosen = _old_edges(base, {ids[place] for place in kept}, named, ids, registry)
    return Continued(tuple(named), chosen or None)


def _kept(new: Sequence[str], old: Sequence[str]) -> dict[int, int]:
    """Places of the steps that were there before, with their places then."""
    matcher = SequenceMatcher(None, new, old, autojunk=False)
    kept = {
        part.a + i: part.b + i for part in matcher.get_matching_blocks() for i in range(part.size)
    }
    for place, block in enumerate(new):
        if place not in kept:
            left = (p for p, name in enumerate(old) if name == block and p not in kept.values())
            found = next(left, None)
            if found is not None:
                kept[place] = found
    return kept


def _as_before(step: Step, node: Mapping[str, Any], registry: Registry) -> Step:
    """The step as its node, with what cannot be left out and was."""
    block = registry.find(node["block"])
    before = cast("Mapping[str, Any]", node.get("config") or {})
    fields = block.config_model.model_fields if block is not None else {}
    needed = {key: before[key] for key, f in fields.items() if f.is_required() and key in before}
    config = {**needed, **step.config}
    return Step(block=node["block"], config=config, id=node["id"])


def _given_edges(
    given: Sequence[Edge],
    names: Mapping[str, str],
    steps: Sequence[Step],
    ids: Sequence[str],
    registry: Registry,
) -> tuple[Edge, ...] | None:
    """The edges by the nodes' names; none if one of them leads nowhere."""
    edges = tuple(
        Edge(source=_renamed(edge.source, names), target=_renamed(edge.target, names))
        for edge in given
    )
    places = {node: place for place, node in enumerate(ids)}
    for edge in edges:
        source = _port(edge.source, steps, ids, registry, output=True)
        target = _port(edge.target, steps, ids, registry, output=False)
        if source is None or target is None or source.type is not target.type:
            return None
        if places[edge.source.partition(".")[0]] >= places[edge.target.partition(".")[0]]:
            return None
    return edges or None


def _old_edges(
    base: Mapping[str, Any],
    kept: set[str],
    steps: Sequence[Step],
    ids: Sequence[str],
    registry: Registry,
) -> tuple[Edge, ...]:
    """The base's edges between steps that stay, where no new step comes between."""
    places = {node: place for place, node in enumerate(ids)}
    edges: list[Edge] = []
    for old in base.get("edges", ()):
        edge = Edge(source=old["source"], target=old["target"])
        ends = [end.partition(".")[0] for end in (edge.source, edge.target)]
        if not set(ends) <= kept:
            continue
        first, last = (places[end] for end in ends)
        port = _port(edge.source, steps, ids, registry, output=True)
        between = [steps[place] for place in range(first + 1, last) if ids[place] not in kept]
        if first < last and not any(_hands_on(step, port, registry) for step in between):
            edges.append(edge)
    return tuple(edges)


def _hands_on(step: Step, port: Port | None, registry: Registry) -> bool:
    """Whether a step takes such a value and gives one."""
    block = registry.find(step.block)
    if block is None or port is None or block.kind not in _GO_BETWEEN:
        return False
    return all(any(p.type is port.type for p in some) for some in (block.inputs, block.outputs))


def _renamed(end: str, names: Mapping[str, str]) -> str:
    node, dot, port = end.partition(".")
    return f"{names.get(node, node)}{dot}{port}"


def _port(
    end: str, steps: Sequence[Step], ids: Sequence[str], registry: Registry, *, output: bool
) -> Port | None:
    node, _, name = end.partition(".")
    block = registry.find(steps[ids.index(node)].block) if node in ids else None
    if block is None:
        return None
    ports = block.outputs if output else block.inputs
    return next((port for port in ports if port.name == name or not name), None)
