"""What the compiler makes of pipelines, and what it says about wrong ones."""

import random
import time
from typing import Any

import pytest
from dagster._utils.schedules import is_valid_cron_string

from constellation_dagster.domain.compiler import RESERVED_NAMES, compile_pipeline
from constellation_dagster.domain.errors import PipelineInvalid, Problem
from constellation_dagster.domain.plan import OutputRef, Plan
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


def test_a_plan_has_everything_that_a_runner_needs() -> None:
    plan = compiled(data())
    assert [node.id for node in plan.nodes] == ["load", "clean", "split", "train", "judge"]
    judge = plan.node("judge")
    assert judge.block.ref == "evaluate@1"
    assert judge.inputs == {
        "model": (OutputRef("train", "model"),),
        "table": (OutputRef("split", "test"),),
    }
    assert judge.parents == ("split", "train")
    assert judge.children == ()
    assert plan.node("split").children == ("judge", "train")
    assert plan.node("load").config == {"url": "a.csv", "limit": None}
    # An optional input without an edge is left out.
    assert set(plan.node("train").inputs) == {"table"}


def test_a_list_port_takes_many_edges_in_their_order() -> None:
    nodes: Nodes = {"b": NODES["load"], "a": NODES["load"], "all": ("concat", {})}
    plan = compiled(data(nodes, ["b.table > all.tables", "a.table > all.tables"]))
    assert plan.node("all").inputs["tables"] == (OutputRef("b", "table"), OutputRef("a", "table"))
    other = compiled(data(nodes, ["a.table > all.tables", "b.table > all.tables"]))
    assert other.digest != plan.digest


@pytest.mark.parametrize(
    ("edges", "message"),
    [
        (
            with_edge(0, "laod.table > clean.table"),
            (
                "[unknown_node] pipeline 'p', node 'clean', port 'table': the edge "
                "'laod.table → clean.table': there is no node 'laod'. Did you mean 'load'? "
                "The nodes are 'load', 'clean', 'split', 'train' and 'judge'."
            ),
        ),
        (
            with_edge(0, "load.table > claen.table"),
            (
                "[unknown_node] pipeline 'p', node 'load', port 'table': the edge "
                "'load.table → claen.table': there is no node 'claen'. "
                "Did you mean 'clean.table', which has no edge yet?"
            ),
        ),
        (
            with_edge(0, "load.tabel > clean.table"),
            (
                "[unknown_port] pipeline 'p', node 'load': the edge 'load.tabel → clean.table': block "
                "'load@1' has no output 'tabel'. Did you mean 'table'? The outputs are 'table'."
            ),
        ),
        (
            with_edge(0, "load.table > clean.tabel"),
            (
                "[unknown_port] pipeline 'p', node 'clean': the edge 'load.table → clean.tabel': block "
                "'clean@1' has no input 'tabel'. Did you mean 'clean.table', which has no edge yet?"
            ),
        ),
        (
            [*EDGES, "load.table > load.x"],
            (
                "[unknown_port] pipeline 'p', node 'load': the edge 'load.table → load.x': block "
                "'load@1' has no input 'x'. It has no inputs."
            ),
        ),
        (
            with_edge(0, "load > clean.table"),
            (
                "[malformed_edge] pipeline 'p', node 'clean', port 'table': the edge "
                "'load → clean.table': 'load' is not of the form 'node.output'. "
                "Did you mean 'load.table'?"
            ),
        ),
        (
            with_edge(0, "load.table > clean"),
            (
                "[malformed_edge] pipeline 'p', node 'load', port 'table': the edge "
                "'load.table → clean': 'clean' is not of the form 'node.input'. "
                "Did you mean 'clean.table', which has no edge yet?"
            ),
        ),
        (
            with_edge(3, "split.train > judge.model"),
            (
                "[wrong_type] pipeline 'p', node 'judge', port 'model': the edge "
                "'split.train → judge.model' brings a Table, but this input takes a Model. "
                "What fits: 'train.model'. What it brings goes into 'judge.table'."
            ),
        ),
        (
            with_edge(2, "split.train > train.weights"),
            (
                "[wrong_type] pipeline 'p', node 'train', port 'weights': the edge "
                "'split.train → train.weights' brings a Table, but this input takes an Array. "
                "Did you mean 'train.table', which has no edge yet?"
            ),
        ),
        (
            EDGES[1:],
            (
                "[missing_input] pipeline 'p', node 'clean', port 'table': this input takes a Table "
                "and has no edge. What fits: 'load.table', 'split.train' and 'split.test'."
            ),
        ),
        (
            [*EDGES, "load.table > train.table"],
            (
                "[too_many_edges] pipeline 'p', node 'train', port 'table': this input takes one edge "
                "and has 2: from 'split.train' and 'load.table'. Keep one."
            ),
        ),
        (
            [*EDGES, EDGES[0]],
            (
                "[double_edge] pipeline 'p': the edge 'load.table → clean.table' is there 2 times. "
                "Keep one."
            ),
        ),
        (
            with_edge(0, "clean.table > clean.table"),
            (
                "[self_loop] pipeline 'p', node 'clean', port 'table': the edge "
                "'clean.table → clean.table' leads from the node to itself. "
                "Take its input from another node."
            ),
        ),
        (
            with_edge(0, "split.test > clean.table"),
            (
                "[cycle] pipeline 'p': the nodes form a cycle: clean → split → clean. "
                "Remove one of these edges."
            ),
        ),
        (
            [*EDGES, "split.test > clean.table"],
            (
                "[cycle] pipeline 'p': the nodes form a cycle: clean → split → clean. "
                "Remove the edge 'split.test → clean.table': 'load.table' feeds that input already."
            ),
        ),
    ],
)
def test_one_wrong_edge_gives_one_message(edges: list[str], message: str) -> None:
    assert only(data(edges=edges)) == message


