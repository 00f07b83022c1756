"""Images go to a registry, and have a digest there."""

from collections.abc import Callable
from typing import Any

from constellation_dagster.images.errors import ImageBuildFailed


def push(client: Any, tag: str, log: Callable[[str], object]) -> str:
    """Pushes an image; what the registry has already is not sent again.

    Args:
        client: A client of the engine that has the image; credentials are those of `docker login`.
        tag: The image, as `host:port/repository:tag`.
        log: Gets every line of what happens.

    Returns:
        The digest that the registry has it under.

    Raises:
        ImageBuildFailed: The registry refused it or does not answer.
    """
    from docker.errors import APIError

    repository, name = tag.rsplit(":", 1)
    digest: str | None = None
    try:
        for event in client.api.push(repository, tag=name, stream=True, decode=True):
            if "error" in event:
                raise ImageBuildFailed(_refusal(tag, event["error"]))
            digest = event.get("aux", {}).get("Digest", digest)
            # Progress of each layer comes by the hundred.
            if "status" in event and not event.get("progressDetail"):
                log(" ".join(filter(None, (event.get("id"), event["status"]))))
    except APIError as error:
        raise ImageBuildFailed(_refusal(tag, str(error.explanation))) from error
    if digest is None:
        raise ImageBuildFailed(_refusal(tag, "it told no digest"))
    return digest


def _refusal(tag: str, why: str) -> str:
    return (
        f"The image could not be pushed to {tag}: {why}. Check CONSTELLATION_IMAGE_REGISTRY and "
        "`docker login`, and try again; the image itself is built."
    )
