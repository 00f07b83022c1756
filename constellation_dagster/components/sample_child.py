"""Runs the nodes of a draft on the first rows of its data: `python -P sample_child.py < TASK`.

It holds itself to limits, runs what it is told to and nothing else, and says on its standard
output how it goes, a line of JSON for each step: whoever started it may have to end it at any time.
"""

import importlib
import json
import math
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NoReturn, cast
from uuid import UUID

import numpy as np
import polars as pl
from loguru import logger
from pydantic import BaseModel, ConfigDict

from constellation_dagster.blocks.urls import within
from constellation_dagster.components.lending import resource_for
from constellation_dagster.components.runner import (
    NodeFailed,
    NodeSkipped,
    NodeStarted,
    call_here,
    run_plan,
)
from constellation_dagster.components.sample_files import first_lines
from constellation_dagster.domain.block import AnyBlock, BlockDefinition
from constellation_dagster.domain.compiler import compile_pipeline
from constellation_dagster.domain.errors import BlockFailed
from constellation_dagster.domain.places import Places
from constellation_dagster.domain.plan import OutputRef, Plan, PlanNode
from constellation_dagster.domain.registry import Registry
from constellation_dagster.domain.samples import describe_output
from constellation_dagster.domain.schemas import parse_pipeline
from constellation_dagster.domain.tables import TableStore

MORE_ROWS = 50
"""How many times as many rows are tried when the first ones do not do."""
THREADS = 2
_MOST_FILES = 256
_MOST_BYTES_OF_A_FILE = 64 * 2**20
_LATE_SECONDS = 5


class SampleTask(BaseModel):
    """What to run, and within which limits."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    spec: dict[str, Any]
    modules: tuple[str, ...]
    """The modules that the blocks are in."""
    nodes: tuple[str, ...]
    """The nodes to run; the parents of each are among them."""
    owner: UUID
    roots: tuple[Path, ...]
    """The folders that blocks may reach."""
    rows: int
    seconds: float
    memory_bytes: int


Say = Callable[[Mapping[str, Any]], None]


def main() -> None:
    """Reads the task, does it, and says how it goes."""
    say = _voice()
    task = SampleTask.model_validate_json(sys.stdin.read())
    logger.remove()
    plan = _plan(task)
    _limit(task)
    say({"ready": True})
    with within(places := Places(task.roots)):
        _run(task, plan, _Sources(places, task.rows * MORE_ROWS), say)
    say({"done": True})


def _voice() -> Say:
    """What blocks print must not get in between: from now on it goes to the standard error."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(line: Mapping[str, Any]) -> None:
        out.write(json.dumps(line) + "\n")
        out.flush()

    return say


def _plan(task: SampleTask) -> Plan:
    blocks = [block for module in task.modules for block in _blocks(module)]
    plan = compile_pipeline(parse_pipeline(task.spec), Registry.of(blocks))
    # What goes wrong by accident is told at once.
    return replace(plan, nodes=tuple(replace(node, retries=0) for node in plan.nodes))


def _blocks(module: str) -> Iterator[AnyBlock]:
    for name, value in vars(importlib.import_module(module)).items():
        if isinstance(value, BlockDefinition):
            block = cast("AnyBlock", value)
            function = block.function
            # Not what it has from elsewhere, nor a second name of the same.
            if (function.__module__, function.__name__) == (module, name):
                yield block


def _limit(task: SampleTask) -> None:
    seconds = math.ceil(task.seconds) + _LATE_SECONDS
    limits = {
        # Not the address space: much of what libraries reserve is never used.
        resource.RLIMIT_DATA: task.memory_bytes,
        resource.RLIMIT_CPU: seconds * THREADS,
        resource.RLIMIT_FSIZE: _MOST_BYTES_OF_A_FILE,
        resource.RLIMIT_NOFILE: _MOST_FILES,
        resource.RLIMIT_CORE: 0,
    }
    for limit, wanted in limits.items():
        _, hard = resource.getrlimit(limit)
        least = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(limit, (least, least))
    # Should the process that watches this one be gone, it ends by itself.
    signal.alarm(seconds)


