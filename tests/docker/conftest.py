"""A real engine: what these tests leave in it is removed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from constellation_dagster.runtimes.containers import home_id, network_name
from constellation_dagster.settings import Settings, get_settings
from tests.docker.cleaning import clean_engine


@pytest.fixture(scope="session")
def engine() -> Iterator[Any]:
    """A client of the engine."""
    with clean_engine() as client:
        yield client


@pytest.fixture(scope="session")
def base_image() -> str:
    """What images are built on."""
    return get_settings().base_image


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory, engine: Any) -> Iterator[Path]:
    """The home of a stack that is not running; wheels are kept in it."""
    folder = tmp_path_factory.mktemp("home")
    yield folder
    remove_stack(engine, folder)


@pytest.fixture(scope="session")
def settings(home: Path, base_image: str) -> Settings:
    """Settings without a registry."""
    return Settings(constellation_home=home, base_image=base_image, image_registry=None)


def remove_stack(engine: Any, home: Path) -> None:
    """Removes containers and networks of a home."""
    label = f"org.constellation.home={home_id(home)}"
    for container in engine.containers.list(all=True, filters={"label": label}):
        container.remove(force=True, v=True)
    for network in engine.networks.list(names=[network_name(home_id(home))]):
        network.remove()
