"""How the values of nodes are written: one open file format per port type, never pickle.

It knows nothing of Dagster: a node that runs in an environment of its own needs it too.
"""

import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

import numpy as np
import polars as pl
from PIL import Image as PILImage

from constellation_dagster.domain.errors import ConstellationError
from constellation_dagster.domain.ports import PortType
from constellation_dagster.domain.trees import TREE_TYPE, unsound_trees
from constellation_dagster.domain.values import File, Model


class ArtifactUnsafe(ConstellationError):
    """A stored model holds types that are not trusted, and is not loaded."""


def _dump_model(model: Model, file: BinaryIO) -> None:
    import skops.io  # brings in scikit-learn: a second that runs without a model save

    # A dict, not our class: skops trusts what scikit-learn and numpy bring, and nothing else.
    fields = {field.name: getattr(model, field.name) for field in dataclasses.fields(model)}
    skops.io.dump(fields, file)


def _load_model(file: BinaryIO) -> Model:
    import skops.io

    data = file.read()
    untrusted = set(skops.io.get_untrusted_types(data=data)) - {TREE_TYPE}
    if untrusted:
        raise ArtifactUnsafe(
            f"The stored model holds types that are not trusted: {', '.join(sorted(untrusted))}. "
            "Train it again with estimators of scikit-learn."
        )
    fields = cast("dict[str, Any]", skops.io.loads(data, trusted=[TREE_TYPE]))
    if unsound := unsound_trees(fields):
        raise ArtifactUnsafe(f"The stored model is damaged: {unsound} Train it again.")
    fields |= {name: tuple(fields[name]) for name in ("features", "classes")}
    return Model(**fields)


def _load_image(file: BinaryIO) -> PILImage.Image:
    image = PILImage.open(file)
    image.load()
    return image


def _dump_json(value: Any, file: BinaryIO) -> None:
    file.write(json.dumps(value, ensure_ascii=False).encode())


@dataclass(frozen=True)
class Format:
    """How one port type is stored.

    Attributes:
        suffix: File suffix with its dot.
        dump: Writes a value to an open binary file.
        load: Reads it back.
    """

    suffix: str
    dump: Callable[[Any, BinaryIO], object]
    load: Callable[[BinaryIO], Any]


FORMATS: Mapping[PortType, Format] = {
    PortType.TABLE: Format(
        ".parquet", lambda frame, file: frame.write_parquet(file), pl.read_parquet
    ),
    PortType.ARRAY: Format(
        ".npy",
        lambda array, file: np.save(file, array, allow_pickle=False),
        lambda file: np.load(file, allow_pickle=False),
    ),
    PortType.IMAGE: Format(".png", lambda image, file: image.save(file, "PNG"), _load_image),
    PortType.MODEL: Format(".skops", _dump_model, _load_model),
    PortType.METRICS: Format(".json", _dump_json, json.load),
    PortType.JSON: Format(".json", _dump_json, json.load),
    PortType.TEXT: Format(
        ".txt",
        lambda text, file: file.write(text.encode()),
        lambda file: file.read().decode(),
    ),
    PortType.FILE: Format(
        ".json",
        lambda value, file: _dump_json(dataclasses.asdict(value), file),
        lambda file: File(**json.load(file)),
    ),
}
