"""`[blocks, name]`: the block library as assets; materializing one publishes its row."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from constellation_dagster.domain.block import AnyBlock
from constellation_dagster.domain.registry import Registry
from constellation_dagster.resources.supabase import SupabaseResource

GROUP = "blocks"


def block_assets(registry: Registry) -> dg.AssetsDefinition:
    """One asset per block name; `code_version` is that of its newest version."""
    newest = {block.name: block for block in registry}

    @dg.multi_asset(
        name="publish_blocks", specs=[_spec(block) for block in newest.values()], can_subset=True
    )
    def publish_blocks(
        context: dg.AssetExecutionContext, supabase: SupabaseResource
    ) -> Iterator[dg.MaterializeResult[Any]]:
        for key in sorted(context.selected_asset_keys):
            versions = [block for block in registry if block.name == key.path[-1]]
            for block in versions:
                supabase.blocks.publish(block)
            yield dg.MaterializeResult(
                asset_key=key, metadata={"versions": [block.ref for block in versions]}
            )

    return publish_blocks


def block_key(name: str) -> dg.AssetKey:
    """The asset of a block."""
    return dg.AssetKey([GROUP, name])


def _spec(block: AnyBlock) -> dg.AssetSpec:
    return dg.AssetSpec(
        key=block_key(block.name),
        group_name=GROUP,
        description=block.doc,
        code_version=block.code_version,
        kinds={"block", block.kind},
        metadata={
            "inputs": {port.name: port.type_name for port in block.inputs},
            "outputs": {port.name: port.type_name for port in block.outputs},
            "config": block.config_schema,
        },
    )
