"""Rows of `model_packages` and `model_aliases`: versions of models, and names that move."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from constellation_dagster.domain.digests import canonical_json
from constellation_dagster.domain.errors import Problem
from constellation_dagster.domain.packages import PackageManifest, package_ref
from constellation_dagster.domain.states import PackageStatus
from constellation_dagster.resources.rest import fetch

if TYPE_CHECKING:
    from supabase import Client

PAGE = 500
_COLUMNS = (
    "id,owner,name,version,source_url,status,digest,flavor,card,measured,package_url,image,"
    "image_digest,problems,created_at"
)


class PackageRow(BaseModel):
    """A version of a package, without its manifest."""

    model_config = ConfigDict(frozen=True)

    id: UUID
    owner: UUID
    name: str
    version: str
    source_url: str | None
    status: PackageStatus
    digest: str | None
    flavor: str | None
    card: str | None
    measured: dict[str, Any]
    package_url: str | None
    image: str | None
    image_digest: str | None
    problems: list[dict[str, Any]]
    created_at: str

    @property
    def ref(self) -> str:
        """`name@version`: its partition."""
        return package_ref(self.name, self.version)


class AliasRow(BaseModel):
    """Where an alias points."""

    model_config = ConfigDict(frozen=True)

    name: str
    alias: str
    version: str


class PackageRows:
    """Reads packages as whoever the client is; writes results as the platform."""

    def __init__(self, client: "Client") -> None:
        self._client = client

    def all(
        self, *, name: str | None = None, statuses: Sequence[PackageStatus] = tuple(PackageStatus)
    ) -> list[PackageRow]:
        """Versions, oldest first."""
        rows: list[dict[str, Any]] = []
        while True:
            query = (
                self._client.table("model_packages")
                .select(_COLUMNS)
                .in_("status", list(statuses))
                .order("created_at")
                .order("id")
                # An unlimited select stops silently at the server's own limit.
                .range(len(rows), len(rows) + PAGE - 1)
            )
            page = fetch(query.eq("name", name) if name is not None else query)
            rows += page
            if len(page) < PAGE:
                return [PackageRow.model_validate(row) for row in rows]

    def refs(self, statuses: Sequence[PackageStatus] = tuple(PackageStatus)) -> list[str]:
        """`name@version` of the rows of some statuses, oldest first."""
        refs: list[str] = []
        while True:
            page = fetch(
                self._client.table("model_packages")
                .select("name,version")
                .in_("status", list(statuses))
                .order("created_at")
                .order("id")
                .range(len(refs), len(refs) + PAGE - 1)
            )
            refs += [package_ref(row["name"], row["version"]) for row in page]
            if len(page) < PAGE:
                return refs

    def versions(self, name: str) -> list[PackageRow]:
        """All versions of a package."""
        return self.all(name=name)

    def get(self, name: str, version: str) -> PackageRow | None:
        """A version, if there is one."""
        rows = fetch(self._one(_COLUMNS, name, version))
        return PackageRow.model_validate(rows[0]) if rows else None

    def manifest(self, name: str, version: str) -> PackageManifest | None:
        """What is in a version; None when it is not packaged, or there is none."""
        rows = fetch(self._one("manifest", name, version))
        manifest = rows[0]["manifest"] if rows else None
        return PackageManifest.model_validate(manifest) if manifest is not None else None

    def resolve(self, name: str, version_or_alias: str) -> PackageRow | None:
        """The version of this name, or the one that an alias of this name points to."""
        found = self.get(name, version_or_alias)
        if found is not None:
            return found
        aliases = fetch(
            self._client.table("model_aliases")
            .select("version")
            .eq("name", name)
            .eq("alias", version_or_alias)
        )
        return self.get(name, aliases[0]["version"]) if aliases else None

    def aliases(self, name: str | None = None) -> list[AliasRow]:
        """Aliases, of one package or all, by name."""
        query = self._client.table("model_aliases").select("name,alias,version").order("alias")
        rows = fetch(query.eq("name", name) if name is not None else query)
        return [AliasRow.model_validate(row) for row in rows]

    def set_alias(self, name: str, alias: str, version: str) -> str | None:
        """Lets an alias point to a version; returns the one that it pointed to before.

        Raises:
            SupabaseError: There is no such version of this person's, or the alias cannot be.
        """
        arguments = {"name": name, "alias": alias, "version": version}
        return fetch(self._client.rpc("set_model_alias", arguments))

    def register(
        self,
        name: str,
        version: str,
        manifest: PackageManifest,
        *,
        card: str,
        measured: Mapping[str, Any],
        owner: UUID | None = None,
    ) -> bool:
        """Gives a stored package a name and version; whether that is new.

        Args:
            name: The package's name.
            version: Its version.
            manifest: What is in it.
            card: Its model card.
            measured: What was measured while it was made.
            owner: Whose it is, when the platform itself registers it.

        Raises:
            SupabaseError: The name is somebody else's, or the version is another package.
        """
        arguments = {
            "name": name,
            "version": version,
            "manifest": canonical_json(manifest.model_dump(mode="json")),
            "card": card,
            "measured": dict(measured),
            "owner": str(owner) if owner is not None else None,
        }
        return fetch(self._client.rpc("register_model_package", arguments))

    def packaged(
        self, row: PackageRow, manifest: PackageManifest, *, card: str, measured: Mapping[str, Any]
    ) -> None:
        """Says what a row that waited has become."""
        content = manifest.model_dump(mode="json")
        values: dict[str, Any] = {
            "status": PackageStatus.PACKAGED,
            "digest": manifest.digest,
            "manifest": content,
            "flavor": manifest.flavor,
            "signature": content["signature"],
            "card": card,
            "measured": dict(measured),
            "problems": [],
        }
        self._update(row, values, PackageStatus.REGISTERED)

    def stored_at(self, row: PackageRow, url: str) -> None:
        """Says where a package is stored."""
        if row.package_url != url:
            self._update(row, {"package_url": url}, row.status)

    def rejected(self, row: PackageRow, problems: Sequence[Problem]) -> None:
        """Puts a version aside, with all that is wrong with it."""
        told = [problem.model_dump(mode="json") for problem in problems]
        self._update(row, {"status": PackageStatus.REJECTED, "problems": told}, row.status)

    def _one(self, columns: str, name: str, version: str) -> Any:
        table = self._client.table("model_packages")
        return table.select(columns).eq("name", name).eq("version", version)

    def _update(self, row: PackageRow, values: Mapping[str, Any], present: PackageStatus) -> None:
        """Changes a row unless it has moved on meanwhile, so that it can be sent twice."""
        table = self._client.table("model_packages")
        fetch(table.update(dict(values)).eq("id", str(row.id)).eq("status", present))
