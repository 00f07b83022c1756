"""Examples, requirements, bills of materials and cards."""

import importlib.metadata
import json
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from constellation_dagster.domain.packages import PackageError, PackageFile
from constellation_dagster.packaging.bom import bill_of_materials
from constellation_dagster.packaging.differences import differences
from constellation_dagster.packaging.registration import package_model
from constellation_dagster.packaging.requirements import lines_of, pinned
from tests.packaging.models import bird_model, save_onnx

ROW: dict[str, Any] = {"name": "x", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]}
ANSWER: dict[str, Any] = {"name": "y", "datatype": "FP32", "shape": [1, 3], "data": [2, 4, 6]}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return save_onnx(tmp_path / "m.onnx")


def test_a_given_example_is_kept_with_the_models_answer(model: Path, folder: Path) -> None:
    package_model(model, folder, example={"inputs": [ROW]})
    kept = json.loads((folder / "example.json").read_text())
    assert kept == {"request": {"inputs": [ROW]}, "response": {"outputs": [ANSWER]}}


def test_an_expected_response_is_held_against_the_model(model: Path, folder: Path) -> None:
    example = {"request": {"inputs": [ROW]}, "response": {"outputs": [ANSWER]}}
    package_model(model, folder, example=example)


@pytest.mark.parametrize(
    ("example", "told"),
    [
        ({"request": {"inputs": [ROW]}, "response": {"outputs": [ANSWER | {"data": [2, 4, 7]}]}},
         "does not answer as the example's response says: y differ"),
        ({"request": {"inputs": [ROW]}, "response": {"outputs": [ANSWER | {"name": "z"}]}},
         "The example's response is refused: .*'z'"),
        ({"inputs": [ROW | {"name": "z"}]}, "'z'"),
        ({"inputs": [ROW | {"datatype": "FP64"}]}, "FP64"),
        ({"inputs": [ROW | {"shape": [1, 4]}]}, r"request is refused: .*\[1, 4\]"),
        ({"inputs": []}, "has no inputs"),
        ({}, "has no inputs"),
        ({"request": 3}, "request: Input should be a valid dictionary"),
        ({"request": {}, "reponse": {}}, "reponse: Extra inputs are not permitted"),
        ({"inputs": [{"datatype": "FP32"}]}, "name: Field required"),
    ],
)  # fmt: skip
def test_examples_that_are_refused(
    model: Path, folder: Path, example: dict[str, Any], told: str
) -> None:
    with pytest.raises(PackageError, match=told):
        package_model(model, folder, example=example)


def test_answers_that_json_cannot_say(tmp_path: Path, folder: Path) -> None:
    path = save_onnx(tmp_path / "m.onnx", by=float("nan"))
    with pytest.raises(PackageError, match=r"answer to the example cannot be kept: .*NaN"):
        package_model(path, folder)


def test_requirements_are_the_versions_that_are_here() -> None:
    lines = pinned(["onnxruntime"])
    assert list(lines) == sorted(lines)
    assert f"onnxruntime=={importlib.metadata.version('onnxruntime')}" in lines
    # What it needs itself, too.
    assert f"numpy=={importlib.metadata.version('numpy')}" in lines


def test_a_pin_of_the_models_own_is_kept() -> None:
    assert "nowhere==1.5" in pinned([], ["nowhere==1.5"])
    assert "numpy==1.0" in pinned([], ["numpy == 1.0"])
    assert pinned([], ["numpy; python_version < '3'"]) == ()


def test_all_that_is_wrong_with_requirements_is_told() -> None:
    with pytest.raises(PackageError) as caught:
        pinned([], ["-e .", "a @ https://example.org/a.whl", "no such", "gone", "numpy<1"])
    said = str(caught.value)
    for told in ("'-e .': options", "addresses are not taken", "'no such' is no", "gone is not",
                 "numpy<1 is asked for"):  # fmt: skip
        assert told in said


def test_lines_of_a_requirements_file() -> None:
    text = "# a comment\nnumpy>=2  # why\n\nb==1 \\\n  --hash=sha256:00\n"
    assert lines_of(text) == ("numpy>=2", "b==1    --hash=sha256:00")
    assert pinned([], ["b==1    --hash=sha256:00"]) == ("b==1",)


def test_the_bill_of_materials_is_valid_and_the_same_each_time() -> None:
    files = [PackageFile(path="model.onnx", size=1, sha256="a" * 64)]
    text = bill_of_materials("onnx", files, pinned(["onnxruntime"]))
    assert bill_of_materials("onnx", files, pinned(["onnxruntime"])) == text
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    document = json.loads(text)
    assert "timestamp" not in document["metadata"]
    assert {item["name"]: item["hashes"][0]["content"] for item in document["components"]
            if item["type"] == "file"} == {"model.onnx": "a" * 64}  # fmt: skip
    purls = {item["purl"] for item in document["components"] if item["type"] == "library"}
    assert f"pkg:pypi/numpy@{importlib.metadata.version('numpy')}" in purls
    other = [files[0].model_copy(update={"sha256": "b" * 64})]
    changed = json.loads(bill_of_materials("onnx", other, pinned(["onnxruntime"])))
    assert changed["serialNumber"] != document["serialNumber"]


def test_cards_hold_text_as_text(folder: Path) -> None:
    model = bird_model()
    odd = type(model)(model.estimator, model.features, "a|b\n`c`", model.task, model.classes)
    package_model(odd, folder)
    card = (folder / "README.md").read_text()
    assert "- **Predicts:** a\\|b 'c'\n" in card
    assert "| island | BYTES | any |" in card
    assert "**Classes:** `Adelie`, `C`, `Gentoo`" in card


def test_differences_are_told(tmp_path: Path) -> None:
    manifests: list[Any] = []
    for name, by in (("a", 2.0), ("b", 3.0)):
        folder = tmp_path / name
        folder.mkdir()
        manifests.append(package_model(save_onnx(tmp_path / "m", by=by), folder).manifest)
    one, other = manifests
    assert differences(one, one) == ()
    # The answer to nothing is nothing, whatever the factor.
    changed = [told.partition(" differs")[0] for told in differences(one, other)]
    assert changed == ["model.onnx", "sbom.cdx.json"]
    moved = one.model_copy(update={
        "requirements": ("numpy==9",), "tolerance": 0.5, "files": one.files[1:],
    })  # fmt: skip
    told = differences(one, moved)
    assert told[0] == f"{one.files[0].path} is not in it any more"
    assert "numpy==9 now" in told[1]
    assert told[2:] == ("tolerance differs",)
    assert differences(moved, one)[0] == f"{one.files[0].path} is new"
