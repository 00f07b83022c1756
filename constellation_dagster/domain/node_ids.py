"""Names that people can read, for nodes and pipelines."""

import re
from collections.abc import Container, Sequence

from constellation_dagster.domain.proposals import Step

_LONGEST = 63


def plain_name(text: str, *, otherwise: str = "step") -> str:
    """The text as a name that is allowed: lower-case letters, digits and `_`.

    Args:
        text: What it should look like.
        otherwise: The name when nothing of the text can be used.
    """
    name = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_").lstrip("0123456789_")
    return name[:_LONGEST].rstrip("_") or otherwise


def unique_name(text: str, taken: Container[str], *, otherwise: str = "step") -> str:
    """A name like the text that is not taken yet: `read_csv`, `read_csv_2`, `read_csv_3`."""
    name = plain_name(text, otherwise=otherwise)
    if name not in taken:
        return name
    number = 2
    while True:
        suffix = f"_{number}"
        candidate = f"{name[: _LONGEST - len(suffix)]}{suffix}"
        if candidate not in taken:
            return candidate
        number += 1


def node_ids(steps: Sequence[Step]) -> list[str]:
    """An id for each step: its own if it is free, else one made from its block."""
    own = {step.id for step in steps if step.id}
    given: set[str] = set()
    ids: list[str] = []
    for step in steps:
        if step.id and step.id not in given:
            node = step.id if step.id == plain_name(step.id) else unique_name(step.id, own | given)
        else:
            node = unique_name(step.block.partition("@")[0], own | given)
        given.add(node)
        ids.append(node)
    return ids
