"""MLflow's model directories, as MLflow itself writes them."""

import importlib
import json
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from constellation_dagster.domain.packages import PackageError
from constellation_dagster.packaging.registration import package_model
from constellation_dagster.packaging.sources import take
from constellation_dagster.serving.predictors import load_predictor
from tests.packaging.models import FEATURES, bird_model, birds, onnx_model, regression

mlflow: Any = pytest.importorskip("mlflow")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    for _flavour in ("onnx", "pyfunc", "sklearn"):
        importlib.import_module(f"mlflow.{_flavour}")

# What MLflow and its dependencies warn of is theirs.
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(300)]

ROWS = np.array([[1.0, 2.0, 3.0], [0.0, -1.0, 2.0]])


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Model directories of several flavours."""
    folder = tmp_path_factory.mktemp("mlflow")
    signature = mlflow.models.infer_signature(ROWS, np.array([1.0, 2.0]))
    common: dict[str, Any] = {"signature": signature, "pip_requirements": ["scikit-learn"]}
    for name in ("skops", "cloudpickle"):
        mlflow.sklearn.save_model(
            regression(), folder / name, serialization_format=name, input_example=ROWS, **common
        )
    frame = birds()
    pandas = pd.DataFrame({name: frame[name].to_list() for name in FEATURES})
    mlflow.sklearn.save_model(
        bird_model().estimator,
        folder / "columns",
        serialization_format="skops",
        signature=mlflow.models.infer_signature(pandas, np.array(["Adelie"])),
        input_example=pandas.head(2),
        pip_requirements=["scikit-learn"],
    )
    mlflow.onnx.save_model(onnx_model(), folder / "onnx", pip_requirements=["onnxruntime"])
    code = folder / "code.py"
    code.write_text(MODEL_FROM_CODE)
    mlflow.pyfunc.save_model(
        folder / "code", python_model=str(code), signature=signature, pip_requirements=["numpy"]
    )
    mlflow.pyfunc.save_model(
        folder / "unsigned", python_model=str(code), pip_requirements=["numpy"]
    )
    return folder


MODEL_FROM_CODE = """
import mlflow

