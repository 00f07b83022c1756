"""What every build asks of the engine: a base image, an image that is there already, a new one."""

import re
from collections.abc import Callable
from tempfile import TemporaryFile
from typing import Any

from constellation_dagster.domain.replicas import RuntimeUnavailable
from constellation_dagster.images.context import BuildContext
from constellation_dagster.images.errors import ImageBuildFailed
from constellation_dagster.images.identity import without_moment
from constellation_dagster.resources.docker import docker_client

BUILD_LABEL = "org.constellation.build"

Log = Callable[[str], object]

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
# The engine's own bookkeeping.
_NOISE = re.compile(r" ---> ([0-9a-f]+|Running in \w+)|Removing intermediate container \w+|")


def base_image(client: Any, name: str, log: Log) -> Any:
    """The base image, pulled if need be.

    Raises:
        ImageBuildFailed: The engine has none of that name and cannot get it.
    """
    from docker.errors import APIError, ImageNotFound

    try:
        return client.images.get(name)
    except ImageNotFound:
        log(f"Pulling the base image {name}.")
    try:
        # Without a tag the SDK would pull all there are.
        return client.images.pull(name, tag=None if ":" in name.rpartition("/")[2] else "latest")
    except APIError as error:
        raise ImageBuildFailed(
            f"The base image {name!r} is not in the engine and cannot be pulled: "
            f"{error.explanation}. Set CONSTELLATION_BASE_IMAGE to one that can, or load it."
        ) from error


def engine_can_build(name: str, log: Log) -> bool:
    """Whether an engine answers and has, or can get, a base image."""
    try:
        with docker_client() as client:
            base_image(client, name, log)
    except (RuntimeUnavailable, ImageBuildFailed):
        return False
    return True


def build_of(context: BuildContext, base: Any) -> str:
    """Stands for all that goes into an image."""
    return f"{context.digest}-{base.id}"


def find_build(client: Any, build: str) -> Any | None:
    """An image that was built of just this, if the engine has one.

    Images that somebody made from it bear its labels too, and more layers.
    """
    found: list[Any] = client.images.list(filters={"label": [f"{BUILD_LABEL}={build}"]})
    return min(found, key=lambda image: len(image.attrs["RootFS"]["Layers"]), default=None)


def run_build(client: Any, context: BuildContext, build: str, log: Log, *, fresh: bool) -> Any:
    """Builds an image.

    Args:
        client: A client of the engine.
        context: All that it is built of.
        build: Stands for that (`build_of`).
        log: Gets every line that the build says.
        fresh: Do every step anew.

    Raises:
        ImageBuildFailed: A step failed; the message has what it said.
    """
    said: list[str] = []
    image_id: str | None = None
    with TemporaryFile() as stream:
        context.write_tar(stream)
        stream.seek(0)
        events = client.api.build(
            fileobj=stream,
            custom_context=True,
            labels={BUILD_LABEL: build},
            nocache=fresh,
            rm=True,
            forcerm=True,
            decode=True,
        )
        for event in events:
            if "error" in event:
                raise ImageBuildFailed(_explained(event["error"], said))
            image_id = event.get("aux", {}).get("ID", image_id)
            for line in _COLOURS.sub("", event.get("stream", "")).splitlines():
                if not _NOISE.fullmatch(line.rstrip()):
                    said.append(line)
                    log(line.rstrip())
    assert image_id is not None, "the engine ended a build without an error and without an image"
    return without_moment(client, client.images.get(image_id))


def _explained(error: str, said: list[str]) -> str:
    """What a step said that failed is more to the point than that it did."""
    wrong = [line for line in said if line.startswith("ERROR")] or said[-5:]
    return "\n".join([f"The image could not be built: {error}", *wrong])
