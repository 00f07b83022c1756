"""A package becomes an image."""

import time
from dataclasses import dataclass
from pathlib import Path

from constellation_dagster.domain.packages import (
    PackageError,
    PackageManifest,
    parse_package_ref,
)
from constellation_dagster.domain.replicas import RuntimeUnavailable
from constellation_dagster.images.context import BuildContext, model_files
from constellation_dagster.images.dockerfile import ModelImage
from constellation_dagster.images.engine import Log, base_image, build_of, find_build, run_build
from constellation_dagster.images.errors import ImageBuildFailed
from constellation_dagster.images.registry import push
from constellation_dagster.images.targets import Target, assumed_target, target_of
from constellation_dagster.images.wheels import Wheelhouse, resolve_wheels
from constellation_dagster.packaging.requirements import pinned
from constellation_dagster.resources.docker import docker_client
from constellation_dagster.serving.integrity import verify_package
from constellation_dagster.serving.requirements import SERVING_REQUIREMENTS
from constellation_dagster.settings import Settings

LOCAL_REPOSITORY = "constellation/models"


@dataclass(frozen=True)
class BuiltImage:
    """An image of a package.

    Attributes:
        image: What a runtime runs: a reference by digest where there is a registry, else the
            image's id in the engine that built it.
        digest: The digest in the registry, or else the image's id.
        tag: A name for people; it moves when the package is built again.
        size: Bytes.
        layers: How many layers it has.
        base: The base image's name.
        reused: Whether the engine had it already.
        seconds: How long it took.
    """

    image: str
    digest: str
    tag: str
    size: int
    layers: int
    base: str
    reused: bool
    seconds: float


def build_image(
    digest: str, ref: str, folder: Path, settings: Settings, log: Log, *, fresh: bool = False
) -> BuiltImage:
    """Builds the image of a package, or finds the one that was built of the same.

    Args:
        digest: What the package should be; every byte is checked.
        ref: `name@version`.
        folder: The package.
        settings: Name the base image and the registry, if any.
        log: Gets every line of what happens.
        fresh: Build everything again, whatever the engine has.

    Raises:
        PackageError: The package is not what its digest says.
        ImageBuildFailed: A requirement cannot be had, or the build or the push failed.
        RuntimeUnavailable: No engine answers.
    """
    began = time.monotonic()
    manifest = verify_package(folder, digest)
    name, version = parse_package_ref(ref)
    cache = settings.constellation_home / "cache"
    with docker_client() as client:
        base = base_image(client, settings.base_image, log)
        target = target_of(client, base, cache / "base-images")
        if target.python != manifest.python:
            log(
                f"{ref} was made with Python {manifest.python}; the base image has {target.python}."
            )
        log(f"Looking for wheels for {target}.")
        wheelhouse = _wheelhouse(ref, manifest, target, cache)
        image = ModelImage(name, version, digest, settings.base_image, wheelhouse.pip)
        context = BuildContext(image.dockerfile(), wheelhouse, model_files(folder))
        build = build_of(context, base)
        tag = f"{settings.image_registry or LOCAL_REPOSITORY}:{name}-{version}"
        built = None if fresh else find_build(client, build)
        reused = built is not None
        if built is None:
            built = run_build(client, context, build, log, fresh=fresh)
        else:
            log(f"The engine has {built.id}, built of the same.")
        built.tag(*tag.rsplit(":", 1))
        pushed = push(client, tag, log) if settings.image_registry else None
        return BuiltImage(
            image=f"{settings.image_registry}@{pushed}" if pushed else built.id,
            digest=pushed or built.id,
            tag=tag,
            size=built.attrs["Size"],
            layers=len(built.attrs["RootFS"]["Layers"]),
            base=settings.base_image,
            reused=reused,
            seconds=round(time.monotonic() - began, 3),
        )


def write_context(ref: str, folder: Path, settings: Settings, output: Path) -> Target:
    """Writes all that `docker build` needs into a folder.

    Args:
        ref: `name@version`.
        folder: The package, verified again.
        settings: Name the base image.
        output: A folder that is empty, or that does not exist yet.

    Returns:
        What the wheels in it are for.

    Raises:
        PackageError: The package is not what its manifest says.
        ImageBuildFailed: A requirement cannot be had.
    """
    manifest = verify_package(folder)
    name, version = parse_package_ref(ref)
    cache = settings.constellation_home / "cache"
    target = _likely_target(settings.base_image, manifest.python, cache)
    wheelhouse = _wheelhouse(ref, manifest, target, cache)
    image = ModelImage(name, version, manifest.digest, settings.base_image, wheelhouse.pip)
    BuildContext(image.dockerfile(), wheelhouse, model_files(folder)).write_folder(output)
    return target


def _likely_target(base: str, python: str, cache: Path) -> Target:
    """What the base image has, where an engine can be asked; else what its name says."""
    from docker.errors import ImageNotFound

    try:
        with docker_client() as client:
            return target_of(client, client.images.get(base), cache / "base-images")
    except (RuntimeUnavailable, ImageNotFound):
        return assumed_target(base, python)


def _wheelhouse(ref: str, manifest: PackageManifest, target: Target, cache: Path) -> Wheelhouse:
    try:
        # The model's own versions come first; those of the server give way.
        requirements = pinned(SERVING_REQUIREMENTS, own=manifest.requirements)
        return resolve_wheels(requirements, target, cache / "wheels")
    except (ImageBuildFailed, PackageError) as error:
        raise ImageBuildFailed(
            f"package {ref!r}: {error} Then register the model again, as another version."
        ) from error
