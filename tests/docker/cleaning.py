"""What tests leave in an engine is removed."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from constellation_dagster.images.engine import BUILD_LABEL
from constellation_dagster.resources.docker import docker_client


@contextmanager
def clean_engine() -> Generator[Any]:
    """A client of the engine; images that are built meanwhile, and their stages, go at the end."""
    with docker_client() as client:
        before = {image.id for image in client.images.list(all=True)}
        yield client
        for image in client.images.list():
            if image.id not in before and (BUILD_LABEL in image.labels or not image.tags):
                client.images.remove(image.id, force=True)
