"""Models that are a Python class in a folder, with what it needs beside it."""

from pathlib import Path
from typing import Any, cast

import numpy as np

from constellation_dagster.domain.packages import PackageError
from constellation_dagster.packaging.artifact import Arrays, Artifact
from constellation_dagster.packaging.intake import take_folder
from constellation_dagster.packaging.requirements import lines_of
from constellation_dagster.serving.predictors.python import MODEL_FILE, load_model

ARTIFACT = "python"
_REQUIREMENTS = "requirements.txt"


def take_python_class(source: Path, folder: Path) -> Artifact:
    """Takes a folder with `model.py` into a package, and runs its code to see what it gives.

    Raises:
        PackageError: The folder holds what a package may not, or the class cannot be set up.
    """
    take_folder(source, folder / ARTIFACT)
    requirements = folder / ARTIFACT / _REQUIREMENTS
    if not requirements.is_file():
        raise PackageError(
            f"{str(source)!r} has no {_REQUIREMENTS}. List in it what {MODEL_FILE} imports; an "
            "empty file says that it needs nothing."
        )
    try:
        pinned = lines_of(requirements.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise PackageError(f"{str(requirements)!r} is no text in UTF-8.") from error

    def answer(inputs: Arrays) -> Arrays:
        model = load_model(folder / ARTIFACT / MODEL_FILE)
        given: object = model.predict(dict(inputs))
        if not isinstance(given, dict) or not given:
            kind = type(cast("object", given)).__name__
            raise PackageError(
                f"Model.predict of {str(source)!r} returned {kind}, and should return a dict of "
                "arrays by name."
            )
        return {str(name): _array(value) for name, value in cast("dict[Any, Any]", given).items()}

    return Artifact(
        flavor="python",
        path=ARTIFACT,
        packages=("numpy",),
        facts={"Model": f"the class Model of {MODEL_FILE}"},
        answer=answer,
        pinned=pinned,
    )


def _array(value: object) -> np.ndarray[Any, Any]:
    array = np.asarray(value)
    return array.astype(str) if array.dtype == object else array
