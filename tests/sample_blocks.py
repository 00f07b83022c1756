"""Blocks that misbehave, each in its own way, for the run on a sample."""

import os
import signal
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import polars as pl
from pydantic import Field

from constellation_dagster.domain.block import block
from constellation_dagster.domain.errors import BlockFailed
from constellation_dagster.domain.ports import Json, Table, Text
from constellation_dagster.domain.registry import Registry
from constellation_dagster.domain.tables import TableStore


@block(kind="source")
def count_up(*, rows: Annotated[int, Field(description="How many rows.")] = 4) -> Table:
    """Makes rows 0, 1, 2, …"""
    return pl.DataFrame({"number": range(rows)})


@block(kind="source")
def count_few(*, limit: Annotated[int | None, Field(description="The most rows.")] = None) -> Table:
    """Makes as many rows as it is asked for; all of them are too many."""
    if limit is None:
        raise BlockFailed("All rows were asked for.")
    return pl.DataFrame({"number": range(limit)})


@block(kind="transform")
def wait_forever(table: Table) -> Table:
    """Never comes to an end."""
    while True:
        time.sleep(0.1)


@block(kind="transform")
def hoard(table: Table) -> Table:
    """Takes memory until there is none."""
    held: list[np.ndarray[tuple[int], np.dtype[np.float64]]] = []
    while True:
        held.append(np.ones(8_000_000))


@block(kind="transform")
def hoard_in_rust(table: Table) -> Table:
    """Takes memory where no exception comes of it."""
    return table.select(pl.int_range(0, 10**10).alias("number"))


@block(kind="transform")
def die(table: Table) -> Table:
    """Is killed by somebody."""
    os.kill(os.getpid(), signal.SIGKILL)
    return table


@block(kind="transform")
def need_rows(
    table: Table, *, rows: Annotated[int, Field(description="How many are needed.")]
) -> Table:
    """Fails with too few rows."""
    if table.height < rows:
        raise BlockFailed(f"{table.height} rows are too few.")
    return table


@block(kind="evaluate")
def look_around(table: Table) -> Json:
    """Tells of the process that it is in; prints, as blocks may."""
    print("not a line of JSON")
    return [*sorted(os.environ), str(Path.cwd())]


@block(kind="transform", resources=("tables",))
def write_in_secret(table: Table, *, tables: TableStore) -> Table:
    """Is no sink, and writes."""
    tables.write("houses", table, mode="append")
    return table


@block(kind="evaluate")
def say_odd_things(table: Table) -> Text:
    """Makes a text that a database does not take, and a long one."""
    return "\0\ud800" + "long " * 1000


REGISTRY = Registry.of(
    [
        *(count_up, count_few, wait_forever, hoard, hoard_in_rust, die, need_rows),
        *(look_around, write_in_secret, say_odd_things),
    ]
)
