"""Python classes in a folder."""

from pathlib import Path

import pytest

from constellation_dagster.domain.packages import PackageError
from constellation_dagster.packaging.registration import package_model
from tests.packaging.models import PYTHON_EXAMPLE, save_python_class


def test_a_class_and_what_lies_beside_it(tmp_path: Path, folder: Path) -> None:
    built = package_model(save_python_class(tmp_path / "scale"), folder, example=PYTHON_EXAMPLE)
    manifest = built.manifest
    assert (manifest.flavor, manifest.artifact, manifest.serve) == ("python", "python", "artifact")
    assert {file.path for file in manifest.files} >= {"python/model.py", "python/by.txt"}
    [spec] = manifest.signature.inputs
    assert (spec.name, spec.datatype, spec.shape) == ("x", "FP64", (-1,))
    outputs = {spec.name: (spec.datatype, spec.shape) for spec in manifest.signature.outputs}
    assert outputs == {
        "scaled": ("FP64", (-1,)),
        "big": ("BOOL", (-1,)),
        "name": ("BYTES", (-1,)),
    }
    assert [line.partition("==")[0] for line in manifest.requirements] == ["numpy"]
    assert not list(folder.rglob("__pycache__"))


def test_a_signature_that_is_given(tmp_path: Path, folder: Path) -> None:
    signature = {
        "inputs": [{"name": "x", "datatype": "FP64", "shape": [3]}],
        "outputs": [{"name": "scaled", "datatype": "FP32", "shape": [3]}],
    }
    example = {"request": PYTHON_EXAMPLE, "signature": signature}
    built = package_model(save_python_class(tmp_path / "scale"), folder, example=example)
    assert built.manifest.signature.model_dump(mode="json") == signature
    assert not built.manifest.signature.batchable


@pytest.mark.parametrize(
    ("file", "content", "told"),
    [
        ("model.py", "class Other: pass", "has no class Model"),
        ("model.py", "1 / 0", "cannot be loaded: ZeroDivisionError"),
        ("model.py", "class Model:\n  def setup(self, folder): 1 / 0\n  def predict(self, i): ...",
         "Model.setup of model.py raised ZeroDivisionError"),
        ("model.py", "class Model:\n  def setup(self, folder): ...\n  def predict(self, i): 1 / 0",
         "The model does not answer the example: ZeroDivisionError"),
        ("model.py", "class Model:\n  def setup(self, folder): ...\n  def predict(self, i): return 3",
         "returned int, and should return a dict"),
        ("model.py", "class Model:\n  def setup(self, f): ...\n  def predict(self, i): return {'y': 1j}",
         "elements of type complex128"),
        ("model.py", "class Model:\n  def setup(self, f): ...", "has no predict"),
        ("requirements.txt", "nothing_of_this_name\n", "nothing-of-this-name is not installed here"),
        ("requirements.txt", "numpy<1\n", "numpy<1 is asked for"),
        ("requirements.txt", "-r other.txt\n", "options are not taken"),
    ],
)  # fmt: skip
def test_mistakes(tmp_path: Path, folder: Path, file: str, content: str, told: str) -> None:
    source = save_python_class(tmp_path / "scale")
    (source / file).write_text(content)
    with pytest.raises(PackageError, match=told):
        package_model(source, folder, example=PYTHON_EXAMPLE)


def test_what_is_missing(tmp_path: Path, folder: Path) -> None:
    source = save_python_class(tmp_path / "scale")
    with pytest.raises(PackageError, match="Nothing says what the model takes: give an example"):
        package_model(source, folder)
    (source / "requirements.txt").unlink()
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    with pytest.raises(PackageError, match=r"has no requirements\.txt"):
        package_model(source, fresh, example=PYTHON_EXAMPLE)


def test_it_does_not_run_for_somebody_else(tmp_path: Path, folder: Path) -> None:
    source = save_python_class(tmp_path / "scale")
    (source / "model.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(PackageError, match="is a Python class: its code would run here"):
        package_model(source, folder, example=PYTHON_EXAMPLE, data_only=True)
    assert not (tmp_path / "ran").exists()
