"""How long the compiler takes, against the least that any compiler of such pipelines must do.

That floor is `graphlib.TopologicalSorter` over the edges plus pydantic's validation of the same
data as `PipelineCreateSchema`: no block looked up, no port, type or config checked.
"""

from collections.abc import Callable
from graphlib import TopologicalSorter
from statistics import median
from time import perf_counter
from typing import Any

from constellation_dagster.domain.compiler import compile_pipeline
from constellation_dagster.domain.schemas import PipelineCreateSchema, parse_pipeline
from tests.bench.report import print_table
from tests.domain.example_blocks import EXAMPLES

ROUNDS = 9

Links = list[tuple[str, str]]


def _pipeline(blocks: dict[str, str], links: Links) -> dict[str, Any]:
    configs = {"load": {"url": "a.csv"}}
    return {
        "name": "p",
        "nodes": [
            {"id": node, "block": block, "config": configs.get(block, {})}
            for node, block in blocks.items()
        ],
        "edges": [{"source": source, "target": target} for source, target in links],
    }


def _chain(length: int) -> dict[str, Any]:
    blocks = {"n0": "load", **{f"n{i}": "clean" for i in range(1, length)}}
    return _pipeline(blocks, [(f"n{i - 1}.table", f"n{i}.table") for i in range(1, length)])


def _fan(width: int) -> dict[str, Any]:
    blocks = {"load": "load", **{f"n{i}": "clean" for i in range(width)}, "all": "concat"}
    out = [("load.table", f"n{i}.table") for i in range(width)]
    return _pipeline(blocks, [*out, *((f"n{i}.table", "all.tables") for i in range(width))])


_DIAMOND = _pipeline(
    {"load": "load", "left": "clean", "right": "clean", "all": "concat"},
    [
        ("load.table", "left.table"),
        ("load.table", "right.table"),
        ("left.table", "all.tables"),
        ("right.table", "all.tables"),
    ],
)

SHAPES = {
    "chain of 5,000": _chain(5000),
    "fan of 500": _fan(500),
    "diamond": _DIAMOND,
    "lone node": _pipeline({"load": "load"}, []),
}


def _floor(data: dict[str, Any]) -> None:
    PipelineCreateSchema.model_validate(data)
    sorter: TopologicalSorter[str] = TopologicalSorter({node["id"]: () for node in data["nodes"]})
    for edge in data["edges"]:
        sorter.add(edge["target"].partition(".")[0], edge["source"].partition(".")[0])
    assert len(list(sorter.static_order())) == len(data["nodes"])


def _compile(data: dict[str, Any]) -> None:
    assert len(compile_pipeline(parse_pipeline(data), EXAMPLES).nodes) == len(data["nodes"])


def _milliseconds(work: Callable[[dict[str, Any]], None], data: dict[str, Any]) -> float:
    """The median of some rounds, each long enough for the clock."""
    repeats = max(1, 500 // len(data["nodes"]))
    rounds: list[float] = []
    for _ in range(ROUNDS):
        began = perf_counter()
        for _ in range(repeats):
            work(data)
        rounds.append((perf_counter() - began) * 1000 / repeats)
    return median(rounds)


def main() -> None:
    """Measures and prints."""
    rows: list[list[str]] = []
    for shape, data in SHAPES.items():
        ours, floor = _milliseconds(_compile, data), _milliseconds(_floor, data)
        rows.append([shape, f"{ours:.2f}", f"{floor:.2f}", f"{ours / floor:.1f}"])
    print_table(
        f"compiler: from plain data to a plan, ms, median of {ROUNDS}; floor: graphlib's "
        "TopologicalSorter and pydantic's validation alone",
        ["pipeline", "compile", "floor", "ratio"],
        rows,
    )
