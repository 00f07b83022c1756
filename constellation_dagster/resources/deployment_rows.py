"""Rows of `deployments`, as the platform reads and writes them."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from constellation_dagster.domain.deployments import (
    DeploymentStatusSchema,
    ResolvedPackage,
    Revision,
)
from constellation_dagster.domain.errors import ConstellationError
from constellation_dagster.domain.states import DeploymentStatus, PackageStatus
from constellation_dagster.resources.rest import fetch

if TYPE_CHECKING:
    from supabase import Client

PAGE = 500


class PackageNotReady(ConstellationError):
    """A package that is to be deployed is not there, or not yet."""

    def __init__(self, message: str, *, final: bool) -> None:
        self.final = final
        super().__init__(message)


class Report(BaseModel):
    """What is told about a deployment; what is not set stays as it was."""

    model_config = ConfigDict(frozen=True)

    status: DeploymentStatus | None = None
    generation: int | None = Field(default=None, description="What the report is about.")
    observed: Mapping[str, Any] | None = None
    url: str | None = None
    error: Mapping[str, Any] | None = None
    revision: Revision | None = Field(default=None, description="What runs and is healthy.")

    def payload(self) -> dict[str, Any]:
        """As `report_deployment` takes it; an error that was set to None is taken away."""
        told = self.model_dump(mode="json", exclude_none=True)
        if "error" in self.model_fields_set and self.error is None:
            told["error"] = None
        return told


class DeploymentRows:
    """Reads and writes deployments as the platform."""

    def __init__(self, client: "Client") -> None:
        self._client = client

    def all(self) -> list[DeploymentStatusSchema]:
        """Everybody's deployments, by name."""
        return [DeploymentStatusSchema.model_validate(row) for row in self._pages()]

    def by_name(self, name: str) -> DeploymentStatusSchema | None:
        """One deployment, or None when nobody wants it (any more)."""
        rows = fetch(self._client.table("deployments").select("*").eq("name", name))
        return DeploymentStatusSchema.model_validate(rows[0]) if rows else None

    def resolve(self, ref: str, owner: UUID) -> ResolvedPackage:
        """What a reference to one of an owner's packages stands for now.

        Raises:
            PackageNotReady: It is rejected (`final`), or is not packaged yet.
        """
        rows = fetch(self._client.rpc("resolve_package", {"ref": ref, "owner": str(owner)}))
        if not rows:
            raise PackageNotReady(f"There is no package {ref!r} of the owner's.", final=True)
        [row] = rows
        if row["status"] == PackageStatus.REJECTED:
            raise PackageNotReady(f"Package {row['package']!r} is rejected.", final=True)
        if row["digest"] is None:
            raise PackageNotReady(f"Package {row['package']!r} is being packaged.", final=False)
        return ResolvedPackage(ref=row["package"], digest=row["digest"], image=row["image"])

    def last_revision(self, deployment: UUID) -> Revision | None:
        """What a deployment was when it was healthy last."""
        rows = fetch(
            self._client.table("deployment_revisions")
            .select("spec")
            .eq("deployment_id", str(deployment))
            .order("revision", desc=True)
            .limit(1)
        )
        return Revision.model_validate(rows[0]["spec"]) if rows else None

    def secrets(self, deployment: UUID) -> dict[str, str]:
        """Values by name; never log them."""
        rows = fetch(
            self._client.table("deployment_secrets")
            .select("name,value")
            .eq("deployment_id", str(deployment))
        )
        return {row["name"]: row["value"] for row in rows}

    def report(self, deployment: UUID, fence: int, report: Report) -> bool:
        """Tells what is observed; returns whether the deployment is still there.

        Args:
            deployment: The row.
            fence: Token of the lock that the caller holds; one that is older than that of
                another writer is refused.
            report: What to tell.

        Raises:
            SupabaseError: Somebody with a newer token has written since.
        """
        arguments = {"deployment": str(deployment), "fence": fence, "report": report.payload()}
        return fetch(self._client.rpc("report_deployment", arguments))

    def promote_canary(self, deployment: UUID, note: str, generation: int) -> str | None:
        """Makes the canary's package the deployment's; None when something else is wanted now."""
        return self._settle("promote_canary", deployment, {"note": note}, generation)

    def end_canary(self, deployment: UUID, reason: str, generation: int) -> bool:
        """Takes the canary back; false when something else is wanted now."""
        return self._settle("end_canary", deployment, {"reason": reason}, generation)

    def delete_expired(self) -> list[str]:
        """Takes away the deployments whose time is over; returns their names."""
        now = datetime.now(UTC).isoformat()
        gone = fetch(self._client.table("deployments").delete().lt("expires_at", now))
        return [row["name"] for row in gone]

    def _settle(
        self, function: str, deployment: UUID, said: dict[str, str], generation: int
    ) -> Any:
        arguments = {"deployment": str(deployment), "generation": generation, **said}
        return fetch(self._client.rpc(function, arguments))

    def _pages(self) -> Iterator[dict[str, Any]]:
        after = ""
        while True:
            query = self._client.table("deployments").select("*").gt("name", after)
            rows = fetch(query.order("name").limit(PAGE))
            yield from rows
            if len(rows) < PAGE:
                return
            after = rows[-1]["name"]
