"""Each flavour of model behind one interface."""

import pickle
import sys
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from constellation_dagster.domain.packages import PackageError, Signature, TensorSpec
from constellation_dagster.serving.example import check_example
from constellation_dagster.serving.predictors import Predictor, load_predictor
from constellation_dagster.serving.tensors import ModelFailed
from tests.serving.packages import (
    ECHO,
    IRIS,
    IRIS_ROW,
    Package,
    python_package,
    tensor,
    write_package,
)

pytestmark = pytest.mark.usefixtures("unchanged_interpreter")
ROWS = np.array([IRIS_ROW, [6.5, 3.0, 5.5, 2.0]], np.float32)


@pytest.fixture
def unchanged_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model's code changes where modules come from, for good: here, for a test."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", sys.dont_write_bytecode)


def loaded(package: Package, tolerance: float = 1e-4) -> Predictor:
    """The model of a package, which answers its own example."""
    manifest = package.manifest
    predictor = load_predictor(package.folder, manifest)
    check_example(package.folder, predictor, manifest.signature, tolerance)
    return predictor


def test_onnx(iris: Package) -> None:
    outputs = loaded(iris).predict({"x": ROWS})
    assert outputs["prediction"].tolist() == [0, 2]
    assert outputs["probabilities"].dtype == np.float32
    assert outputs["probabilities"].sum(axis=1) == pytest.approx([1, 1])


def test_scikit_learn(forest: Package) -> None:
    outputs = loaded(forest).predict({"x": ROWS})
    assert outputs["prediction"].tolist() == [0, 2]
    assert outputs["probabilities"].shape == (2, 3)


def test_columns_of_a_trained_model(penguins: Package) -> None:
    outputs = loaded(penguins).predict(
        {
            "mass": np.array([3000.0, 5200.0]),
            "island": np.array(["Dream", b"\xff not text"], object),
            "is_adult": np.array([False, True]),
        }
    )
    assert outputs["prediction"].tolist() == ["Adelie", "Gentoo"]


def test_onnx_whose_columns_are_of_another_rank_and_type(tmp_path: Path) -> None:
    """What a pipeline of scikit-learn over columns becomes."""
    import polars as pl
    import skl2onnx
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType

    from constellation_dagster.blocks.classifiers import fit_classifier

    table = pl.DataFrame(
        {
            "mass": [3000.0, 3100.0, 5000.0, 5200.0],
            "island": ["Dream", "Dream", "Biscoe", "Torgersen"],
            "species": ["Adelie", "Adelie", "Gentoo", "Gentoo"],
        }
    )
    model = fit_classifier(table, "species", ["mass", "island"], "logistic_regression", 0)
    skl: Any = skl2onnx
    twin = skl.convert_sklearn(
        model.estimator,
        initial_types=[
            ("mass", FloatTensorType([None, 1])),
            ("island", StringTensorType([None, 1])),
        ],
        options={"zipmap": False},
        target_opset=18,
        final_types=None,
    )
    (tmp_path / "model.onnx").write_bytes(twin.SerializeToString())
    label, shares = (node.name for node in twin.graph.output)
    package = write_package(
        tmp_path,
        flavor="onnx",
        artifact="model.onnx",
        signature=Signature(
            inputs=(
                TensorSpec(name="mass", datatype="FP64", shape=(-1,)),
                TensorSpec(name="island", datatype="BYTES", shape=(-1,)),
            ),
            outputs=(
                TensorSpec(name=label, datatype="BYTES", shape=(-1,)),
                TensorSpec(name=shares, datatype="FP64", shape=(-1, 2)),
            ),
        ),
        request={
            "inputs": [
                tensor("mass", "FP64", (1,), [3000.0]),
                tensor("island", "BYTES", (1,), ["Dream"]),
            ]
        },
        response={
            "outputs": [
                tensor(label, "BYTES", (1,), ["Adelie"]),
                tensor(
                    shares,
                    "FP64",
                    (1, 2),
                    model.estimator.predict_proba(table.head(1))[0].tolist(),
                ),
            ]
        },
    )
    outputs = loaded(package).predict(
        {"mass": np.array([5200.0]), "island": np.array(["Biscoe"], object)}
    )
    assert outputs[label].tolist() == ["Gentoo"]
    assert outputs[shares].dtype == np.float64


