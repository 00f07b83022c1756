"""What blocks are lent: each thing acts as the owner of the pipeline that a node is in."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final
from uuid import UUID

from constellation_dagster.domain.errors import ConstellationError
from constellation_dagster.domain.suggestions import listing
from constellation_dagster.settings import get_settings


def resource_for(name: str, pipeline: str, node: str, owner: UUID | None) -> object:
    """A resource for a node.

    Raises:
        ConstellationError: There is no such resource, or the pipeline has no owner.
    """
    place = f"pipeline {pipeline!r}, node {node!r}"
    if name not in LENDERS:
        raise ConstellationError(
            f"{place}: its block asks for a resource {name!r}, and there is only "
            f"{listing(LENDERS)}. Mend the block's declaration."
        )
    if owner is None:
        raise ConstellationError(
            f"{place}: its block uses {name} as the pipeline's owner, and this pipeline has none. "
            "Say `owner: <user id>` in its YAML file."
        )
    return LENDERS[name](owner)


def _tables(owner: UUID) -> object:
    from constellation_dagster.resources.person_tables import PersonTables

    return PersonTables(get_settings().require_database(), owner)


def _models(owner: UUID) -> object:
    # It brings in ONNX and scikit-learn's converters, which few runs need.
    from constellation_dagster.packaging.person_models import PersonModels
    from constellation_dagster.packaging.store import PackageStore
    from constellation_dagster.resources.person_packages import PersonPackages

    settings = get_settings()
    packages = PersonPackages(settings.require_database(), owner)
    return PersonModels(PackageStore.of(settings), packages)


def _endpoints(owner: UUID) -> object:
    from constellation_dagster.resources.endpoints import EndpointClient

    settings = get_settings()
    _, key = settings.require_supabase()
    return EndpointClient(settings.require_endpoints(), key, settings.require_database(), owner)


LENDERS: Final[Mapping[str, Callable[[UUID], object]]] = MappingProxyType(
    {"endpoints": _endpoints, "models": _models, "tables": _tables}
)
