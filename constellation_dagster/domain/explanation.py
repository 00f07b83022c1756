"""A pipeline in plain numbered sentences."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

from constellation_dagster.domain.completeness import block_words
from constellation_dagster.domain.graph import topological_order
from constellation_dagster.domain.markdown import cut, plain_words
from constellation_dagster.domain.registry import Registry
from constellation_dagster.domain.visible_text import visible

_LONGEST_VALUE = 120
_LONGEST_TEXT = 300


def explain_pipeline(spec: Mapping[str, Any], registry: Registry) -> str:
    """What a pipeline does, step by step in the order in which it does it.

    Args:
        spec: The pipeline, as `PipelineCreateSchema` takes it; it may be incomplete.
        registry: The blocks.
    """
    nodes = {node["id"]: node for node in spec["nodes"]}
    lines = [
        f"{number}. {_sentence(nodes[node], spec['edges'], registry)}"
        for number, node in enumerate(in_order(spec), start=1)
    ]
    schedule = spec.get("schedule")
    if schedule:
        cron, timezone = _code(str(schedule["cron"])), _words(str(schedule["timezone"]))
        lines.append(f"It runs by itself at {cron} ({timezone}).")
    return "\n".join(lines)


def in_order(spec: Mapping[str, Any]) -> list[str]:
    """The ids of the nodes, each after those that it takes something from."""
    ids = list(dict.fromkeys(node["id"] for node in spec["nodes"]))
    children: dict[str, set[str]] = {node: set() for node in ids}
    for edge in spec["edges"]:
        source, target = (edge[end].partition(".")[0] for end in ("source", "target"))
        if source in children and target in children and source != target:
            children[source].add(target)
    ordered = list(topological_order(children))
    # Nodes of a cycle have no order.
    return [*ordered, *(node for node in ids if node not in ordered)]


def _sentence(
    node: Mapping[str, Any], edges: Iterable[Mapping[str, str]], registry: Registry
) -> str:
    block = registry.find(node["block"])
    what = block.summary if block is not None else block_words(node["block"])
    sources = dict.fromkeys(
        edge["source"].removesuffix(".table")
        for edge in edges
        if edge["target"].partition(".")[0] == node["id"]
    )
    taken = f", from {_listed(map(_code, sources))}" if sources else ""
    config = ", ".join(_settings(cast("Mapping[str, object]", node.get("config") or {})))
    what = _words(what).rstrip(".")
    return f"**{_words(node['id'])}**{taken}: {what}{f' ({config})' if config else ''}."


def _settings(config: Mapping[str, object]) -> Iterator[str]:
    for key, value in config.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        yield f"{_words(key.replace('_', ' '))}: {_code(text)}"


def _words(text: str) -> str:
    """Nothing that a file, a block of others or a model says becomes a link, an image or markup."""
    return plain_words(cut(visible(text.replace("`", "'")), _LONGEST_TEXT))


def _code(text: str) -> str:
    plain = cut(visible(text.replace("`", "'")), _LONGEST_VALUE)
    # Two backticks with nothing in between would begin another kind of code.
    return f"`{plain or ' '}`"


def _listed(names: Iterable[str]) -> str:
    *before, last = names
    return f"{', '.join(before)} and {last}" if before else last