def test_a_python_class_with_a_module_and_files_of_its_own(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "helping_module.py").write_text("def twice(x):\n    return 2 * x\n")
    (folder / "offset.txt").write_text("1")
    (folder / "model.py").write_text(
        "from helping_module import twice\n"
        "class Model:\n"
        "    def setup(self, folder):\n"
        "        self.offset = float((folder / 'offset.txt').read_text())\n"
        "    def predict(self, inputs):\n"
        "        return {'x': twice(inputs['x']) + self.offset}\n"
    )
    x = TensorSpec(name="x", datatype="FP64", shape=(-1,))
    package = write_package(
        tmp_path,
        flavor="python",
        artifact="model",
        signature=Signature(inputs=(x,), outputs=(x,)),
        request={"inputs": [tensor("x", "FP64", (1,), [1.0])]},
        response={"outputs": [tensor("x", "FP64", (1,), [3.0])]},
    )
    try:
        assert loaded(package).predict({"x": np.array([2.0])})["x"].tolist() == [5.0]
    finally:
        sys.modules.pop("helping_module", None)
    # Bytecode would be an additional file.
    assert list(tmp_path.rglob("__pycache__")) == []


@pytest.mark.parametrize(
    ("code", "phrase"),
    [
        ("", "model.py has no class Model"),
        ("class Model: pass", "The class Model of model.py has no setup and no predict"),
        ("class Model", "model.py cannot be loaded: SyntaxError"),
        ("import not_there", "No module named 'not_there'. Install the packages"),
        (
            "class Model:\n def setup(self, folder): 1 / 0\n def predict(self, inputs): ...",
            "Model.setup of model.py raised ZeroDivisionError: division by zero",
        ),
    ],
)
def test_a_python_class_that_cannot_be_loaded(tmp_path: Path, code: str, phrase: str) -> None:
    package = python_package(tmp_path, code)
    with pytest.raises(PackageError) as caught:
        load_predictor(package.folder, package.manifest)
    assert phrase in str(caught.value)


@pytest.mark.parametrize(
    ("returned", "phrase"),
    [
        ("[1]", "Model.predict returned list, and should return a dict"),
        ("{'y': 1}", "Model.predict returned no x"),
        ("{'x': ['a']}", "output 'x' is no FP64"),
        ("{'x': [[1.0, 2.0]]}", ""),
        ("{'x': [[[1.0], [2.0]], [[3.0], [4.0]]]}", ""),
    ],
)
def test_a_python_class_that_answers_otherwise(tmp_path: Path, returned: str, phrase: str) -> None:
    code = ECHO.replace('{"x": inputs["x"]}', returned)
    package = python_package(tmp_path, code)
    predictor = load_predictor(package.folder, package.manifest)
    if phrase:
        with pytest.raises(ModelFailed, match=phrase):
            predictor.predict({"x": np.array([1.0])})
    else:
        # A column of another rank is still a column.
        assert predictor.predict({"x": np.array([1.0])})["x"].ndim == 1


