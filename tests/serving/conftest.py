"""Packages and servers that several tests share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving.packages import (
    Package,
    columns_package,
    onnx_package,
    sklearn_package,
)
from tests.serving.running import Server, serving


@pytest.fixture(scope="session")
def iris(tmp_path_factory: pytest.TempPathFactory) -> Package:
    """An ONNX model of the iris data; do not change it."""
    return onnx_package(tmp_path_factory.mktemp("onnx"))


@pytest.fixture(scope="session")
def forest(tmp_path_factory: pytest.TempPathFactory) -> Package:
    """A forest of scikit-learn on the iris data; do not change it."""
    return sklearn_package(tmp_path_factory.mktemp("sklearn"))


@pytest.fixture(scope="session")
def penguins(tmp_path_factory: pytest.TempPathFactory) -> Package:
    """A trained model that reads columns; do not change it."""
    return columns_package(tmp_path_factory.mktemp("columns"))


@pytest.fixture(scope="module")
def server(iris: Package, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of the iris model on TCP."""
    with serving(iris, tmp_path_factory.mktemp("server"), unix=False) as running:
        yield running


@pytest.fixture
def copied(iris: Package, tmp_path: Path) -> Package:
    """The iris model in a folder that a test may change."""
    import shutil

    folder = tmp_path / "package"
    shutil.copytree(iris.folder, folder)
    return Package(folder, iris.manifest)
