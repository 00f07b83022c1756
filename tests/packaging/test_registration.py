"""From a model to a version of a package: the same content, the same digest; and no other."""

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest

from constellation_dagster.blocks.classifiers import Algorithm
from constellation_dagster.domain.errors import BlockFailed
from constellation_dagster.domain.packages import PackageError
from constellation_dagster.packaging.person_models import PersonModels
from constellation_dagster.packaging.registration import register_model
from constellation_dagster.packaging.store import PackageStore
from constellation_dagster.resources.person_packages import PersonPackages
from constellation_dagster.serving.integrity import verify_package
from tests.packaging.models import (
    PYTHON_EXAMPLE,
    bird_model,
    regression,
    save_external_onnx,
    save_onnx,
    save_python_class,
    save_skops,
)
from tests.roles import create_user

ALGORITHMS: tuple[Algorithm, ...] = ("logistic_regression", "random_forest", "gradient_boosting")


@pytest.fixture
def connection(database_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def catalogue(database_url: str, connection: psycopg.Connection) -> PersonPackages:
    return PersonPackages(database_url, create_user(connection, "owner"))


def read(store: PackageStore, digest: str, name: str) -> str:
    return (store.fetch(digest) / name).read_text()


def test_what_a_package_holds(store: PackageStore) -> None:
    package = register_model(bird_model(), name="birds", version="1", store=store)
    folder = store.fetch(package.digest)
    assert verify_package(folder, package.digest) == package.manifest
    assert {file.path for file in package.manifest.files} == {
        "README.md",
        "example.json",
        "model.onnx",
        "model.skops",
        "requirements.txt",
        "sbom.cdx.json",
    }
    manifest = package.manifest
    assert (manifest.flavor, manifest.artifact, manifest.onnx, manifest.serve) == (
        "sklearn",
        "model.skops",
        "model.onnx",
        "onnx",
    )
    assert {spec.name: (spec.datatype, spec.shape) for spec in manifest.signature.inputs} == {
        "island": ("BYTES", (-1,)),
        "alive": ("BOOL", (-1,)),
        "year": ("FP64", (-1,)),
        "mass": ("FP64", (-1,)),
    }
    assert {spec.name: (spec.datatype, spec.shape) for spec in manifest.signature.outputs} == {
        "prediction": ("BYTES", (-1,)),
        "probabilities": ("FP32", (-1, 3)),
    }
    assert manifest.classes == ("Adelie", "C", "Gentoo")
    example = json.loads((folder / "example.json").read_text())
    assert [entry["name"] for entry in example["request"]["inputs"]] == [
        "island",
        "alive",
        "year",
        "mass",
    ]
    assert [entry["name"] for entry in example["response"]["outputs"]] == [
        "prediction",
        "probabilities",
    ]
    names = {line.partition("==")[0] for line in manifest.requirements}
    # What serves is ONNX, so what trained is not needed.
    assert "onnxruntime" in names
    assert "scikit-learn" not in names
    assert (folder / "requirements.txt").read_text().splitlines() == list(manifest.requirements)
    assert "**Predicts:** species" in (folder / "README.md").read_text()


# Trained, registered and told in a process of its own.
IN_A_PROCESS = """
import json, sys, tempfile
from pathlib import Path
from upath import UPath
from constellation_dagster.blocks import impute_missing, sample_data, train_classifier
from constellation_dagster.packaging.registration import register_model
from constellation_dagster.packaging.store import PackageStore
from tests.packaging.models import bird_model, regression
penguins = impute_missing(sample_data(name="penguins"))
numbers = train_classifier(
    penguins, target="species", features=["bill_length_mm", "bill_depth_mm"], algorithm="random_forest"
)
store = PackageStore(UPath(tempfile.mkdtemp()), Path(tempfile.mkdtemp()))
models = [bird_model(name) for name in ("logistic_regression", "random_forest", "gradient_boosting")]
print(json.dumps([
    register_model(model, name="m", version="1", store=store).digest
    for model in [*models, numbers, regression()]
]))
"""


@pytest.mark.timeout(600)
def test_the_same_model_has_the_same_digest_in_every_process() -> None:
    told: list[list[str]] = []
    # The sets of skl2onnx have another order with the one than with the other.
    for seed in ("1", "4"):
        result = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", IN_A_PROCESS],
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, result.stderr
        told.append(json.loads(result.stdout.splitlines()[-1]))
    assert told[0] == told[1]
    assert len(set(told[0])) == 5


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_model_that_was_stored_before_has_the_same_digest(
    store: PackageStore, tmp_path: Path, algorithm: Algorithm
) -> None:
    model = bird_model(algorithm)
    fields = {field.name: getattr(model, field.name) for field in dataclasses.fields(model)}
    stored = save_skops(fields, tmp_path / "model.skops")
    package = register_model(model, name="m", version="1", store=store)
    assert register_model(stored, name="m", version="1", store=store).digest == package.digest


def test_names_are_no_part_of_the_digest(store: PackageStore, tmp_path: Path) -> None:
    first = register_model(save_onnx(tmp_path / "a.onnx"), name="a", version="1", store=store)
    second = register_model(save_onnx(tmp_path / "b.onnx"), name="b", version="2", store=store)
    assert first.digest == second.digest
    other = save_onnx(tmp_path / "c.onnx", by=3)
    assert register_model(other, name="a", version="1", store=store).digest != first.digest


def test_the_same_again_is_told(
    store: PackageStore, catalogue: PersonPackages, tmp_path: Path
) -> None:
    model = save_onnx(tmp_path / "m.onnx")
    first = register_model(model, name="m", version="1", store=store, catalogue=catalogue)
    again = register_model(model, name="m", version="1", store=store, catalogue=catalogue)
    assert (first.new, again.new) == (True, False)
    assert first.digest == again.digest


def test_other_content_under_a_version_is_refused(
    store: PackageStore, catalogue: PersonPackages, tmp_path: Path
) -> None:
    model = save_onnx(tmp_path / "m.onnx")
    first = register_model(model, name="m", version="1", store=store, catalogue=catalogue)
    with pytest.raises(PackageError) as caught:
        register_model(
            save_onnx(model, by=3), name="m", version="1", store=store, catalogue=catalogue
        )
    said = str(caught.value)
    assert said.startswith("Package 'm@1' exists and is another one; a version never changes:")
    assert "\n- model.onnx differs (" in said
    assert "README.md" not in said
    assert said.endswith("Register it under another version.")
    # What was refused is not kept either.
    hexes = [path.name for path in (tmp_path / "packages" / "sha256").iterdir()]
    assert hexes == [first.digest.removeprefix("sha256:")]


def test_versions_count_up(store: PackageStore, catalogue: PersonPackages, tmp_path: Path) -> None:
    def version(by: float, asked: str | None = None) -> str:
        model = save_onnx(tmp_path / "m.onnx", by=by)
        return register_model(
            model, name="m", version=asked, store=store, catalogue=catalogue
        ).version

    assert [version(1), version(1), version(2), version(2)] == ["1", "1", "2", "2"]
    assert version(3, "beta") == "beta"
    assert version(3, "10") == "10"
    assert version(3) == "10"
    # An older one is another state of things: going back to it is a new version.
    assert version(1) == "11"


@pytest.mark.parametrize(
    ("name", "version", "told"),
    [
        ("Birds", "1", "cannot be named 'Birds'"),
        ("birds-2", "1", "cannot be named 'birds-2'"),
        ("birds", "1/2", "cannot have a version '1/2'"),
    ],
)
def test_names_are_checked_before_anything_is_done(
    store: PackageStore, name: str, version: str, told: str
) -> None:
    with pytest.raises(PackageError, match=told):
        register_model("nowhere.onnx", name=name, version=version, store=store)


def test_what_only_an_operator_registers(
    store: PackageStore, catalogue: PersonPackages, tmp_path: Path
) -> None:
    source = save_python_class(tmp_path / "scale")
    with pytest.raises(PackageError, match="only an operator can register it"):
        register_model(
            source,
            name="scale",
            example=PYTHON_EXAMPLE,
            store=store,
            catalogue=catalogue,
        )


def test_a_persons_registry(
    store: PackageStore,
    catalogue: PersonPackages,
    database_url: str,
    connection: psycopg.Connection,
) -> None:
    models = PersonModels(store, catalogue)
    first = models.register(bird_model(), name="birds", version=None, alias="champion", card=None)
    again = models.register(bird_model(), name="birds", version=None, alias=None, card=None)
    assert (first.version, again) == ("1", first)
    other = bird_model("random_forest")
    assert (
        models.register(other, name="birds", version=None, alias=None, card="# A forest").version
        == "2"
    )
    rows = connection.execute(
        "select version, status, digest, card, measured ->> 'onnx' from model_packages order by 1"
    ).fetchall()
    assert [row[:2] for row in rows] == [("1", "packaged"), ("2", "packaged")]
    assert rows[0][2] == first.digest
    assert rows[1][3:] == ("# A forest", "agrees")
    assert connection.execute("select alias, version from model_aliases").fetchall() == [
        ("champion", "1")
    ]
    stranger = PersonModels(store, PersonPackages(database_url, create_user(connection)))
    with pytest.raises(BlockFailed, match="'birds' is taken by somebody else"):
        stranger.register(bird_model(), name="birds", version=None, alias=None, card=None)


def test_weights_beside_the_model_are_part_of_the_package(
    store: PackageStore, tmp_path: Path
) -> None:
    one = save_external_onnx(tmp_path / "one", "deep/weights.bin")
    other = save_external_onnx(tmp_path / "other", "deep/weights.bin", by=3)
    first = register_model(one, name="m", version="1", store=store)
    second = register_model(other, name="m", version="1", store=store)
    assert first.digest != second.digest
    assert "deep/weights.bin" in {file.path for file in first.manifest.files}
    response: Mapping[str, Any] = json.loads(read(store, first.digest, "example.json"))["response"]
    assert response["outputs"][0]["data"] == [0.0, 0.0, 0.0]


def test_a_card_and_more_requirements(store: PackageStore, tmp_path: Path) -> None:
    model = save_onnx(tmp_path / "m.onnx")
    package = register_model(
        model, name="m", version="1", card="# Mine\n", requirements=["polars"], store=store
    )
    assert read(store, package.digest, "README.md") == "# Mine\n"
    assert any(line.startswith("polars==") for line in package.manifest.requirements)


def test_an_unfitted_estimator(store: PackageStore) -> None:
    from sklearn.linear_model import LinearRegression

    with pytest.raises(PackageError, match="The LinearRegression is not fitted"):
        register_model(LinearRegression(), name="m", version="1", store=store)
    with pytest.raises(PackageError, match="A dict cannot be registered"):
        register_model({}, name="m", version="1", store=store)


def test_an_estimator_in_memory(store: PackageStore) -> None:
    package = register_model(regression(), name="m", version="1", store=store)
    [spec] = package.manifest.signature.inputs
    assert (spec.name, spec.datatype, spec.shape) == ("x", "FP64", (-1, 3))
    [output] = package.manifest.signature.outputs
    assert (output.name, output.datatype, output.shape) == ("prediction", "FP64", (-1,))
    assert package.manifest.serve == "onnx"
    assert package.measured["onnx"] == "agrees"
    assert package.measured["onnx_ms"] > 0 < package.measured["artifact_ms"]
