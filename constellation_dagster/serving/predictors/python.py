"""Models that are a Python class: `model.py` with a class `Model`."""

import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from constellation_dagster.domain.plain_errors import PackageError
from constellation_dagster.serving.manifest import SignatureLike
from constellation_dagster.serving.tensors import Array, ModelFailed, fitted

MODEL_FILE = "model.py"
_MODULE = "constellation_model"


class PythonPredictor:
    """A class `Model` with `setup(self, folder)` and `predict(self, inputs)`.

    `setup` is called once with the folder that `model.py` is in; `predict` gets arrays by name
    and returns a dict with what numpy makes arrays of.

    Load one in a process of its own: it is code, and so are the modules beside it, which another
    model's may be named like.

    Raises:
        PackageError: There is no such class, or it cannot be set up.
    """

    def __init__(self, path: Path, signature: SignatureLike) -> None:
        file = path / MODEL_FILE if path.is_dir() else path
        self._outputs = tuple(signature.outputs)
        self._model: Any = load_model(file)

    def predict(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Answers a request; see `Predictor`."""
        given: Any = self._model.predict(dict(inputs))
        if not isinstance(given, Mapping):
            raise ModelFailed(
                f"Model.predict returned {type(given).__name__}, and should return a dict of "
                "arrays by name."
            )
        absent = [spec.name for spec in self._outputs if spec.name not in given]
        if absent:
            raise ModelFailed(
                f"Model.predict returned no {', '.join(absent)}, which its signature says."
            )
        return {spec.name: fitted(spec.name, given[spec.name], spec) for spec in self._outputs}


def load_model(file: Path) -> Any:
    """An instance of the class `Model` in a file, set up.

    Raises:
        PackageError: There is no such class, or it cannot be set up.
    """
    model: Any = _instance(file)
    try:
        model.setup(file.parent)
    except Exception as error:
        raise PackageError(
            f"Model.setup of {file.name} raised {type(error).__name__}: {error}"
        ) from error
    return model


def _instance(file: Path) -> Any:
    spec = importlib.util.spec_from_file_location(_MODULE, file)
    if spec is None or spec.loader is None or not file.is_file():
        raise PackageError(f"The package has no {file.name} with a class Model.")
    module = importlib.util.module_from_spec(spec)
    # Its own modules lie beside it, and it may import them whenever it likes. Bytecode of them
    # would change the package.
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(file.parent))
    sys.modules[_MODULE] = module
    try:
        spec.loader.exec_module(module)
        model: Any = module.Model()
    except AttributeError as error:
        raise PackageError(f"{file.name} has no class Model that can be made: {error}.") from error
    except ImportError:
        raise
    except Exception as error:
        raise PackageError(
            f"{file.name} cannot be loaded: {type(error).__name__}: {error}"
        ) from error
    absent = [name for name in ("setup", "predict") if not callable(getattr(model, name, None))]
    if absent:
        raise PackageError(f"The class Model of {file.name} has no {' and no '.join(absent)}.")
    return model
