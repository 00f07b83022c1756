"""A block that needs a package which the platform has not."""

import importlib
from typing import Annotated, Any, NamedTuple

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
from tests.small_blocks import count, numbers

REQUIREMENT = "roman==5.2"


class Numerals(NamedTuple):
    """A table and how long its numerals are."""

    table: Table
    metrics: Metrics


@block(kind="transform", requirements=[REQUIREMENT])
def roman(
    tables: list[Table],
    *,
    add: Annotated[int, Field(description="Added to each number; Rome had no zero.")] = 1,
) -> Numerals:
    """Writes numbers as Romans did."""
    numerals: Any = importlib.import_module("roman")
    logger.info("writing {} tables", len(tables))
    numbers = pl.concat(tables)["number"] + add
    if (numbers < 0).any():
        raise BlockFailed("Romans had no negative numbers.", "Add more.")
    written = [str(numerals.toRoman(number)) for number in numbers]
    return Numerals(
        pl.DataFrame({"number": numbers, "roman": written}),
        {"longest": float(max(map(len, written)))},
    )


def roman_plan(add: int = 1) -> Plan:
    """Numbers, twice; their numerals; how many there are."""
    return compile_pipeline(
        parse_pipeline(
            {
                "name": "p",
                "nodes": [
                    {"id": "some", "block": "numbers"},
                    {"id": "more", "block": "numbers", "config": {"rows": 2}},
                    {"id": "roman", "block": "roman", "config": {"add": add}},
                    {"id": "count", "block": "count"},
                ],
                "edges": [
                    {"source": "some.table", "target": "roman.tables"},
                    {"source": "more.table", "target": "roman.tables"},
                    {"source": "roman.table", "target": "count.table"},
                ],
            }
        ),
        Registry.of([numbers, roman, count]),
    )
