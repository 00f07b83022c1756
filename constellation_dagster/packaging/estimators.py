"""scikit-learn's estimators, as they are in memory or in a skops file."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import polars as pl

from constellation_dagster.domain.packages import PackageError, TensorSpec
from constellation_dagster.domain.values import Model
from constellation_dagster.packaging.artifact import Arrays, Artifact
from constellation_dagster.packaging.columns import example_of, learned_columns, probes_of
from constellation_dagster.packaging.conversion import as_onnx
from constellation_dagster.packaging.examples import ROWS
from constellation_dagster.packaging.intake import refusal, take_file
from constellation_dagster.packaging.skops_files import read_skops, write_skops

ARTIFACT = "model.skops"
_PACKAGES = ("numpy", "scikit-learn", "skops")


def take_model(model: Model, folder: Path) -> Artifact:
    """Takes what a train block has made into a package: one input for each column that it reads.

    Raises:
        PackageError: It cannot be stored safely, or is not fitted.
    """
    return _columns_artifact(
        model.estimator, model.features, folder, task=model.task, target=model.target
    )


def take_estimator(
    estimator: object, folder: Path, *, columns: Sequence[str] | None = None
) -> Artifact:
    """Takes an estimator into a package: one input `x`, or one for each of its columns.

    Args:
        estimator: Fitted, with a method `predict`.
        folder: The package that is being made.
        columns: Its columns, where requests should name them.

    Raises:
        PackageError: It cannot be stored safely, or is not fitted.
    """
    if not hasattr(estimator, "predict"):
        kind = type(estimator).__name__
        raise PackageError(
            f"A {kind} cannot be registered: it has no method predict. Register a fitted "
            "estimator of scikit-learn, a path, or an address."
        )
    if columns is not None:
        return _columns_artifact(estimator, columns, folder, task=_task(estimator), target=None)
    if _picks_by_name(estimator):
        names: Any = getattr(estimator, "feature_names_in_", None)
        if names is not None:
            columns = [str(name) for name in names]
            return _columns_artifact(estimator, columns, folder, task=_task(estimator), target=None)
    count = getattr(estimator, "n_features_in_", None)
    if count is None:
        raise PackageError(
            f"The {type(estimator).__name__} is not fitted, so nothing is known of its input. "
            "Fit it first."
        )
    write_skops(estimator, folder / ARTIFACT, _what(estimator))
    known = learned_columns(estimator, [str(place) for place in range(int(count))])
    if any(column.datatype != "FP64" for column in known):
        raise PackageError(
            f"The {type(estimator).__name__} takes more than numbers, and has no names of columns "
            "to tell them apart. Fit it on a frame, so that it chooses its columns by name."
        )
    return Artifact(
        flavor="sklearn",
        path=ARTIFACT,
        packages=_PACKAGES,
        facts=_facts(estimator, _task(estimator), None),
        inputs=(TensorSpec(name=ROWS, datatype="FP64", shape=(-1, int(count))),),
        classes=_classes(estimator),
        answer=partial(_answer, estimator, None),
        example={ROWS: np.stack(list(example_of(known).values()), axis=1)},
        probes={ROWS: np.stack(list(probes_of(known).values()), axis=1)},
        twin=partial(as_onnx, estimator),
    )


def take_skops(source: Path, folder: Path, *, columns: Sequence[str] | None = None) -> Artifact:
    """Takes a skops file into a package: of an estimator, or of what a train block has made.

    Raises:
        PackageError: It is damaged, or holds types that are not trusted.
    """
    copy = folder / ARTIFACT
    take_file(source, copy)
    loaded = read_skops(copy, repr(str(source)))
    if isinstance(loaded, dict):
        return take_model(_as_model(cast("dict[str, Any]", loaded), source), folder)
    return take_estimator(loaded, folder, columns=columns)


def _columns_artifact(
    estimator: Any, names: Sequence[str], folder: Path, *, task: str, target: str | None
) -> Artifact:
    columns = learned_columns(estimator, names)
    # The form in which the server finds the columns' names.
    fields: dict[str, Any] = {"estimator": estimator, "features": list(names)}
    write_skops(fields, folder / ARTIFACT, _what(estimator))
    return Artifact(
        flavor="sklearn",
        path=ARTIFACT,
        # Rows go into the estimator as a frame, in which it finds its columns by name.
        packages=(*_PACKAGES, "polars"),
        facts=_facts(estimator, task, target),
        inputs=tuple(column.spec for column in columns),
        classes=_classes(estimator),
        answer=partial(_answer, estimator, tuple(names)),
        example=example_of(columns),
        probes=probes_of(columns),
        twin=partial(as_onnx, estimator),
    )


def _as_model(fields: Mapping[str, Any], source: Path) -> Model:
    absent = [name for name in ("estimator", "features", "target", "task") if name not in fields]
    if absent:
        raise refusal(
            repr(str(source)),
            f"it holds a dict without {', '.join(absent)}. Store the estimator itself in it.",
        )
    return Model(
        estimator=fields["estimator"],
        features=tuple(fields["features"]),
        target=fields["target"],
        task=fields["task"],
        classes=tuple(fields.get("classes", ())),
    )


def _picks_by_name(estimator: object) -> bool:
    """Whether it begins with a choice of columns by name, which an array has not."""
    steps = getattr(estimator, "steps", None)
    first: Any = steps[0][1] if steps else estimator
    return any(
        isinstance(item, str)
        for _, _, columns in getattr(first, "transformers_", ())
        if isinstance(columns, list | tuple | np.ndarray)
        for item in cast("Sequence[object]", columns)
    )


def _classes(estimator: object) -> tuple[str, ...]:
    classes: Any = getattr(estimator, "classes_", None)
    if classes is None or not hasattr(estimator, "predict_proba"):
        return ()
    return tuple(str(name) for name in np.asarray(classes).tolist())


def _task(estimator: object) -> str:
    import sklearn.base

    kinds: Any = sklearn.base
    if kinds.is_classifier(estimator):
        return "classification"
    return "regression" if kinds.is_regressor(estimator) else "other"


def _answer(estimator: Any, columns: Sequence[str] | None, inputs: Arrays) -> Arrays:
    """What the server will answer with, before there is a signature to hold it to."""
    rows: Any = (
        inputs[ROWS]
        if columns is None
        else pl.DataFrame({name: inputs[name].tolist() for name in columns})
    )
    answer = {"prediction": np.asarray(estimator.predict(rows))}
    if hasattr(estimator, "predict_proba"):
        answer["probabilities"] = np.asarray(estimator.predict_proba(rows))
    return answer


def _facts(estimator: object, task: str, target: str | None) -> dict[str, str]:
    steps: Any = getattr(estimator, "steps", None)
    chain = [step for _, step in steps] if steps else [estimator]
    facts = {"Task": task, "Estimator": " → ".join(type(step).__name__ for step in chain)}
    if target is not None:
        facts["Predicts"] = target
    return facts


def _what(estimator: object) -> str:
    return f"The {type(estimator).__name__}"
