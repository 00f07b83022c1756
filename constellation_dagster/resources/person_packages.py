"""Model packages as the person that a pipeline belongs to, through the database itself."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb

from constellation_dagster.domain.digests import canonical_json
from constellation_dagster.domain.packages import PackageError, PackageManifest
from constellation_dagster.resources.person_sql import as_person


@dataclass(frozen=True)
class OwnVersion:
    """A version of a package, and what it is."""

    version: str
    status: str
    digest: str | None


class PersonPackages:
    """The packages of one person."""

    def __init__(self, database_url: str, person: UUID) -> None:
        self._database_url = database_url
        self._person = person

    def versions(self, name: str) -> list[OwnVersion]:
        """All versions of a package."""
        query = "select version, status, digest from public.model_packages where name = %s"
        with self._transaction() as connection:
            return [OwnVersion(*row) for row in connection.execute(query, (name,))]

    def manifest(self, name: str, version: str) -> PackageManifest | None:
        """What is in a version; None when it is not packaged, or there is none."""
        query = "select manifest from public.model_packages where name = %s and version = %s"
        with self._transaction() as connection:
            row = connection.execute(query, (name, version)).fetchone()
        return PackageManifest.model_validate(row[0]) if row and row[0] is not None else None

    def register(
        self,
        name: str,
        version: str,
        manifest: PackageManifest,
        *,
        card: str,
        measured: Mapping[str, Any],
    ) -> bool:
        """Gives a stored package a name and version; whether that is new.

        Raises:
            PackageError: The name is somebody else's, or the version is another package.
        """
        text = canonical_json(manifest.model_dump(mode="json"))
        query = "select public.register_model_package(%s, %s, %s, %s, %s)"
        with self._transaction() as connection:
            row = connection.execute(
                query, (name, version, text, card, Jsonb(dict(measured)))
            ).fetchone()
        assert row is not None  # a function that returns one row
        return bool(row[0])

    def set_alias(self, name: str, alias: str, version: str) -> None:
        """Lets an alias point to a version.

        Raises:
            PackageError: The alias cannot be.
        """
        with self._transaction() as connection:
            connection.execute("select public.set_model_alias(%s, %s, %s)", (name, alias, version))

    @contextmanager
    def _transaction(self) -> Generator[psycopg.Connection]:
        try:
            with as_person(self._database_url, self._person) as connection:
                yield connection
        except psycopg.OperationalError:
            raise  # the database's fault, not the person's
        except psycopg.Error as error:
            said = [error.diag.message_primary or str(error), error.diag.message_hint]
            sentences = [f"{part.rstrip('.')}." for part in said if part]
            raise PackageError(" ".join(sentences)) from error
