"""A pipeline as a Mermaid flowchart."""

from collections.abc import Mapping
from typing import Any

from constellation_dagster.domain.completeness import block_words
from constellation_dagster.domain.markdown import cut
from constellation_dagster.domain.registry import Registry
from constellation_dagster.domain.visible_text import visible

_LONGEST_LABEL = 80
_SHAPES = {"source": ("[(", ")]"), "sink": ("[/", "/]"), "train": ("{{", "}}")}
# What Mermaid would take for its own syntax, or for HTML, in a quoted label.
_ESCAPED = {ord(character): f"#{ord(character)};" for character in '#"<>&`%\\[]{}()|;'}


def mermaid(spec: Mapping[str, Any], registry: Registry) -> str:
    """A pipeline as a Mermaid flowchart; one that is incomplete or wrong has one too.

    Args:
        spec: The pipeline, as `PipelineCreateSchema` takes it.
        registry: The blocks; a node of an unknown one is a plain box.
    """
    # Ids of our own, since a node may be named `end`, which is Mermaid's.
    names = {node["id"]: f"n{place}" for place, node in enumerate(spec["nodes"])}
    lines = ["flowchart LR"]
    for node in spec["nodes"]:
        block = registry.find(node["block"])
        before, after = _SHAPES.get(block.kind if block is not None else "", ("[", "]"))
        words = block_words(node["block"])
        label = _label(node["id"])
        if words != node["id"].replace("_", " "):
            label += f"<br/>{_label(words)}"
        lines.append(f'    {names[node["id"]]}{before}"{label}"{after}')
    for edge in spec["edges"]:
        source, _, output = edge["source"].partition(".")
        target = edge["target"].partition(".")[0]
        if source not in names or target not in names:
            continue
        text = f'-- "{_label(output)}" -->' if output else "-->"
        lines.append(f"    {names[source]} {text} {names[target]}")
    return "\n".join(lines)


def _label(text: str) -> str:
    return cut(visible(text), _LONGEST_LABEL).translate(_ESCAPED)
