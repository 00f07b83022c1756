"""Rows of `blocks`: the catalogue that people draw pipelines from."""

from typing import TYPE_CHECKING, Any

from constellation_dagster.domain.block import AnyBlock
from constellation_dagster.resources.rest import fetch

if TYPE_CHECKING:
    from supabase import Client


class BlockRows:
    """Reads and writes the platform's own rows of `blocks`."""

    def __init__(self, client: "Client") -> None:
        self._table = client.table("blocks")

    def code_versions(self) -> dict[str, str]:
        """`code_version` by `name@version` of the rows that are not retired."""
        rows = fetch(
            self._table.select("name", "version", "code_version")
            .is_("owner", "null")
            .is_("retired_at", "null")
        )
        return {f"{row['name']}@{row['version']}": row["code_version"] for row in rows}

    def publish(self, block: AnyBlock) -> None:
        """Writes a block's row, a new one or the one of its name and version."""
        fetch(self._table.upsert(_row(block), on_conflict="name,version"))


def _row(block: AnyBlock) -> dict[str, Any]:
    return {
        "owner": None,
        "name": block.name,
        "version": block.version,
        "kind": block.kind,
        "summary": block.summary,
        "doc": block.doc,
        "inputs": [_port(port) for port in block.inputs],
        "outputs": [_port(port) for port in block.outputs],
        "config_schema": block.config_schema,
        "requirements": list(block.requirements),
        "resources": list(block.resources),
        "code_version": block.code_version,
        "phrases": list(block.phrases),
        "retired_at": None,
    }


def _port(port: Any) -> dict[str, Any]:
    return {
        "name": port.name,
        "type": port.type_name,
        "required": port.required,
        "description": port.description,
    }
