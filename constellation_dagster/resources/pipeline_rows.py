"""Rows of `pipelines` and `pipeline_versions`: what people want to exist."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from constellation_dagster.domain.errors import Problem
from constellation_dagster.resources.rest import fetch

if TYPE_CHECKING:
    from supabase import Client

PAGE = 500
# They go into the request's URL.
PEOPLE_PER_REQUEST = 100


class PipelineVersion(BaseModel):
    """One snapshot of a pipeline: what is published is always a snapshot, never rows in work."""

    model_config = ConfigDict(frozen=True)

    pipeline_id: UUID
    owner: UUID
    owner_email: str | None = None
    name: str
    version: int
    status: str
    spec: dict[str, Any]


class VersionStatus(BaseModel):
    """Where a version stands, without what it says."""

    model_config = ConfigDict(frozen=True)

    pipeline_id: UUID
    version: int
    status: str


class PipelineRows:
    """Reads and writes pipelines as the platform."""

    def __init__(self, client: "Client") -> None:
        self._client = client

    def versions(self) -> list[VersionStatus]:
        """Where approved and published versions of pipelines that are not archived stand."""
        rows = self._live("pipeline_id,version,status,pipelines!inner(status)")
        return [VersionStatus.model_validate(row) for row in rows]

    def candidates(self) -> list[PipelineVersion]:
        """The same versions with what they say."""
        rows = self._live("pipeline_id,owner,version,status,spec,pipelines!inner(name,status)")
        emails = self._emails(sorted({row["owner"] for row in rows}))
        return [
            PipelineVersion.model_validate(
                {
                    **row,
                    "name": row["pipelines"]["name"],
                    "owner_email": emails.get(row["owner"]),
                }
            )
            for row in rows
        ]

    def _emails(self, people: Sequence[str]) -> dict[str, str]:
        """E-mail addresses by id."""
        emails: dict[str, str] = {}
        for begin in range(0, len(people), PEOPLE_PER_REQUEST):
            ids = people[begin : begin + PEOPLE_PER_REQUEST]
            rows = fetch(
                self._client.table("profiles").select("owner,email").in_("owner", list(ids))
            )
            emails |= {row["owner"]: row["email"] for row in rows if row["email"]}
        return emails

    def _live(self, columns: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        while True:
            # An unlimited select stops silently at the server's own limit.
            page = fetch(
                self._client.table("pipeline_versions")
                .select(columns)
                .in_("status", ["approved", "published"])
                .neq("pipelines.status", "archived")
                .order("created_at")
                .order("id")
                .range(len(rows), len(rows) + PAGE - 1)
            )
            rows += page
            if len(page) < PAGE:
                return rows

    def published(
        self, version: PipelineVersion, digest: str, block_versions: Mapping[str, str]
    ) -> None:
        """Says that a version is what runs now."""
        self._result(version, ok=True, digest=digest, block_versions=block_versions)

    def invalid(self, version: PipelineVersion, problems: Sequence[Problem]) -> None:
        """Puts a version aside with all that is wrong with it; an older one goes on serving."""
        self._result(
            version, ok=False, problems=[problem.model_dump(mode="json") for problem in problems]
        )

    def _result(
        self,
        version: PipelineVersion,
        *,
        ok: bool,
        problems: Sequence[Mapping[str, Any]] = (),
        digest: str | None = None,
        block_versions: Mapping[str, str] | None = None,
    ) -> None:
        fetch(
            self._client.rpc(
                "publish_result",
                {
                    "pipeline": str(version.pipeline_id),
                    "version": version.version,
                    "ok": ok,
                    "problems": list(problems),
                    "digest": digest,
                    "block_versions": dict(block_versions) if block_versions else None,
                },
            )
        )
