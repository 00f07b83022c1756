"""Blocks that are small enough to say everything about a run."""

from typing import Annotated, NamedTuple

import polars as pl
from loguru import logger
from pydantic import Field

from constellation_dagster.domain.block import block
from constellation_dagster.domain.compiler import compile_pipeline
from constellation_dagster.domain.errors import BlockFailed
from constellation_dagster.domain.plan import Plan
from constellation_dagster.domain.ports import Metrics, Table
from constellation_dagster.domain.registry import Registry
from constellation_dagster.domain.schemas import parse_pipeline


class Halves(NamedTuple):
    """Two tables."""

    first: Table
    second: Table


@block(kind="source")
def numbers(*, rows: Annotated[int, Field(description="How many rows.")] = 4) -> Table:
    """Makes rows 0, 1, 2, …"""
    logger.info("making {} rows", rows)
    return pl.DataFrame({"number": range(rows)})


@block(kind="transform")
def halve(table: Table) -> Halves:
    """Splits a table in the middle."""
    middle = table.height // 2
    return Halves(table.head(middle), table.tail(table.height - middle))


@block(kind="transform")
def join(tables: list[Table]) -> Table:
    """Puts tables one below the other, in the order of their edges."""
    return pl.concat(tables)


@block(kind="transform")
def explode(table: Table) -> Table:
    """Fails as a block with a bug does."""
    raise ValueError(f"{table.height} rows are too many")


@block(kind="transform")
def refuse(table: Table) -> Table:
    """Fails as a block does whose user made a mistake."""
    raise BlockFailed(f"There is no column 'x' among {table.columns}.", "Choose another.")


@block(kind="evaluate")
def count(table: Table) -> Metrics:
    """Counts rows."""
    return {"rows": float(table.height)}


REGISTRY = Registry.of([numbers, halve, join, explode, refuse, count])


def plan_of(name: str, nodes: dict[str, str], *edges: str) -> Plan:
    """Compiles `{id: block}` and edges written as `a.table > b.table`."""
    pairs = [edge.split(" > ") for edge in edges]
    return compile_pipeline(
        parse_pipeline(
            {
                "name": name,
                "nodes": [{"id": node, "block": ref} for node, ref in nodes.items()],
                "edges": [{"source": source, "target": target} for source, target in pairs],
            }
        ),
        REGISTRY,
    )