def _run(task: SampleTask, plan: Plan, sources: "_Sources", say: Say) -> None:
    """The first rows may be too few, or all alike; then more are tried, if there are more."""
    rows = task.rows
    if _pass(task, plan, sources, rows, say) and sources.cut:
        _pass(task, plan, sources, rows * MORE_ROWS, say)


def _pass(task: SampleTask, plan: Plan, sources: "_Sources", rows: int, say: Say) -> bool:
    """Runs all nodes once; whether more rows might help."""
    say({"rows": rows})
    sources.rows = rows

    def lend(node: PlanNode) -> Mapping[str, Any]:
        names = node.block.resources
        lent = {name: resource_for(name, plan.pipeline.name, node.id, task.owner) for name in names}
        return {name: _ReadOnly(cast("TableStore", store)) for name, store in lent.items()}

    def call(
        node: PlanNode, inputs: Mapping[str, Any], resources: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        run = sources.call if node.block.kind == "source" else call_here
        try:
            return run(node, inputs, resources)
        except MemoryError as error:
            raise BlockFailed(memory_message(task.memory_bytes)) from error

    short = False
    for event in run_plan(plan, set(task.nodes), _no_load, lend, call):
        node = event.node
        if isinstance(event, NodeStarted):
            say({"node": node.id})
        elif isinstance(event, NodeFailed):
            say({"failed": node.id, "message": event.message})
            short = short or node.block.kind != "source"
        elif isinstance(event, NodeSkipped):
            say({"withheld": node.id, "because": event.because})
        else:
            for port in node.block.outputs:
                output = describe_output(port.type, event.values[port.name])
                say({"output": f"{node.id}.{port.name}", "value": output.model_dump(mode="json")})
    return short


@dataclass
class _Sources:
    """Calls each source once, and gives its first rows."""

    places: Places
    most_rows: int
    """How many rows they are ever asked for."""
    rows: int = 0
    cut: bool = False
    """Whether some source has more rows than it gave."""

    def __post_init__(self) -> None:
        self._whole: dict[str, Mapping[str, Any]] = {}

    def call(
        self, node: PlanNode, inputs: Mapping[str, Any], resources: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        if node.id not in self._whole:
            # One line more: the first may name the columns.
            with first_lines(self._asked_for_few(node), self.places, self.most_rows + 1) as short:
                self._whole[node.id] = call_here(short, inputs, resources)
        return {port: self._first(value) for port, value in self._whole[node.id].items()}

    def _asked_for_few(self, node: PlanNode) -> PlanNode:
        """A source that can be asked for so many rows need not bring all of a large table."""
        if "limit" not in node.block.config_model.model_fields:
            return node
        limit = cast("int | None", node.config["limit"])
        few = self.rows if limit is None else min(limit, self.rows)
        return replace(node, config={**node.config, "limit": few})

    def _first(self, value: Any) -> Any:
        if not isinstance(value, pl.DataFrame | np.ndarray | list):
            return value
        values = cast("Sequence[Any]", value)
        self.cut = self.cut or len(values) > self.rows
        return values[: self.rows]


class _ReadOnly:
    """The person's tables, for reading."""

    def __init__(self, store: TableStore) -> None:
        self._store = store

    def read(self, table: str, *, columns: Sequence[str] | None, limit: int | None) -> pl.DataFrame:
        return self._store.read(table, columns=columns, limit=limit)

    def write(
        self, table: str, frame: pl.DataFrame, *, mode: Literal["append", "replace"]
    ) -> NoReturn:
        raise BlockFailed(f"A run on a sample does not write {frame.height} rows to {table!r}.")

    def upsert(self, table: str, frame: pl.DataFrame, *, keys: Sequence[str]) -> NoReturn:
        raise BlockFailed(f"A run on a sample does not write {frame.height} rows to {table!r}.")


def memory_message(memory_bytes: int) -> str:
    """What to say of a node that needs more memory than it may have."""
    return (
        f"It needs more than the {memory_bytes / 2**20:.0f} MiB of memory that a run on a sample "
        "may use. Read a smaller file, or approve it as it is if a whole run may use more."
    )


def _no_load(ref: OutputRef) -> NoReturn:
    raise LookupError(f"{ref} is not among the outputs of the nodes to run")


if __name__ == "__main__":
    main()
