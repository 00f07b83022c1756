"""Pipelines for tests of the compiler, and what it says of them."""

from typing import Any

import pytest

from constellation_dagster.domain.compiler import compile_pipeline
from constellation_dagster.domain.errors import PipelineInvalid, Problem
from constellation_dagster.domain.plan import Plan
from constellation_dagster.domain.schemas import parse_pipeline
from tests.domain.example_blocks import EXAMPLES

Nodes = dict[str, tuple[str, dict[str, Any]]]

NODES: Nodes = {
    "load": ("load", {"url": "a.csv"}),
    "clean": ("clean", {}),
    "split": ("split", {}),
    "train": ("train", {}),
    "judge": ("evaluate", {}),
}
EDGES = [
    "load.table > clean.table",
    "clean.table > split.table",
    "split.train > train.table",
    "train.model > judge.model",
    "split.test > judge.table",
]


def data(nodes: Nodes = NODES, edges: list[str] = EDGES, **more: Any) -> dict[str, Any]:
    ends = [edge.split(" > ") for edge in edges]
    return {
        "name": "p",
        "nodes": [{"id": id_, "block": block, "config": c} for id_, (block, c) in nodes.items()],
        "edges": [{"source": source, "target": target} for source, target in ends],
        **more,
    }


def compiled(content: dict[str, Any]) -> Plan:
    return compile_pipeline(parse_pipeline(content), EXAMPLES)


def problems(content: dict[str, Any]) -> tuple[Problem, ...]:
    with pytest.raises(PipelineInvalid) as caught:
        compiled(content)
    return caught.value.problems


def only(content: dict[str, Any]) -> str:
    found = problems(content)
    assert len(found) == 1, "\n".join(map(str, found))
    return f"[{found[0].code}] {found[0]}"


def with_edge(index: int, edge: str) -> list[str]:
    return [*EDGES[:index], edge, *EDGES[index + 1 :]]