@pytest.mark.parametrize(
    ("node", "block", "config", "message"),
    [
        (
            "clean",
            "claen",
            {"anything": 1},
            (
                "[unknown_block] pipeline 'p', node 'clean': there is no block 'claen'. "
                "Did you mean 'clean'? See `constellation block list` for all blocks."
            ),
        ),
        (
            "clean",
            "clean@3",
            {},
            (
                "[unknown_block] pipeline 'p', node 'clean': block 'clean' has no version '3'. "
                "There is 'clean@1'."
            ),
        ),
        (
            "load",
            "load",
            {"ulr": "a.csv"},
            (
                "[unknown_config_key] pipeline 'p', node 'load': block 'load@1': there is no config "
                "key 'ulr', and 'url' is missing. Did you mean 'url'? The keys are 'url' and 'limit'."
            ),
        ),
        (
            "load",
            "load",
            {},
            (
                "[missing_config] pipeline 'p', node 'load': block 'load@1': config key 'url' is "
                "missing."
            ),
        ),
        (
            "clean",
            "clean",
            {"table": "x"},
            (
                "[unknown_config_key] pipeline 'p', node 'clean': block 'clean@1': there is no config "
                "key 'table'. That is an input port: an edge feeds it, not the configuration."
            ),
        ),
        (
            "split",
            "split",
            {"seed": 1},
            (
                "[unknown_config_key] pipeline 'p', node 'split': block 'split@1': there is no config "
                "key 'seed'. It takes no keys."
            ),
        ),
        (
            "clean",
            "clean",
            {"strategy": "medain"},
            (
                "[bad_config] pipeline 'p', node 'clean': block 'clean@1': config key 'strategy' must "
                "be 'mean' or 'median', not 'medain'. Did you mean 'median'?"
            ),
        ),
        (
            "load",
            "load",
            {"url": ""},
            (
                "[bad_config] pipeline 'p', node 'load': block 'load@1': config key 'url' must not be "
                "empty."
            ),
        ),
        (
            "load",
            "load",
            {"url": "a", "limit": 0},
            (
                "[bad_config] pipeline 'p', node 'load': block 'load@1': config key 'limit' must be at "
                "least 1, not 0."
            ),
        ),
        (
            "load",
            "load",
            {"url": 5},
            (
                "[bad_config] pipeline 'p', node 'load': block 'load@1': config key 'url' must be "
                "text, not 5."
            ),
        ),
        (
            "load",
            "load",
            {"url": "a", "limit": 1.5},
            (
                "[bad_config] pipeline 'p', node 'load': block 'load@1': config key 'limit' must be a "
                "whole number, not 1.5."
            ),
        ),
    ],
)
def test_one_wrong_node_gives_one_message(
    node: str, block: str, config: dict[str, Any], message: str
) -> None:
    assert only(data({**NODES, node: (block, config)})) == message


def test_a_node_that_is_not_there_is_one_mistake_however_many_edges_name_it() -> None:
    nodes: Nodes = {id_: node for id_, node in NODES.items() if id_ != "clean"}
    assert only(data(nodes)).startswith(
        "[unknown_node] pipeline 'p': the edges 'load.table → clean.table', "
        "'clean.table → split.table': there is no node 'clean'."
    )
    renamed = {("claen" if id_ == "clean" else id_): node for id_, node in NODES.items()}
    assert only(data(renamed)).endswith("Did you mean 'claen.table', which has no edge yet?")


@pytest.mark.parametrize(
    "bad", ["Clean", "1clean", "clean!", "clean-", "cle an", "x" * 64, "", "á"]
)
@pytest.mark.parametrize("edges_too", [True, False])
def test_a_bad_node_id_is_one_mistake(bad: str, edges_too: bool) -> None:
    edges = [edge.replace("clean.", f"{bad}.") for edge in EDGES]
    nodes: Nodes = {(bad if id_ == "clean" else id_): node for id_, node in NODES.items()}
    if edges_too:
        assert only(data(nodes, edges)).startswith("[bad_name]")
    elif "clean" in bad.lower():
        assert only(data(nodes)).startswith("[bad_name]")


