"""Random pipelines that are right, and ways to make exactly one mistake in them."""

import copy
from collections.abc import Callable, Iterator
from typing import Any

from hypothesis import assume
from hypothesis import strategies as st

from constellation_dagster.domain.ports import PortType
from constellation_dagster.domain.registry import AnyBlock
from tests.domain.example_blocks import EXAMPLES

Content = dict[str, Any]
Draw = Callable[[st.SearchStrategy[Any]], Any]
BLOCKS = list(EXAMPLES)


def _block(node: Content) -> AnyBlock:
    return EXAMPLES.get(node["block"])


def _outputs(content: Content, kind: PortType | None = None) -> list[str]:
    return [
        f"{node['id']}.{port.name}"
        for node in content["nodes"]
        for port in _block(node).outputs
        if kind in (None, port.type)
    ]


@st.composite
def pipelines(draw: st.DrawFn, prefix: str = "n", most: int = 12) -> Content:
    """A pipeline without any mistake."""
    content: Content = {"name": "p", "nodes": [], "edges": []}
    for index in range(draw(st.integers(1, most))):
        ready = [
            block
            for block in BLOCKS
            if all(_outputs(content, port.type) for port in block.inputs if port.required)
        ]
        block = draw(st.sampled_from(ready))
        node_id = f"{prefix}{index}"
        for port in block.inputs:
            sources = _outputs(content, port.type)
            least = 1 if port.required else 0
            count = draw(st.integers(least, 3)) if port.many else draw(st.integers(least, 1))
            chosen = draw(st.lists(st.sampled_from(sources), max_size=count, min_size=min(count, 1),
                                   unique=True)) if sources else []  # fmt: skip
            content["edges"] += [
                {"source": source, "target": f"{node_id}.{port.name}"} for source in chosen
            ]
        config: Content = {"url": "a.csv"} if block.name == "load" else {}
        content["nodes"].append({"id": node_id, "block": block.name, "config": config})
    return content


def _node(draw: Draw, content: Content, names: set[str] | None = None) -> Content:
    nodes = [node for node in content["nodes"] if names is None or node["block"] in names]
    assume(nodes)
    return draw(st.sampled_from(nodes))


def _edge(draw: Draw, content: Content) -> Content:
    assume(content["edges"])
    return draw(st.sampled_from(content["edges"]))


def unknown_block(draw: Draw, content: Content) -> None:
    _node(draw, content)["block"] = draw(st.sampled_from(["zzz", "clean@9", "", "@", "load@"]))


def unknown_config_key(draw: Draw, content: Content) -> None:
    _node(draw, content)["config"]["zzz"] = draw(st.none() | st.integers() | st.text("ab"))


def missing_config(draw: Draw, content: Content) -> None:
    del _node(draw, content, {"load"})["config"]["url"]


def bad_config(draw: Draw, content: Content) -> None:
    node = _node(draw, content, {"load", "clean"})
    key = "url" if node["block"] == "load" else "strategy"
    node["config"][key] = draw(st.sampled_from(["", 5, None, ["mean"], {"a": 1}, True]))


def duplicate_node(draw: Draw, content: Content) -> None:
    content["nodes"].append(copy.deepcopy(_node(draw, content)))


def bad_name(draw: Draw, content: Content) -> None:
    node = _node(draw, content)
    old, new = (
        node["id"],
        draw(st.sampled_from(["A", "1a", "a b", "a.b", "a-b", "", "ä", "x" * 64])),
    )
    node["id"] = new
    for edge in content["edges"]:
        for end in ("source", "target"):
            name, _, port = edge[end].rpartition(".")
            edge[end] = f"{new if name == old else name}.{port}"


def reserved_name(draw: Draw, content: Content) -> None:
    content["name"] = "deployments"


def double_edge(draw: Draw, content: Content) -> None:
    content["edges"].append(dict(_edge(draw, content)))


def _fed_once(content: Content) -> list[Content]:
    """Edges that are the only one into a required input."""
    targets = [edge["target"] for edge in content["edges"]]
    return [edge for edge in content["edges"]
            if targets.count(edge["target"]) == 1 and not edge["target"].endswith(".weights")]  # fmt: skip


def missing_input(draw: Draw, content: Content) -> None:
    edges = _fed_once(content)
    assume(edges)
    content["edges"].remove(draw(st.sampled_from(edges)))


def unknown_source(draw: Draw, content: Content) -> None:
    edge = _edge(draw, content)
    edge["source"] = f"{content['nodes'][0]['id']}zz." + edge["source"].rpartition(".")[2]


def unknown_target(draw: Draw, content: Content) -> None:
    edge = _edge(draw, content)
    edge["target"] = "nowhere." + edge["target"].rpartition(".")[2]


