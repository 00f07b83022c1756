"""One wrong node or edge gives one message."""

from typing import Any

import pytest

from constellation_dagster.domain.plan import OutputRef
from tests.domain.compiling import EDGES, NODES, Nodes, compiled, data, only, with_edge


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
