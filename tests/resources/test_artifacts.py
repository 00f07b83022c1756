from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image
from polars.testing import assert_frame_equal
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import FunctionTransformer
from upath import UPath

from constellation_dagster.domain.ports import PortType
from constellation_dagster.domain.values import File, Model
from constellation_dagster.resources.artifacts import ArtifactMissing, ArtifactStore
from constellation_dagster.resources.formats import FORMATS, ArtifactUnsafe

VALUES: dict[PortType, Any] = {
    PortType.TABLE: pl.DataFrame({"a": [1, None], "b": ["x", "ü"]}),
    PortType.ARRAY: np.arange(6.0).reshape(2, 3),
    PortType.IMAGE: Image.new("RGB", (3, 2), "red"),
    PortType.MODEL: Model(
        estimator=LogisticRegression().fit([[0.0], [1.0]], ["a", "b"]),
        features=("x",),
        target="y",
        task="classification",
        classes=("a", "b"),
    ),
    PortType.METRICS: {"accuracy": 0.5, "odd": float("inf")},
    PortType.TEXT: "grüße\n",
    PortType.JSON: {"a": [1, None, "x"]},
    PortType.FILE: File(url="file:///tmp/x", size=3, sha256="00"),
}


@pytest.fixture(params=["", "memory://artifacts"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(UPath(request.param or tmp_path))


@pytest.mark.parametrize("port_type", list(PortType))
def test_every_port_type_comes_back_as_it_was(store: ArtifactStore, port_type: PortType) -> None:
    value = VALUES[port_type]
    store.write("p", "n", "out", port_type, value)
    back = store.read("p", "n", "out", port_type)
    match port_type:
        case PortType.TABLE:
            assert_frame_equal(back, value)
        case PortType.ARRAY:
            np.testing.assert_array_equal(back, value)
        case PortType.IMAGE:
            assert back.tobytes() == value.tobytes()
        case PortType.MODEL:
            assert (back.features, back.target, back.classes) == (("x",), "y", ("a", "b"))
            assert list(back.estimator.predict([[0.0], [1.0]])) == ["a", "b"]
        case _:
            assert back == value


def test_every_port_type_has_a_format() -> None:
    assert set(FORMATS) == set(PortType)


def test_a_failed_write_leaves_the_old_value_and_no_rubbish(tmp_path: Path) -> None:
    store = ArtifactStore(UPath(tmp_path))
    store.write("p", "n", "json", PortType.JSON, {"old": 1})
    with pytest.raises(TypeError):
        store.write("p", "n", "json", PortType.JSON, {"new": object()})
    assert store.read("p", "n", "json", PortType.JSON) == {"old": 1}
    assert [path.name for path in (tmp_path / "p" / "n").iterdir()] == ["json.json"]


def test_a_missing_value_says_where_it_should_be_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ArtifactMissing, match=r"pipeline 'p', node 'n', port 'table'.*Materialize"):
        ArtifactStore(UPath(tmp_path)).read("p", "n", "table", PortType.TABLE)


def test_a_model_with_code_of_its_own_is_not_loaded(tmp_path: Path) -> None:
    store = ArtifactStore(UPath(tmp_path))
    estimator = FunctionTransformer(_shout)
    model = Model(estimator=estimator, features=(), target="y", task="classification")
    store.write("p", "n", "model", PortType.MODEL, model)
    with pytest.raises(ArtifactUnsafe, match="_shout"):
        store.read("p", "n", "model", PortType.MODEL)


def _shout(value: str) -> str:
    return value.upper()