def unknown_port(draw: Draw, content: Content) -> None:
    edge, end = _edge(draw, content), draw(st.sampled_from(["source", "target"]))
    edge[end] = edge[end].rpartition(".")[0] + draw(st.sampled_from([".zzz", ".tabel", ". "]))


def malformed_edge(draw: Draw, content: Content) -> None:
    edge, end = _edge(draw, content), draw(st.sampled_from(["source", "target"]))
    edge[end] = edge[end].rpartition(".")[0] + draw(st.sampled_from(["", "."]))


def _type_of(content: Content, output: str) -> PortType:
    name, _, port = output.rpartition(".")
    node = next(node for node in content["nodes"] if node["id"] == name)
    found = _block(node).output(port)
    assert found is not None
    return found.type


def wrong_type(draw: Draw, content: Content) -> None:
    edge = _edge(draw, content)
    present = _type_of(content, edge["source"])
    others = [output for output in _outputs(content)
              if _type_of(content, output) is not present
              and output.rpartition(".")[0] != edge["target"].rpartition(".")[0]]  # fmt: skip
    assume(others)
    edge["source"] = draw(st.sampled_from(others))


def too_many_edges(draw: Draw, content: Content) -> None:
    edges = [edge for edge in content["edges"] if not edge["target"].endswith(".tables")]
    assume(edges)
    edge = draw(st.sampled_from(edges))
    ids = [node["id"] for node in content["nodes"]]
    place = ids.index(edge["target"].rpartition(".")[0])
    # From a node made earlier, so that no cycle comes of it.
    others = [output for output in _outputs(content, _type_of(content, edge["source"]))
              if ids.index(output.rpartition(".")[0]) < place and output != edge["source"]]  # fmt: skip
    assume(others)
    content["edges"].append({"source": draw(st.sampled_from(others)), "target": edge["target"]})


def self_loop(draw: Draw, content: Content) -> None:
    edge = _edge(draw, content)
    name = edge["target"].rpartition(".")[0]
    node = next(node for node in content["nodes"] if node["id"] == name)
    edge["source"] = f"{name}.{_block(node).outputs[0].name}"


def _descendants(content: Content, start: str) -> set[str]:
    found = {start}
    for node in content["nodes"]:  # in an order in which parents come first
        if any(edge["target"].rpartition(".")[0] == node["id"]
               and edge["source"].rpartition(".")[0] in found for edge in content["edges"]):  # fmt: skip
            found.add(node["id"])
    return found - {start}


def cycle(draw: Draw, content: Content) -> None:
    choices: list[tuple[Content, str]] = []
    for edge in content["edges"]:
        below = _descendants(content, edge["target"].rpartition(".")[0])
        choices += [(edge, output) for output in _outputs(content, _type_of(content, edge["source"]))
                    if output.rpartition(".")[0] in below]  # fmt: skip
    assume(choices)
    edge, output = draw(st.sampled_from(choices))
    if draw(st.booleans()):
        edge["source"] = output
    else:
        content["edges"].append({"source": output, "target": edge["target"]})


def bad_cron(draw: Draw, content: Content) -> None:
    content.setdefault("schedule", {})["cron"] = draw(st.sampled_from(["", "x", "61 * * * *"]))


def bad_timezone(draw: Draw, content: Content) -> None:
    content["schedule"] = {
        "cron": "@daily",
        "timezone": draw(st.sampled_from(["", "Mars", "utc "])),
    }


def bad_tag(draw: Draw, content: Content) -> None:
    content["tags"] = {draw(st.sampled_from(["", "a b", "dagster/x"])): "x"}


OF_NODES: dict[Callable[[Draw, Content], None], str] = {
    unknown_block: "unknown_block",
    unknown_config_key: "unknown_config_key",
    missing_config: "missing_config",
    bad_config: "bad_config",
    duplicate_node: "duplicate_node",
    bad_name: "bad_name",
}
OF_EDGES: dict[Callable[[Draw, Content], None], str] = {
    double_edge: "double_edge",
    missing_input: "missing_input",
    unknown_source: "unknown_node",
    unknown_target: "unknown_node",
    unknown_port: "unknown_port",
    malformed_edge: "malformed_edge",
    wrong_type: "wrong_type",
    too_many_edges: "too_many_edges",
    self_loop: "self_loop",
    cycle: "cycle",
}
OF_THE_WHOLE: dict[Callable[[Draw, Content], None], str] = {
    reserved_name: "reserved_name",
    bad_cron: "bad_cron",
    bad_timezone: "bad_timezone",
    bad_tag: "bad_tag",
}


def _all() -> Iterator[tuple[Callable[[Draw, Content], None], str]]:
    for corruptions in (OF_NODES, OF_EDGES, OF_THE_WHOLE):
        yield from corruptions.items()


CORRUPTIONS = dict(_all())
