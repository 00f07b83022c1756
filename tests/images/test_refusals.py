"""What is refused before anything is downloaded or built."""

from pathlib import Path

import pytest

from constellation_dagster.domain.replicas import RuntimeUnavailable
from constellation_dagster.images.build import build_image
from constellation_dagster.images.errors import ImageBuildFailed
from constellation_dagster.images.targets import Target
from constellation_dagster.images.wheels import resolve_wheels
from constellation_dagster.resources.docker import docker_client
from constellation_dagster.settings import Settings, get_settings
from tests.runtimes.packages import obedient_package


def test_requirements_are_names_and_nothing_that_pip_would_obey(tmp_path: Path) -> None:
    wrong = ["numpy==2.4.6", "--index-url=somewhere", "-r/etc/passwd", "x @ file:///etc"]
    with pytest.raises(ImageBuildFailed) as refused:
        resolve_wheels(wrong, Target("3.11", "x86_64", "2.36"), tmp_path)
    assert all(repr(line) in str(refused.value) for line in wrong[1:])
    assert "numpy==2.4.6'" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_without_an_engine_it_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:9")
    get_settings.cache_clear()
    package = obedient_package(tmp_path / "package")
    try:
        with pytest.raises(RuntimeUnavailable, match="DOCKER_HOST"), docker_client():
            pass
        with pytest.raises(RuntimeUnavailable, match=r"tcp://127\.0\.0\.1:9"):
            build_image(
                package.digest,
                "obedient@1",
                package.folder,
                Settings(constellation_home=tmp_path),
                print,
            )
    finally:
        get_settings.cache_clear()
