"""What the blocks say about themselves."""

import re
from typing import Any, cast

import pytest
import yaml

from constellation_dagster import blocks
from constellation_dagster.domain.compiler import compile_pipeline
from constellation_dagster.domain.registry import AnyBlock, Registry
from constellation_dagster.domain.schemas import parse_pipeline

STANDARD = Registry.of(cast("AnyBlock", getattr(blocks, name)) for name in blocks.__all__)

# A node for each type of input that an example may need.
SUPPLIERS: dict[str, dict[str, Any]] = {
    "Table": {"id": "supply_table", "block": "sample_data", "config": {"name": "iris"}},
    "Model": {"id": "supply_model", "block": "train_classifier", "config": {"target": "target"}},
    "Metrics": {"id": "supply_metrics", "block": "cross_validate", "config": {"target": "target"}},
    "Image": {"id": "supply_image", "block": "read_image", "config": {"url": "a.png"}},
    "Text": {"id": "supply_text", "block": "read_text", "config": {"url": "a.txt"}},
}


def _example(block: AnyBlock) -> dict[str, Any]:
    found = re.findall(r"```yaml\n(.*?)```", block.doc, re.DOTALL)
    assert len(found) == 1, "one example each"
    nodes: list[dict[str, Any]] = yaml.safe_load(found[0])
    assert len(nodes) == 1
    return nodes[0]


@pytest.mark.parametrize("block", STANDARD.blocks, ids=lambda block: block.name)
def test_the_example_compiles(block: AnyBlock) -> None:
    node = _example(block)
    assert node["block"] == block.name
    nodes = [*SUPPLIERS.values(), node]
    edges = [
        {"source": "supply_table.table", "target": f"{learner}.table"}
        for learner in ("supply_model", "supply_metrics")
    ] + [
        {
            "source": f"supply_{port.type.lower()}.{port.type.lower()}",
            "target": f"{node['id']}.{port.name}",
        }
        for port in block.inputs
    ]
    compile_pipeline(parse_pipeline({"name": "p", "nodes": nodes, "edges": edges}), STANDARD)


@pytest.mark.parametrize("block", STANDARD.blocks, ids=lambda block: block.name)
def test_everything_is_described(block: AnyBlock) -> None:
    assert block.summary.endswith(".")
    assert len(block.summary) <= 80
    properties = cast("dict[str, dict[str, Any]]", block.config_schema.get("properties", {}))
    for key, schema in properties.items():
        assert str(schema["description"]).endswith("."), key
    if len(block.outputs) > 1:
        assert all(port.description for port in block.outputs)
