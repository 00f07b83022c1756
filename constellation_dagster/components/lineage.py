"""Where nodes meet models: which deployments they call, and which of them make packages.

Data → model → package → image → deployment → predictions is one graph of assets. Of it, a pipeline
brings the first and the last edge.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import dagster as dg

from constellation_dagster.domain.plan import Plan, PlanNode

PACKAGES_KEY = dg.AssetKey("model_packages")
DEPLOYMENTS_KEY = dg.AssetKey("deployments")
# On nodes that `model_packages` depends on.
REGISTERS_TAG = "constellation/registers"


def model_keys(node: PlanNode) -> set[dg.AssetKey]:
    """The assets of models that a node depends on."""
    if "endpoints" not in node.block.resources:
        return set()
    return {DEPLOYMENTS_KEY if "deployment" in node.config else PACKAGES_KEY}


def model_deps(plan: Plan) -> list[dg.AssetDep]:
    """What a plan's assets definition depends on beside blocks.

    The mapping names partitions, since Dagster's own choice cannot be loaded between a dynamic
    partition and an asset without; they need not exist yet.
    """
    callers = [node for node in plan.nodes if "endpoints" in node.block.resources]
    deployments = sorted({str(n.config["deployment"]) for n in callers if "deployment" in n.config})
    packages = sorted({str(n.config["package"]) for n in callers if "package" in n.config})
    named = ((DEPLOYMENTS_KEY, deployments), (PACKAGES_KEY, packages))
    return [
        dg.AssetDep(key, partition_mapping=dg.SpecificPartitionsPartitionMapping(names))
        for key, names in named
        if names
    ]


def registering(plan: Plan) -> frozenset[str]:
    """The nodes that make packages, but for those that learn from what an endpoint predicted.

    For these `model_packages` would be upstream of itself, and a cycle takes the location down.
    """
    tainted: set[str] = set()
    found: set[str] = set()
    for node in plan.nodes:
        if model_keys(node) or tainted & set(node.parents):
            tainted.add(node.id)
        elif "models" in node.block.resources:
            found.add(node.id)
    return frozenset(found)


def registering_keys(assets: Iterable[Any]) -> Sequence[dg.AssetKey]:
    """The nodes with `REGISTERS_TAG` among loaded assets, sorted."""
    specs: Iterable[dg.AssetSpec] = (
        spec
        for definition in assets
        if isinstance(definition, dg.AssetsDefinition)
        for spec in definition.specs
    )
    return sorted(spec.key for spec in specs if REGISTERS_TAG in spec.tags)


def registers_tag(node: PlanNode, makers: frozenset[str]) -> Mapping[str, str]:
    """The tag of a node that makes packages."""
    return {REGISTERS_TAG: "model"} if node.id in makers else {}