def test_what_is_no_onnx_is_refused(copied: Package) -> None:
    content = (copied.folder / "model.onnx").read_bytes()
    for damaged in (content[: len(content) // 2], b"", b"\x80\x04."):
        (copied.folder / "model.onnx").write_bytes(damaged)
        with pytest.raises(PackageError, match=r"model\.onnx cannot be loaded as ONNX"):
            load_predictor(copied.folder, copied.manifest)


def test_onnx_with_other_tensors_than_its_signature(iris: Package) -> None:
    signature = Signature(
        inputs=(TensorSpec(name="y", datatype="FP32", shape=(-1, 4)),), outputs=IRIS.outputs
    )
    manifest = iris.manifest.model_copy(update={"signature": signature})
    with pytest.raises(PackageError, match=r"has the inputs \['x'\], and its signature says"):
        load_predictor(iris.folder, manifest)


def test_a_twin_that_is_not_there(iris: Package) -> None:
    with pytest.raises(PackageError, match="no ONNX twin"):
        load_predictor(iris.folder, iris.manifest, which="onnx")


class Evil:
    """What skops does not trust, and what would leave a trace if it were made."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("/tmp/evil-was-here"),))


def test_scikit_learn_with_types_that_are_not_trusted(forest: Package) -> None:
    import skops.io

    folder = forest.folder.parent / "untrusted"
    folder.mkdir()
    skops.io.dump({"estimator": Evil()}, folder / "model.skops")
    with pytest.raises(PackageError, match=r"types that are not trusted: .*Evil"):
        load_predictor(folder, forest.manifest)
    assert not Path("/tmp/evil-was-here").exists()


@pytest.mark.parametrize("content", [pickle.dumps(Evil()), b"", b"PK\x03\x04 and no more"])
def test_what_is_no_skops_is_refused(tmp_path: Path, forest: Package, content: bytes) -> None:
    (tmp_path / "model.skops").write_bytes(content)
    with pytest.raises(PackageError, match=r"model\.skops cannot be loaded with skops"):
        load_predictor(tmp_path, forest.manifest)
    assert not Path("/tmp/evil-was-here").exists()


def test_a_forged_tree_is_refused(tmp_path: Path, forest: Package) -> None:
    import skops.io

    from constellation_dagster.domain.trees import TREE_TYPE

    estimator: Any = skops.io.load(forest.folder / "model.skops", trusted=[TREE_TYPE])
    tree = estimator.estimators_[0].tree_
    tree.children_left[0] = tree.node_count + 1000
    skops.io.dump(estimator, tmp_path / "model.skops")
    with pytest.raises(PackageError, match="a decision tree leads outside of itself"):
        load_predictor(tmp_path, forest.manifest)


def test_scikit_learn_that_gives_no_probabilities(tmp_path: Path, forest: Package) -> None:
    import skops.io
    from sklearn.svm import LinearSVC

    estimator: Any = LinearSVC()
    skops.io.dump(estimator.fit(ROWS, [0, 1]), tmp_path / "model.skops")
    with pytest.raises(PackageError, match="LinearSVC, which gives no 'probabilities'"):
        load_predictor(tmp_path, forest.manifest)


# MLflow and what it imports warn of themselves.
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("named", [True, False])
def test_mlflow_model_of_columns_and_of_a_matrix(tmp_path: Path, named: bool) -> None:
    pytest.importorskip("mlflow")
    import mlflow.models
    import pandas as pd
    from sklearn.linear_model import LogisticRegression

    rows: Any = pd.DataFrame(ROWS, columns=list("abcd")) if named else ROWS
    estimator: Any = LogisticRegression()
    estimator.fit(rows, [0, 1])
    cast("Any", mlflow).sklearn.save_model(
        estimator,
        tmp_path / "model",
        signature=cast("Any", mlflow.models).infer_signature(rows, estimator.predict(rows)),
        pip_requirements=[],
    )
    inputs = (
        tuple(TensorSpec(name=name, datatype="FP32", shape=(-1,)) for name in "abcd")
        if named
        else (TensorSpec(name="x", datatype="FP32", shape=(-1, 4)),)
    )
    row = [
        tensor(spec.name, "FP32", (1, *spec.shape[1:]), ROWS[0, index : index + 1].tolist())
        for index, spec in enumerate(inputs)
    ]
    package = write_package(
        tmp_path,
        flavor="mlflow",
        artifact="model",
        signature=Signature(
            inputs=inputs,
            outputs=(TensorSpec(name="prediction", datatype="INT64", shape=(-1,)),),
        ),
        request={"inputs": row if named else [tensor("x", "FP32", (1, 4), ROWS[0].tolist())]},
        response={"outputs": [tensor("prediction", "INT64", (1,), [0])]},
    )
    asked = {name: ROWS[:, index] for index, name in enumerate("abcd")} if named else {"x": ROWS}
    assert loaded(package).predict(asked)["prediction"].tolist() == [0, 1]


def test_an_example_that_is_answered_otherwise(iris: Package, tmp_path: Path) -> None:
    response = {
        "outputs": [
            tensor("prediction", "INT64", (1,), [1]),
            tensor("probabilities", "FP32", (1, 3), [0.5, 0.5, 0.0]),
        ]
    }
    (tmp_path / "model.onnx").write_bytes((iris.folder / "model.onnx").read_bytes())
    package = write_package(
        tmp_path,
        flavor="onnx",
        artifact="model.onnx",
        signature=IRIS,
        request={"inputs": [tensor("x", "FP32", (1, 4), IRIS_ROW)]},
        response=response,
    )
    with pytest.raises(PackageError) as caught:
        loaded(package)
    assert "output 'prediction' differs in 1 of 1 elements" in str(caught.value)
    assert "output 'probabilities' differs by 0.482, and 0.0001 is the most" in str(caught.value)
    with pytest.raises(PackageError, match="'prediction' differs"):
        loaded(package, tolerance=1)
