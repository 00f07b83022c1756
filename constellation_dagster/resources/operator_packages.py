"""Packages as an operator registers them for themself: what holds code, with the service key."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from constellation_dagster.domain.packages import PackageManifest
from constellation_dagster.resources.package_rows import PackageRow, PackageRows

# What the database takes from the platform only: it runs code that no block is.
_OF_CODE = ("mlflow", "python")


class OperatorPackages:
    """A person's packages; those that hold code are registered by the platform in their name."""

    def __init__(self, own: PackageRows, platform: PackageRows, person: UUID) -> None:
        self._own = own
        self._platform = platform
        self._person = person

    def versions(self, name: str) -> list[PackageRow]:
        """All versions of a package that this person has."""
        return self._own.versions(name)

    def manifest(self, name: str, version: str) -> PackageManifest | None:
        """What is in a version; None when it is not packaged, or there is none."""
        return self._own.manifest(name, version)

    def register(
        self,
        name: str,
        version: str,
        manifest: PackageManifest,
        *,
        card: str,
        measured: Mapping[str, Any],
    ) -> bool:
        """Gives a stored package a name and version; see `PackageRows.register`."""
        if manifest.flavor not in _OF_CODE:
            return self._own.register(name, version, manifest, card=card, measured=measured)
        return self._platform.register(
            name, version, manifest, card=card, measured=measured, owner=self._person
        )
