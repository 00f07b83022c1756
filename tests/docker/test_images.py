"""Images of packages, on a real engine."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from constellation_dagster.domain.packages import PackageError
from constellation_dagster.images.build import BuiltImage, build_image, write_context
from constellation_dagster.images.dockerfile import DIGEST_LABEL, PACKAGE_LABEL
from constellation_dagster.images.errors import ImageBuildFailed
from constellation_dagster.settings import Settings
from tests.docker.registry_fixture import running_registry
from tests.runtimes.packages import OBEDIENT, Package, obedient_package

pytestmark = pytest.mark.docker


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    # Not the one of other tests, which make images from its image: then it could not be removed.
    code = f"{OBEDIENT.read_text()}# to be built\n"
    return obedient_package(tmp_path_factory.mktemp("package"), code=code)


@pytest.fixture
def built(package: Package, settings: Settings, engine: Any) -> BuiltImage:
    return build(package, settings)


def build(
    package: Package, settings: Settings, version: str = "1", *, fresh: bool = False
) -> BuiltImage:
    ref = f"obedient@{version}"
    return build_image(package.digest, ref, package.folder, settings, print, fresh=fresh)


def layers(engine: Any, image: BuiltImage) -> list[str]:
    return engine.images.get(image.image).attrs["RootFS"]["Layers"]


def run(engine: Any, image: BuiltImage, code: str) -> Any:
    """What Python code inside of an image prints, as JSON."""
    said = engine.containers.run(
        image.image, ["-c", code], entrypoint="python", remove=True, network_mode="none"
    )
    return json.loads(said)


def test_it_says_what_it_is(engine: Any, package: Package, built: BuiltImage) -> None:
    image = engine.images.get(built.image)
    assert image.tags == [built.tag] == ["constellation/models:obedient-1"]
    assert image.labels[PACKAGE_LABEL] == "obedient@1"
    assert image.labels[DIGEST_LABEL] == package.digest
    assert image.labels["org.opencontainers.image.title"] == "obedient"
    assert image.labels["org.opencontainers.image.version"] == "1"
    assert image.attrs["Config"]["User"] == "10001:10001"
    assert "/v2/health/ready" in " ".join(image.attrs["Config"]["Healthcheck"]["Test"])
    assert built.image == built.digest == image.id
    assert built.size == image.attrs["Size"]
    assert built.layers == len(layers(engine, built))


def test_it_holds_what_serving_needs_and_no_more(engine: Any, built: BuiltImage) -> None:
    code = """
import importlib.metadata, json, os, pathlib
server = pathlib.Path("/opt/server/constellation_dagster")
print(json.dumps({
    "packages": sorted(d.metadata["Name"].lower() for d in importlib.metadata.distributions()),
    "server": sorted(p.name for p in server.iterdir() if p.name != "__pycache__"),
    "bytecode": len(list(server.rglob("*.pyc"))) >= len(list(server.rglob("*.py"))),
    "tests": [str(p) for p in pathlib.Path("/opt/model").rglob("test_*.py")],
    "writable": [p for p in ("/opt/model", "/opt/server", "/model", "/") if os.access(p, os.W_OK)],
    "account": os.getuid(),
}))
"""
    found = run(engine, built, code)
    assert {"numpy", "orjson"} <= set(found["packages"])
    assert not {"dagster", "pydantic", "pip", "docker", "polars"} & set(found["packages"])
    assert found["server"] == ["__init__.py", "domain", "serving"]
    assert found["bytecode"]
    assert (found["tests"], found["writable"], found["account"]) == ([], [], 10001)


def test_an_unchanged_package_is_not_built_again(
    package: Package, settings: Settings, built: BuiltImage
) -> None:
    again = build(package, settings)
    assert again.reused
    assert replace(again, reused=built.reused, seconds=built.seconds) == built


def test_built_anew_it_has_the_same_id(
    package: Package, settings: Settings, built: BuiltImage
) -> None:
    anew = build(package, settings, fresh=True)
    assert not anew.reused
    assert anew.image == built.image


def test_a_new_version_adds_one_layer_of_its_own(
    tmp_path: Path, engine: Any, settings: Settings, package: Package, built: BuiltImage
) -> None:
    code = (package.folder / "model.py").read_text()
    changed = obedient_package(tmp_path, code=f"{code}# changed\n")
    second = build(changed, settings, "2")
    assert not second.reused
    assert layers(engine, second)[:-1] == layers(engine, built)[:-1]
    assert layers(engine, second)[-1] != layers(engine, built)[-1]


def test_its_build_is_told_line_by_line(package: Package, settings: Settings, engine: Any) -> None:
    lines: list[str] = []
    build_image(package.digest, "obedient@told", package.folder, settings, lines.append, fresh=True)
    assert any(line.startswith("Step 1/") for line in lines)
    assert any("pip install" in line for line in lines)
    assert not any("\n" in line for line in lines)


def test_a_changed_package_is_refused_before_anything_is_built(
    tmp_path: Path, package: Package, settings: Settings, engine: Any
) -> None:
    folder = tmp_path / "changed"
    shutil.copytree(package.folder, folder)
    (folder / "model.py").write_text("print('anything')")
    lines: list[str] = []
    with pytest.raises(PackageError, match=r"model\.py is changed"):
        build_image(package.digest, "obedient@1", folder, settings, lines.append)
    assert lines == []


def test_a_requirement_that_cannot_be_had_is_named(
    tmp_path: Path, settings: Settings, engine: Any
) -> None:
    package = obedient_package(tmp_path, ("numpy==0.0.1",))
    with pytest.raises(ImageBuildFailed, match=r"'obedient@1'.*'numpy==0\.0\.1' has no wheel") as e:
        build(package, settings)
    assert "Ask for a version that has one" in str(e.value)


def test_a_base_image_that_is_nowhere_is_named(
    package: Package, settings: Settings, engine: Any
) -> None:
    missing = settings.model_copy(update={"base_image": "127.0.0.1:9/nothing:1"})
    with pytest.raises(ImageBuildFailed, match="CONSTELLATION_BASE_IMAGE"):
        build(package, missing)


def test_a_person_builds_the_same_with_the_dockerfile(
    tmp_path: Path, package: Package, settings: Settings, engine: Any, built: BuiltImage
) -> None:
    write_context("obedient@1", package.folder, settings, tmp_path)
    image, _ = engine.images.build(path=str(tmp_path), nocache=True, rm=True)
    assert image.attrs["RootFS"]["Layers"] == layers(engine, built)


def test_it_is_pushed_and_run_by_digest(
    tmp_path: Path, package: Package, settings: Settings, engine: Any, built: BuiltImage
) -> None:
    with running_registry(tmp_path) as address:
        registry = settings.model_copy(update={"image_registry": f"{address}/models"})
        pushed = build(package, registry)
        assert pushed.reused
        assert pushed.image == f"{address}/models@{pushed.digest}"
        assert pushed.digest != built.digest
        assert build(package, registry).image == pushed.image

        # Gone from the engine, it comes back from the registry.
        engine.images.remove(built.image, force=True)
        assert run(engine, pushed, "print(42)") == 42
        engine.images.remove(pushed.image, force=True)


def test_a_registry_that_does_not_answer_is_named(
    package: Package, settings: Settings, engine: Any, built: BuiltImage
) -> None:
    registry = settings.model_copy(update={"image_registry": "127.0.0.1:9/models"})
    with pytest.raises(ImageBuildFailed, match="CONSTELLATION_IMAGE_REGISTRY"):
        build(package, registry)