class Sum(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return model_input.sum(axis=1)

mlflow.models.set_model(Sum())
"""


@pytest.fixture
def tracking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A registry of its own."""
    # It keeps what it is given in a folder `mlruns` of where one is.
    monkeypatch.chdir(tmp_path)
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    yield tmp_path
    mlflow.set_tracking_uri(before)


def test_scikit_learn_saved_with_skops_needs_no_mlflow(saved: Path, folder: Path) -> None:
    built = package_model(saved / "skops", folder, data_only=True)
    manifest = built.manifest
    assert (manifest.flavor, manifest.serve) == ("sklearn", "onnx")
    assert not any("mlflow" in line for line in manifest.requirements)
    assert "**Logged with:** MLflow 3" in (folder / "README.md").read_text()
    example = json.loads((folder / "example.json").read_text())
    # The one that was logged with it.
    assert example["request"]["inputs"][0]["data"] == ROWS.ravel().tolist()


def test_columns_of_its_signature_are_inputs(saved: Path, folder: Path) -> None:
    built = package_model(saved / "columns", folder)
    assert [spec.name for spec in built.manifest.signature.inputs] == list(FEATURES)
    kinds = [spec.datatype for spec in built.manifest.signature.inputs]
    assert kinds == ["BYTES", "BOOL", "FP64", "FP64"]
    assert built.manifest.onnx is not None


def test_onnx_goes_through(saved: Path, folder: Path) -> None:
    built = package_model(saved / "onnx", folder, data_only=True)
    assert built.manifest.flavor == "onnx"
    assert [spec.name for spec in built.manifest.signature.inputs] == ["x"]


def test_logged_twice_is_one_content(saved: Path, tmp_path: Path) -> None:
    """Ids and times of runs are no part of the model."""
    digests: set[str] = set()
    for turn in ("a", "b"):
        mlflow.onnx.save_model(onnx_model(), tmp_path / turn, pip_requirements=["onnxruntime"])
        package = tmp_path / f"package_{turn}"
        package.mkdir()
        digests.add(package_model(tmp_path / turn, package).manifest.digest)
    assert len(digests) == 1


def test_pickles_are_refused(saved: Path, folder: Path) -> None:
    with pytest.raises(PackageError, match="its scikit-learn model is a pickle") as caught:
        package_model(saved / "cloudpickle", folder)
    assert 'serialization_format="skops"' in str(caught.value)


def test_other_pickles_are_refused(saved: Path, folder: Path, tmp_path: Path) -> None:
    source = tmp_path / "code"
    shutil.copytree(saved / "code", source)
    (source / "python_model.pkl").write_bytes(b"\x80\x04.")
    with pytest.raises(PackageError, match=r"python_model\.pkl is a pickle by its name"):
        package_model(source, folder)


def test_what_mlflow_loads_by_code(saved: Path, folder: Path) -> None:
    with pytest.raises(PackageError, match="is loaded by code that the directory names"):
        package_model(saved / "code", folder, data_only=True)
    built = package_model(saved / "code", folder)
    manifest = built.manifest
    assert (manifest.flavor, manifest.artifact) == ("mlflow", "mlflow")
    assert [spec.shape for spec in manifest.signature.inputs] == [(-1, 3)]
    names = {line.partition("==")[0] for line in manifest.requirements}
    assert "mlflow-skinny" in names
    assert "mlflow" not in names
    given = {manifest.signature.inputs[0].name: ROWS}
    [answer] = load_predictor(folder, manifest).predict(given).values()
    assert answer.tolist() == [6.0, 1.0]


def test_a_model_without_a_signature(saved: Path, folder: Path) -> None:
    with pytest.raises(PackageError, match="signature says nothing of its inputs") as caught:
        package_model(saved / "unsigned", folder)
    assert "infer_signature" in str(caught.value)


@pytest.mark.parametrize(
    ("described", "told"),
    [
        ("{", "its MLmodel is damaged"),
        ("a: [1, 2]", "its MLmodel names no flavours"),
        ("flavors: {onnx: {data: ../../secret.onnx}}", "outside of it"),
        ("flavors: {onnx: {data: /etc/passwd}}", "outside of it"),
        ("flavors: {onnx: {}}", "names None as its model"),
        ("flavors: {onnx: {data: link.onnx}}", "link that leads outside"),
        ("x: &a [1]\nflavors: {onnx: {data: gone.onnx}}", "There is no file"),
        ("!!python/object/apply:os.system ['touch /tmp/x']", "its MLmodel is damaged"),
    ],
)
def test_descriptions_that_are_refused(
    tmp_path: Path, folder: Path, described: str, told: str
) -> None:
    source = tmp_path / "model"
    source.mkdir()
    (tmp_path / "secret.onnx").write_bytes(onnx_model().SerializeToString())
    (source / "link.onnx").symlink_to(tmp_path / "secret.onnx")
    (source / "MLmodel").write_text(described)
    with pytest.raises(PackageError, match=told):
        take(source, folder)


def test_a_model_of_the_registry(saved: Path, folder: Path, tracking: Path) -> None:
    with mlflow.start_run():
        mlflow.onnx.log_model(
            onnx_model(), name="scale", registered_model_name="scale", pip_requirements=["onnx"]
        )
    assert package_model("models:/scale/1", folder).manifest.flavor == "onnx"


def test_a_model_that_the_registry_has_not(folder: Path, tracking: Path) -> None:
    with pytest.raises(PackageError, match="MLflow cannot read 'models:/nothing/1'") as caught:
        package_model("models:/nothing/1", folder)
    assert "MLFLOW_TRACKING_URI" in str(caught.value)
