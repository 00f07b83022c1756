"""A store and a folder of its own for each test."""

from pathlib import Path

import pytest
from upath import UPath

from constellation_dagster.packaging.store import PackageStore


@pytest.fixture
def store(tmp_path: Path) -> PackageStore:
    return PackageStore(UPath(tmp_path / "packages"), tmp_path / "cache")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder, for a package that is being made."""
    path = tmp_path / "package"
    path.mkdir()
    return path