@pytest.mark.parametrize("bad", ["My-Pipe", "", "2go", "ö", "a\n"])
def test_a_bad_pipeline_name(bad: str) -> None:
    assert only(data(name=bad)).startswith("[bad_name]")
    assert "Write 'my_pipe', for example." in only(data(name="My-Pipe"))


@pytest.mark.parametrize("name", sorted(RESERVED_NAMES))
def test_a_reserved_name_is_one_for_pipelines_only(name: str) -> None:
    assert only(data(name=name)).startswith("[reserved_name]")
    nodes: Nodes = {(name if id_ == "clean" else id_): node for id_, node in NODES.items()}
    compiled(data(nodes, [edge.replace("clean.", f"{name}.") for edge in EDGES]))


def test_a_doubled_node_id() -> None:
    content = data()
    content["nodes"].append(content["nodes"][1])
    assert only(content) == (
        "[duplicate_node] pipeline 'p', node 'clean': 2 nodes have the id 'clean'. "
        "Give each its own."
    )


def test_no_nodes() -> None:
    assert only(data({}, [])) == "[no_nodes] pipeline 'p': it has no nodes. Add at least one."


@pytest.mark.parametrize(
    ("schedule", "code", "part"),
    [
        ({"cron": "0 6 * *"}, "bad_cron", "has 4 fields instead of five"),
        ({"cron": ""}, "bad_cron", "has 0 fields instead of five"),
        ({"cron": "0 0 6 * * *"}, "bad_cron", "has 6 fields instead of five"),
        ({"cron": "0 25 * * *"}, "bad_cron", "cannot be read"),
        ({"cron": "@fortnightly"}, "bad_cron", "cannot be read"),
        ({"cron": "0 0 31 2 *"}, "bad_cron", "a day that February never has"),
        ({"cron": "@daily", "timezone": "Europe/Berln"}, "bad_timezone", "mean 'Europe/Berlin'?"),
        ({"cron": "@daily", "timezone": "/etc/passwd"}, "bad_timezone", "is not known"),
    ],
)
def test_a_bad_schedule(schedule: dict[str, str], code: str, part: str) -> None:
    message = only(data(schedule=schedule))
    assert message.startswith(f"[{code}]")
    assert part in message


@pytest.mark.parametrize(
    "cron",
    ["0 6 * * 1-5", "*/5 * * * *", "@hourly", "0 0 1,15 * mon", "0 0 l * *", "0 0 * * 7",
     "0 6 * * 8", "60 * * * *", "* * * * * *", "0 0 30 2 *", "a b c d e", "0 0 31 4 *"],
)  # fmt: skip
def test_schedules_are_judged_as_dagster_judges_them(cron: str) -> None:
    try:
        compiled(data(schedule={"cron": cron}))
        accepted = True
    except PipelineInvalid:
        accepted = False
    assert accepted == is_valid_cron_string(cron)


@pytest.mark.parametrize(
    "tags",
    [{"a b": "c"}, {"a": "b c"}, {"dagster/kind": "x"}, {"constellation/run": "x"}, {"": ""}],
)
def test_a_bad_tag(tags: dict[str, str]) -> None:
    assert only(data(tags=tags)).startswith("[bad_tag]")
    compiled(data(tags={"team": "red", "corp/cost-center": "12"}))


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


def _timed(content: dict[str, Any]) -> tuple[Plan | PipelineInvalid, float]:
    spec = parse_pipeline(content)
    start = time.perf_counter()
    result: Plan | PipelineInvalid
    try:
        result = compile_pipeline(spec, EXAMPLES)
    except PipelineInvalid as error:
        result = error
    return result, time.perf_counter() - start


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
def test_shapes_compile_in_well_under_a_second(shape: str) -> None:
    nodes, edges = SHAPES[shape]
    content = data(nodes, edges)
    random.Random(0).shuffle(content["nodes"])
    plan, seconds = _timed(content)
    assert isinstance(plan, Plan)
    assert len(plan.nodes) == len(nodes)
    assert seconds < 1


WRECKS: dict[str, tuple[list[str], int]] = {
    "one cycle of 5,000": ([*LINKS[1:], "n4999.table > n0.table"], 1),
    "one closing edge": ([*LINKS, "n4999.table > n0.table"], 1),
    "targets unknown": ([link.replace("> n", "> m") for link in LINKS], 5000),
    "ports unknown": ([f"{link}s" for link in LINKS], 5000),
    "no edges": ([], 5000),
    "malformed": ([link.replace(".table", "") for link in LINKS], 10_000),
}


@pytest.mark.parametrize("wreck", WRECKS)
def test_thousands_of_mistakes_are_told_as_quickly(wreck: str) -> None:
    edges, count = WRECKS[wreck]
    error, seconds = _timed(data(CHAIN, edges))
    assert isinstance(error, PipelineInvalid)
    assert len(error.problems) == count
    assert seconds < 3
