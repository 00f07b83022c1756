"""Tells a run's row how its nodes get on, while they run."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from constellation_dagster.components.runner import (
    NodeEvent,
    NodeFailed,
    NodeSkipped,
    NodeStarted,
    NodeSucceeded,
)
from constellation_dagster.domain.errors import ConstellationError
from constellation_dagster.domain.ports import PortType
from constellation_dagster.domain.states import RunStatus
from constellation_dagster.resources.run_rows import RunCancelled, RunRows


@dataclass(frozen=True)
class RunStart:
    """What a run's row says from its beginning.

    Attributes:
        pipeline_id: The pipeline's row.
        owner: Its owner.
        version: The published version that runs.
        dagster_run_id: Dagster's id of the run.
        requested: The row that asked for the run, if any; without one a row is made.
        nodes: The nodes that run.
    """

    pipeline_id: UUID
    owner: UUID
    version: int
    dagster_run_id: str
    requested: str | None
    nodes: Sequence[str]


class RunReporter:
    """Writes progress into one row of `runs`.

    A node that ran is not undone because nobody could be told: what cannot be written is kept and
    goes out with the next news, and a reconciler settles the row if it never does.
    """

    def __init__(self, rows: RunRows, start: RunStart, warn: Callable[[str], object]) -> None:
        self._rows = rows
        self._start = start
        self._warn = warn
        self._run: str | None = None
        self._began: dict[str, str] = {}
        self._unsent: dict[str, dict[str, Any]] = {}
        self._failure: dict[str, Any] | None = None

    def started(self) -> None:
        """Says that the run runs.

        Raises:
            RunCancelled: It was called off before it started.
        """
        self._send()

    def node(self, event: NodeEvent) -> None:
        """Writes one node's news."""
        self._unsent[event.node.id] = self._entry(event)
        self._send()

    def failed(self, message: str, failures: Sequence[NodeFailed]) -> None:
        """Writes why the run failed; Dagster's own word on it is less to the point."""
        self._failure = {
            "message": message,
            "nodes": {failure.node.id: failure.message for failure in failures},
        }
        self._send()

    def _entry(self, event: NodeEvent) -> dict[str, Any]:
        node = event.node.id
        now = datetime.now(UTC).isoformat()
        if isinstance(event, NodeStarted):
            self._began[node] = now
            return {"status": "running", "started_at": now}
        if isinstance(event, NodeSkipped):
            return {"status": "skipped", "because": event.because}
        times = {"started_at": self._began[node], "finished_at": now}
        if isinstance(event, NodeFailed):
            return times | {"status": "failed", "error": event.message}
        return times | {"status": "succeeded"} | _results(event)

    def _send(self) -> None:
        try:
            if self._run is None:
                self._run = self._rows.started(**vars(self._start))
            for node in list(self._unsent):
                self._rows.progress(self._run, node, self._unsent[node])
                del self._unsent[node]
            if self._failure is not None:
                self._rows.settle(self._run, RunStatus.FAILED, self._failure)
        except RunCancelled:
            raise
        except ConstellationError as error:
            self._warn(f"The run's row could not be written: {error}")


def _results(event: NodeSucceeded) -> dict[str, Any]:
    """What a person asks about first: row counts of tables, and metrics."""
    results: dict[str, Any] = {}
    for port in event.node.block.outputs:
        value = event.values[port.name]
        if port.type is PortType.TABLE:
            results.setdefault("rows", {})[port.name] = value.height
        elif port.type is PortType.METRICS:
            # JSON in Postgres has no NaN.
            finite = {name: number for name, number in value.items() if math.isfinite(number)}
            results.setdefault("metrics", {})[port.name] = finite
    return results
