"""The image of a package, wherever it comes from: the engine, a registry, or a build."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from constellation_dagster.domain.deployments import ResolvedPackage
from constellation_dagster.domain.packages import parse_package_ref
from constellation_dagster.packaging.store import PackageStore
from constellation_dagster.resources.docker import docker_client
from constellation_dagster.resources.image_rows import ImageRows
from constellation_dagster.resources.package_rows import PackageRows
from constellation_dagster.settings import Settings

if TYPE_CHECKING:
    from supabase import Client


def image_of(
    package: ResolvedPackage, settings: Settings, client: "Client", log: Callable[[str], object]
) -> str:
    """An image that the engine has.

    Args:
        package: Its row may name an image already.
        settings: Say where packages are, and how images are built.
        client: Writes down what was built, as the platform.
        log: Gets every line of a build.

    Raises:
        RuntimeUnavailable: No engine answers.
        ImageBuildFailed: There is no image, and none can be built.
    """
    if package.image is not None:
        with docker_client() as engine:
            if _has(engine, package.image):
                return package.image
        log(f"{package.ref}: its image {package.image} is not in the engine.")

    # It brings in pip's world, which few deployments need.
    from constellation_dagster.images.build import build_image

    folder = PackageStore.of(settings).fetch(package.digest)
    built = build_image(package.digest, package.ref, folder, settings, log)
    row = PackageRows(client).get(*parse_package_ref(package.ref))
    if row is not None:
        ImageRows(client).imaged(row, built.image, built.digest)
    return built.image


def _has(engine: Any, image: str) -> bool:
    """Whether the engine has an image, or gets it from the registry that has it."""
    from docker.errors import APIError, ImageNotFound

    try:
        engine.images.get(image)
    except ImageNotFound:
        if "@" not in image:
            return False
    else:
        return True
    try:
        engine.images.pull(image)
    except APIError:
        return False
    return True
