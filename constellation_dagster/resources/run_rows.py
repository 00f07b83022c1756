"""Rows of `runs`: what people asked to run, and what became of it."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from constellation_dagster.domain.errors import ConstellationError
from constellation_dagster.domain.states import FINAL_RUN_STATUSES, RUN_TRANSITIONS, RunStatus
from constellation_dagster.resources.rest import fetch

if TYPE_CHECKING:
    from supabase import Client

REQUESTS_PER_TICK = 100
OPEN_PER_TICK = 500


class RunCancelled(ConstellationError):
    """A run was called off before it started."""


class RunRequestRow(BaseModel):
    """A run that a person asked for and nobody has started."""

    model_config = ConfigDict(frozen=True)

    id: UUID
    pipeline_id: UUID
    pipeline: str
    nodes_selected: list[str] | None
    tags: dict[str, str]


class OpenRunRow(BaseModel):
    """A run row that is not final."""

    model_config = ConfigDict(frozen=True)

    id: UUID
    dagster_run_id: str | None


class RunRows:
    """Reads and writes run rows as the platform."""

    def __init__(self, client: "Client") -> None:
        self._client = client

    def requested(self, pipelines: Sequence[UUID]) -> list[RunRequestRow]:
        """Runs that wait to be started, of the given pipelines, oldest first."""
        if not pipelines:
            return []
        rows = fetch(
            self._client.table("runs")
            .select("id,pipeline_id,nodes_selected,tags,pipelines!inner(name)")
            .eq("status", "requested")
            .is_("dagster_run_id", "null")
            .in_("pipeline_id", [str(pipeline) for pipeline in pipelines])
            .order("requested_at")
            .limit(REQUESTS_PER_TICK)
        )
        return [
            RunRequestRow.model_validate(row | {"pipeline": row["pipelines"]["name"]})
            for row in rows
        ]

    def open(self) -> list[OpenRunRow]:
        """Rows that are not final, those that have waited longest first."""
        rows = fetch(
            self._client.table("runs")
            .select("id,dagster_run_id")
            .not_.in_("status", sorted(FINAL_RUN_STATUSES))
            .order("requested_at")
            .limit(OPEN_PER_TICK)
        )
        return [OpenRunRow.model_validate(row) for row in rows]

    def of_dagster_run(self, dagster_run_id: str, requested: str | None) -> list[str]:
        """Ids of the rows that tell of a Dagster run.

        Args:
            dagster_run_id: The run.
            requested: The row that the run was started for, if any; it may not know its run yet.
        """
        rows = fetch(self._client.table("runs").select("id").eq("dagster_run_id", dagster_run_id))
        ids = [row["id"] for row in rows]
        if requested and not ids and self._claim(requested, dagster_run_id):
            return [requested]
        return ids

    def started(
        self,
        pipeline_id: UUID,
        owner: UUID,
        version: int,
        dagster_run_id: str,
        requested: str | None,
        nodes: Sequence[str],
    ) -> str:
        """Says that a run works on a pipeline; makes a row when nobody asked for it by one.

        Returns:
            The row's id.

        Raises:
            RunCancelled: The person who asked for it has called it off meanwhile.
        """
        if requested and not self._claim(requested, dagster_run_id):
            if self._cancelled(requested):
                raise RunCancelled("The run was cancelled before it started.")
            # A person ran it again from the Dagster UI: that is another run, so another row.
            requested = None
        values = {
            "pipeline_id": str(pipeline_id),
            "version": version,
            "dagster_run_id": dagster_run_id,
            "status": "running",
        }
        if requested:
            fetch(self._client.table("runs").update(values).eq("id", requested))
            return requested
        row = values | {"owner": str(owner), "nodes_selected": list(nodes)}
        conflict = "dagster_run_id,pipeline_id"
        return fetch(self._client.table("runs").upsert(row, on_conflict=conflict))[0]["id"]

    def progress(self, run: str, node: str, entry: Mapping[str, Any]) -> None:
        """Merges what is known of one node into the row."""
        fetch(
            self._client.rpc("run_progress", {"run": run, "node": node, "entry": dict(entry)}),
            seconds=5.0,
        )

    def settle(self, run: str, status: RunStatus, error: Mapping[str, Any] | None = None) -> bool:
        """Moves a row on, unless it is already there or beyond.

        Returns:
            Whether the row changed.
        """
        before = [now for now, after in RUN_TRANSITIONS.items() if status in after]
        values: dict[str, Any] = {"status": status}
        if error is not None:
            values["error"] = dict(error)
        return bool(
            fetch(self._client.table("runs").update(values).eq("id", run).in_("status", before))
        )

    def _claim(self, run: str, dagster_run_id: str) -> bool:
        """Writes the Dagster run into a row that has none; true when it is this one's."""
        table = self._client.table("runs")
        fetch(
            table.update({"dagster_run_id": dagster_run_id})
            .eq("id", run)
            .is_("dagster_run_id", "null")
            .eq("status", "requested")
        )
        rows = fetch(self._client.table("runs").select("dagster_run_id").eq("id", run))
        return bool(rows) and rows[0]["dagster_run_id"] == dagster_run_id

    def _cancelled(self, run: str) -> bool:
        rows = fetch(self._client.table("runs").select("status,dagster_run_id").eq("id", run))
        return bool(rows) and rows[0] == {"status": RunStatus.CANCELLED, "dagster_run_id": None}
