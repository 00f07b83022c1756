"""From a registered model to its image, as a person does it on a running stack."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import dagster as dg
import pytest

from constellation_dagster.assets.model_images import model_images
from constellation_dagster.assets.model_packages import PACKAGES
from constellation_dagster.resources.docker import DockerResource
from constellation_dagster.resources.supabase import SupabaseResource
from constellation_dagster.settings import get_settings
from tests.docker.conftest import remove_stack
from tests.stack_fixture import RunningStack, end_all

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def stack(
    tmp_path_factory: pytest.TempPathFactory, engine: Any, base_image: str
) -> Iterator[RunningStack]:
    """A stack that builds on the base image that there is."""
    running = RunningStack(tmp_path_factory.mktemp("stack"))
    running.up(CONSTELLATION_BASE_IMAGE=base_image)
    try:
        yield running
    finally:
        running.down()
        end_all(running.processes())
        remove_stack(engine, running.home)


@pytest.fixture(scope="module")
def registered(stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> str:
    import skops.io
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression

    iris = cast("Any", load_iris())
    file = tmp_path_factory.mktemp("model") / "iris.skops"
    skops.io.dump(LogisticRegression(max_iter=500).fit(iris.data, iris.target), file)
    result = stack.run("model", "register", str(file), "--name", "iris", "--version", "1")
    assert result.returncode == 0, result.stderr
    return "iris@1"


def shown(stack: RunningStack, ref: str) -> dict[str, Any]:
    return json.loads(stack.run("model", "show", ref, "--json").stdout)


def test_a_package_becomes_an_image(stack: RunningStack, registered: str, engine: Any) -> None:
    result = stack.run("model", "build", registered)
    assert result.returncode == 0, result.stderr
    assert "Step 1/" in result.stdout
    row = shown(stack, registered)
    assert row["status"] == "imaged"
    image = engine.images.get(row["image"])
    assert row["image_digest"] == image.id
    assert row["image"] in result.stdout
    # It serves the ONNX form, so scikit-learn is not in it.
    assert image.attrs["Size"] < 300_000_000

    again = stack.run("model", "build", registered)
    assert "built of the same" in again.stdout
    assert shown(stack, registered)["image"] == row["image"]


def test_its_dockerfile_is_for_people(
    stack: RunningStack, registered: str, base_image: str, tmp_path: Path
) -> None:
    printed = stack.run("model", "dockerfile", registered, CONSTELLATION_BASE_IMAGE=base_image)
    assert printed.stdout.startswith("# Model iris, version 1.")
    folder = tmp_path / "iris"
    written = stack.run(
        "model",
        "dockerfile",
        registered,
        "--output",
        str(folder),
        CONSTELLATION_BASE_IMAGE=base_image,
    )
    assert f"docker build --tag iris:1 {folder}" in written.stdout
    assert (folder / "Dockerfile").read_text() == printed.stdout
    refused = stack.run("model", "dockerfile", registered, "--output", str(folder))
    assert refused.stderr.startswith("Error: ")
    assert "no empty folder" in refused.stderr


def test_a_package_that_was_changed_in_the_store_has_no_image(
    stack: RunningStack, registered: str
) -> None:
    hexadecimal = shown(stack, registered)["digest"].removeprefix("sha256:")
    card = stack.home / "packages" / "sha256" / hexadecimal / "README.md"
    whole = card.read_bytes()
    card.chmod(0o644)
    card.write_bytes(b"anything")
    try:
        result = stack.run("model", "build", registered)
    finally:
        card.write_bytes(whole)
    assert result.returncode == 1
    assert "README.md is changed" in result.stderr
    assert "Traceback" not in result.stderr


def test_without_an_engine_it_says_so(
    stack: RunningStack, registered: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in stack.variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CONSTELLATION_HOME", str(stack.home))
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:9")
    get_settings.cache_clear()
    try:
        with dg.DagsterInstance.ephemeral() as instance:
            instance.add_dynamic_partitions(str(PACKAGES.name), [registered])
            result = dg.materialize(
                [model_images],
                partition_key=registered,
                instance=instance,
                resources={"supabase": SupabaseResource(), "docker": DockerResource()},
                raise_on_error=False,
            )
    finally:
        get_settings.cache_clear()
    (failure,) = (event for event in result.all_events if event.is_step_failure)
    assert failure.step_failure_data.user_failure_data is not None
    told = failure.step_failure_data.user_failure_data.description or ""
    assert "iris@1: No Docker engine answers at tcp://127.0.0.1:9." in told
    assert shown(stack, registered)["status"] != "rejected"


def test_what_is_not_there_is_named(stack: RunningStack, registered: str) -> None:
    result = stack.run("model", "build", "iris@2")
    assert result.returncode == 1
    assert "You have no package 'iris@2'" in result.stderr
