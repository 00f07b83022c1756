"""What blocks are lent to register models: the package store and the owner's rows."""

from constellation_dagster.domain.errors import BlockFailed
from constellation_dagster.domain.model_registry import RegisteredModel
from constellation_dagster.domain.packages import PackageError
from constellation_dagster.domain.values import Model
from constellation_dagster.packaging.registration import register_model
from constellation_dagster.packaging.store import PackageStore
from constellation_dagster.resources.person_packages import PersonPackages


class PersonModels:
    """The `ModelRegistry` of one person."""

    def __init__(self, store: PackageStore, packages: PersonPackages) -> None:
        self._store = store
        self._packages = packages

    def register(
        self, model: Model, *, name: str, version: str | None, alias: str | None, card: str | None
    ) -> RegisteredModel:
        """Makes a package of a model; see `ModelRegistry`.

        Raises:
            BlockFailed: It cannot be registered so.
        """
        try:
            package = register_model(
                model,
                name=name,
                version=version,
                card=card,
                store=self._store,
                catalogue=self._packages,
            )
            if alias is not None:
                self._packages.set_alias(name, alias, package.version)
        except PackageError as error:
            raise BlockFailed(str(error)) from error
        return RegisteredModel(name=name, version=package.version, digest=package.digest)
