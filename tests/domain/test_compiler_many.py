"""Several mistakes at once, and large pipelines."""

import random

import pytest

from tests.domain.compiling import EDGES, NODES, Nodes, compiled, data, problems


def test_several_mistakes_are_all_told() -> None:
    nodes: Nodes = {
        **NODES,
        "clean": ("clean", {"strategy": 1}),
        "train": ("trian", {}),
        "Extra": ("load", {}),
    }
    edges = [*EDGES[:4], EDGES[3], "load.tabel > judge.table"]
    content = data(nodes, edges, name="runs", schedule={"cron": "never", "timezone": "Mars"})
    assert sorted(problem.code for problem in problems(content)) == [
        "bad_config",
        "bad_cron",
        "bad_name",
        "bad_timezone",
        "double_edge",
        "missing_config",
        "reserved_name",
        "unknown_block",
        "unknown_port",
    ]


def test_separate_cycles_are_told_separately() -> None:
    nodes: Nodes = {name: ("clean", {}) for name in "abcdef"}
    edges = ["a.table > b.table", "b.table > a.table", "c.table > d.table", "d.table > e.table",
             "e.table > c.table", "e.table > f.table"]  # fmt: skip
    messages = [problem.message for problem in problems(data(nodes, edges))]
    assert messages == [
        "the nodes form a cycle: a → b → a.",
        "the nodes form a cycle: c → d → e → c.",
    ]


CHAIN: Nodes = {"load": NODES["load"], **{f"n{i}": ("clean", {}) for i in range(5000)}}
LINKS = ["load.table > n0.table", *(f"n{i}.table > n{i + 1}.table" for i in range(4999))]
FAN: Nodes = {
    "load": NODES["load"],
    **{f"n{i}": ("clean", {}) for i in range(500)},
    "all": ("concat", {}),
}
RAYS = [f"load.table > n{i}.table" for i in range(500)]
SHAPES: dict[str, tuple[Nodes, list[str]]] = {
    "chain of 5,000": (CHAIN, LINKS),
    "fan of 500": (FAN, [*RAYS, *(f"n{i}.table > all.tables" for i in range(500))]),
    "diamond": (NODES, EDGES),
    "lone node": ({"load": NODES["load"]}, []),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_large_and_odd_shapes_compile(shape: str) -> None:
    nodes, edges = SHAPES[shape]
    content = data(nodes, edges)
    random.Random(0).shuffle(content["nodes"])
    assert len(compiled(content).nodes) == len(nodes)


WRECKS: dict[str, tuple[list[str], int]] = {
    "one cycle of 5,000": ([*LINKS[1:], "n4999.table > n0.table"], 1),
    "one closing edge": ([*LINKS, "n4999.table > n0.table"], 1),
    "targets unknown": ([link.replace("> n", "> m") for link in LINKS], 5000),
    "ports unknown": ([f"{link}s" for link in LINKS], 5000),
    "no edges": ([], 5000),
    "malformed": ([link.replace(".table", "") for link in LINKS], 10_000),
}


@pytest.mark.parametrize("wreck", WRECKS)
def test_thousands_of_mistakes_are_all_told(wreck: str) -> None:
    edges, count = WRECKS[wreck]
    assert len(problems(data(CHAIN, edges))) == count
