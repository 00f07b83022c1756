"""What can be registered, told apart by what it is."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

from constellation_dagster.domain.packages import PackageError
from constellation_dagster.domain.values import Model
from constellation_dagster.packaging.artifact import Artifact
from constellation_dagster.packaging.intake import copy_limited

Source: TypeAlias = str | Path | Model | Any
"""A path, an address, what a train block has made, or a fitted estimator."""

_KINDS = (
    "an ONNX file, a skops file, a directory of MLflow (with MLmodel), or a folder with a Python "
    "class (model.py and requirements.txt)"
)


def take(
    source: Source,
    folder: Path,
    *,
    columns: list[str] | None = None,
    data_only: bool = False,
) -> Artifact:
    """Takes a model into the folder of a package that is being made.

    Args:
        source: The model.
        folder: An empty folder.
        columns: Of an estimator, the columns that the example names.
        data_only: Whether to take nothing that runs code of whoever made it.

    Raises:
        PackageError: It is nothing that can be registered, or must not be let in.
    """
    if isinstance(source, Model):
        from constellation_dagster.packaging.estimators import take_model

        return take_model(source, folder)
    if not isinstance(source, str | Path):
        from constellation_dagster.packaging.estimators import take_estimator

        return take_estimator(source, folder, columns=columns)
    with _local(source) as path:
        return _take_path(path, folder, columns, data_only)


def _take_path(path: Path, folder: Path, columns: list[str] | None, data_only: bool) -> Artifact:
    if path.is_symlink():
        raise PackageError(f"{str(path)!r} is a symbolic link. Name the file itself.")
    if path.is_dir():
        if (path / "MLmodel").is_file():
            from constellation_dagster.packaging.mlflow_models import take_mlflow

            return take_mlflow(path, folder, data_only=data_only)
        if not (path / "model.py").is_file():
            raise PackageError(f"{str(path)!r} is no model. A model is {_KINDS}.")
        if data_only:
            raise PackageError(
                f"{str(path)!r} is a Python class: its code would run here. Export the model as "
                "ONNX or skops, or have an operator register it with `constellation model "
                "register`."
            )
        from constellation_dagster.packaging.python_classes import take_python_class

        return take_python_class(path, folder)
    if not path.exists():
        raise PackageError(f"There is no {str(path)!r}. A model is {_KINDS}.")
    with path.open("rb") as file:
        begin = file.read(4)
    if begin[:2] == b"PK" or path.suffix == ".skops":
        from constellation_dagster.packaging.estimators import take_skops

        return take_skops(path, folder, columns=columns)
    from constellation_dagster.packaging.onnx_files import take_onnx

    return take_onnx(path, folder)


@contextmanager
def _local(source: str | Path) -> Generator[Path]:
    """A source as a path of this machine, for as long as it is needed."""
    text = str(source)
    if "://" not in text and not text.startswith(("models:/", "runs:/")):
        yield Path(source).expanduser()
        return
    with TemporaryDirectory(prefix="constellation-model-") as temporary:
        if text.startswith(("models:/", "runs:/")):
            from constellation_dagster.packaging.mlflow_models import download

            yield download(text, Path(temporary))
        else:
            yield _downloaded(text, Path(temporary))


def _downloaded(url: str, into: Path) -> Path:
    """A copy of a file, or of a folder with all that is in it."""
    from upath import UPath

    from constellation_dagster.packaging.intake import is_safe_path

    try:
        path = UPath(url)
        if not path.is_dir():
            _copy(path, into / (path.name or "model"), url, 0)
            return into / (path.name or "model")
        copied = 0
        for entry in path.rglob("*"):
            if entry.is_file():
                name = entry.path.removeprefix(path.path).lstrip("/")
                if not is_safe_path(name):
                    raise PackageError(f"{url!r} holds {name!r}, outside of it.")
                (into / name).parent.mkdir(parents=True, exist_ok=True)
                copied = _copy(entry, into / name, url, copied)
    except FileNotFoundError as error:
        raise PackageError(f"There is nothing at {url!r}.") from error
    except ImportError as error:
        raise PackageError(f"{url!r} needs another Python package: {error}.") from error
    except (ValueError, OSError) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise PackageError(f"{url!r} cannot be read: {reason}.") from error
    return into


def _copy(path: Any, copy: Path, url: str, already: int) -> int:
    with path.open("rb") as content, copy.open("wb") as file:
        return copy_limited(content, file, repr(url), already=already)
