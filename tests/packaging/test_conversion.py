"""Estimators as ONNX: the very tensors of the signature, and the same answers."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from constellation_dagster.blocks.classifiers import Algorithm, fit_classifier
from constellation_dagster.domain.packages import PackageManifest, Signature, TensorSpec
from constellation_dagster.domain.values import Model
from constellation_dagster.packaging.building import Built
from constellation_dagster.packaging.comparison import disagreement
from constellation_dagster.packaging.conversion import NotConvertible, as_onnx
from constellation_dagster.packaging.registration import package_model
from constellation_dagster.serving.predictors import load_predictor
from tests.packaging.models import FEATURES, bird_model, birds, regression

ALGORITHMS: tuple[Algorithm, ...] = ("logistic_regression", "random_forest", "gradient_boosting")


def answers(
    folder: Path, manifest: PackageManifest, frame: pl.DataFrame, which: Any
) -> dict[str, np.ndarray[Any, Any]]:
    inputs: dict[str, np.ndarray[Any, Any]] = {}
    for spec in manifest.signature.inputs:
        column = frame[spec.name]
        texts = spec.datatype == "BYTES"
        inputs[spec.name] = np.array(column.to_list(), object) if texts else column.to_numpy()
    return load_predictor(folder, manifest, which=which).predict(inputs)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_what_train_classifier_makes(folder: Path, algorithm: Algorithm) -> None:
    built = package_model(bird_model(algorithm), folder)
    assert built.measured["onnx"] == "agrees"
    assert built.measured["rows_compared"] == 202
    # Rows that neither has seen, with a value that was not there in training.
    frame = birds(5000, seed=7).with_columns(
        pl.when(pl.int_range(pl.len()) % 50 == 0)
        .then(pl.lit("Elsewhere"))
        .otherwise("island")
        .alias("island"),
        pl.col("year").cast(pl.Float64),
    )
    original, twin = (answers(folder, built.manifest, frame, w) for w in ("artifact", "onnx"))
    assert disagreement(original, twin, 1e-4)[0] is None
    estimator = bird_model(algorithm).estimator
    assert original["prediction"].tolist() == estimator.predict(frame.select(FEATURES)).tolist()


@pytest.mark.parametrize(
    ("target", "datatype"), [("alive", "BOOL"), ("year", "INT64"), ("island", "BYTES")]
)
def test_classes_of_every_type(folder: Path, target: str, datatype: str) -> None:
    built = package_model(bird_model(target=target), folder)
    prediction, probabilities = built.manifest.signature.outputs
    assert (prediction.datatype, probabilities.datatype) == (datatype, "FP32")
    assert built.measured["onnx"] == "agrees"
    assert built.manifest.classes == tuple(map(str, sorted(set(birds()[target].to_list()))))


def test_one_column(folder: Path) -> None:
    model = fit_classifier(birds(), "species", ["island"], "logistic_regression", 0)
    built = package_model(model, folder)
    assert built.measured["onnx"] == "agrees"


@pytest.mark.parametrize("name", ["model/x", "prediction", "Length (mm)", "label", "ünï", "1"])
def test_columns_of_every_name(folder: Path, name: str) -> None:
    frame = birds().rename({"mass": name})
    model = fit_classifier(frame, "species", ["island", name], "logistic_regression", 0)
    built = package_model(model, folder)
    assert [spec.name for spec in built.manifest.signature.inputs] == ["island", name]
    # An input and an output of one name can be no ONNX graph: then the original serves.
    assert built.manifest.serve == ("artifact" if name == "prediction" else "onnx")


def test_regressions(folder: Path) -> None:
    from sklearn.ensemble import RandomForestRegressor

    rows = np.random.default_rng(0).normal(size=(200, 4))
    estimator: Any = RandomForestRegressor(20, random_state=0)
    built = package_model(estimator.fit(rows, rows.sum(axis=1)), folder)
    assert built.measured["onnx"] == "agrees"
    [output] = built.manifest.signature.outputs
    assert (output.name, output.datatype, output.shape) == ("prediction", "FP64", (-1,))


def test_several_targets(folder: Path) -> None:
    from sklearn.linear_model import LinearRegression

    rows = np.random.default_rng(0).normal(size=(50, 2))
    estimator: Any = LinearRegression()
    built = package_model(estimator.fit(rows, np.stack([rows[:, 0], rows.sum(axis=1)], 1)), folder)
    assert built.manifest.signature.outputs[0].shape == (-1, 2)
    assert built.measured["onnx"] == "agrees"


def test_clusters(folder: Path) -> None:
    from sklearn.cluster import KMeans

    rows = np.random.default_rng(0).normal(size=(50, 2))
    estimator: Any = KMeans(3, random_state=0)
    built = package_model(estimator.fit(rows), folder)
    [output] = built.manifest.signature.outputs
    assert (output.name, output.datatype) == ("prediction", "INT32")


def test_what_does_not_convert_is_served_as_it_is(folder: Path) -> None:
    from sklearn.preprocessing import FunctionTransformer

    built = package_model(_logged(FunctionTransformer(np.log1p)), folder)
    assert built.manifest.onnx is None
    assert built.manifest.serve == "artifact"
    assert "skl2onnx cannot convert it" in built.measured["onnx"]
    assert any(line.startswith("scikit-learn==") for line in built.manifest.requirements)
    assert not (folder / "model.onnx").exists()


def _logged(first: Any) -> Any:
    from sklearn.linear_model import LinearRegression
    from sklearn.pipeline import Pipeline

    rows = np.random.default_rng(0).uniform(size=(50, 2))
    estimator: Any = Pipeline([("log", first), ("fit", LinearRegression())])
    return estimator.fit(rows, rows.sum(axis=1))


def test_a_twin_that_disagrees_is_not_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The ONNX form of another model, as a faulty converter would make it.
    other = regression(shift=1.0)

    def wrong(estimator: Any, signature: Signature) -> bytes:
        return as_onnx(other, signature)

    monkeypatch.setattr("constellation_dagster.packaging.estimators.as_onnx", wrong)
    built = package_model(regression(), folder)
    assert built.manifest.onnx is None
    assert built.manifest.serve == "artifact"
    assert built.measured["onnx"] == "not kept: prediction differs in 2 of 2 rows"
    assert not (folder / "model.onnx").exists()


def test_conversion_is_the_same_each_time() -> None:
    model = bird_model("gradient_boosting")
    signature = _signature(model)
    assert as_onnx(model.estimator, signature) == as_onnx(model.estimator, signature)


def test_a_reason_is_given() -> None:
    with pytest.raises(NotConvertible, match="skl2onnx cannot convert it: "):
        as_onnx(object(), _signature(bird_model()))


def _signature(model: Model) -> Signature:
    kinds = {"island": "BYTES", "alive": "BOOL"}
    return Signature(
        inputs=tuple(
            TensorSpec.model_validate(
                {"name": name, "datatype": kinds.get(name, "FP64"), "shape": (-1,)}
            )
            for name in model.features
        ),
        outputs=(
            TensorSpec(name="prediction", datatype="BYTES", shape=(-1,)),
            TensorSpec(name="probabilities", datatype="FP32", shape=(-1, 3)),
        ),
    )


def test_ties_may_fall_either_way() -> None:
    shares = np.array([[0.5, 0.5], [0.2, 0.8]])
    one = {"prediction": np.array(["a", "b"], object), "probabilities": shares}
    tied = {"prediction": np.array(["b", "b"], object), "probabilities": shares + 1e-6}
    wrong = {"prediction": np.array(["a", "a"], object), "probabilities": shares}
    assert disagreement(one, tied, 1e-4) == (None, pytest.approx(1e-6))
    assert disagreement(one, wrong, 1e-4)[0] == "prediction differs in 1 of 2 rows"
    moved = {"prediction": one["prediction"], "probabilities": shares + 0.01}
    assert disagreement(one, moved, 1e-4)[0] == "probabilities differs in 2 of 2 rows"
    short = {name: values[:1] for name, values in one.items()}
    assert "has the shape [1], not [2]" in str(disagreement(one, short, 1e-4)[0])


def test_what_is_measured_is_no_part_of_the_manifest(folder: Path) -> None:
    built: Built = package_model(regression(), folder)
    assert {"onnx", "onnx_ms", "artifact_ms", "rows_compared"} <= set(built.measured)
    assert "_ms" not in built.manifest.model_dump_json()
