"""Tables as tensors, and answers as columns."""

import numpy as np
import polars as pl
import pytest

from constellation_dagster.blocks.tensors import as_columns, as_tensors, new_columns, no_rows
from constellation_dagster.domain.endpoints import EndpointModel
from constellation_dagster.domain.errors import BlockFailed
from constellation_dagster.domain.packages import Signature, TensorSpec

OUTPUTS = (
    TensorSpec(name="prediction", datatype="BYTES", shape=(-1,)),
    TensorSpec(name="probabilities", datatype="FP32", shape=(-1, 2)),
)
BY_NAME = EndpointModel(
    Signature(
        inputs=(
            TensorSpec(name="mass", datatype="FP64", shape=(-1,)),
            TensorSpec(name="island", datatype="BYTES", shape=(-1,)),
            TensorSpec(name="year", datatype="INT64", shape=(-1, 1)),
        ),
        outputs=OUTPUTS,
    ),
    classes=("a", "b"),
)
MATRIX = EndpointModel(
    Signature(inputs=(TensorSpec(name="x", datatype="FP32", shape=(-1, 2)),), outputs=OUTPUTS[:1])
)
TABLE = pl.DataFrame(
    {"year": [2007, 2008], "island": ["Dream", "Biscoe"], "mass": [3750, 3800], "other": [1.5, 2.5]}
)


def test_columns_are_found_by_name_whatever_their_order() -> None:
    tensors = as_tensors(TABLE, BY_NAME, None)
    assert list(tensors) == ["mass", "island", "year"]
    assert tensors["mass"].dtype == np.float64
    assert tensors["mass"].tolist() == [3750.0, 3800.0]
    assert tensors["island"].dtype == np.object_
    assert tensors["island"].tolist() == ["Dream", "Biscoe"]
    assert tensors["year"].tolist() == [[2007], [2008]]


def test_a_matrix_is_made_of_named_columns_or_of_all_numbers() -> None:
    named = as_tensors(TABLE, MATRIX, ["other", "mass"])["x"]
    assert named.dtype == np.float32
    assert named.tolist() == [[1.5, 3750.0], [2.5, 3800.0]]
    two_numbers = TABLE.drop("year")
    assert as_tensors(two_numbers, MATRIX, None)["x"].tolist() == [[3750.0, 1.5], [3800.0, 2.5]]


@pytest.mark.parametrize(
    ("table", "model", "features", "told"),
    [
        (TABLE.drop("mass"), BY_NAME, None, "does not have a column 'mass'"),
        (TABLE.with_columns(mass=pl.lit("heavy")), BY_NAME, None, "takes FP64 for 'mass'"),
        (TABLE.with_columns(island=1), BY_NAME, None, "takes BYTES for 'island'"),
        (TABLE.with_columns(mass=pl.Series([None, 1.0])), BY_NAME, None, r"'mass' \(1\)"),
        (TABLE.with_columns(year=pl.Series([0.5, 1.0])), BY_NAME, None, "'year' has decimals"),
        (TABLE, BY_NAME, ["mass"], "reads columns by their names"),
        (TABLE, MATRIX, None, "takes 2 columns, and there are 3: 'year', 'mass' and 'other'"),
    ],
)
def test_what_does_not_fit_is_told(
    table: pl.DataFrame, model: EndpointModel, features: list[str] | None, told: str
) -> None:
    with pytest.raises(BlockFailed, match=told):
        as_tensors(table, model, features)


def test_answers_become_columns() -> None:
    outputs = {
        "prediction": np.array([b"a", "b"], dtype=object),
        "probabilities": np.array([[0.75, 0.25], [0.5, 0.5]], dtype=np.float32),
    }
    columns = as_columns(outputs, BY_NAME, "guess", probabilities=True)
    assert [column.name for column in columns] == ["guess", "guess_a", "guess_b"]
    assert pl.DataFrame(columns).rows() == [("a", 0.75, 0.25), ("b", 0.5, 0.5)]
    assert [c.name for c in as_columns(outputs, BY_NAME, "guess", probabilities=False)] == ["guess"]


def test_no_rows_have_the_same_columns() -> None:
    columns = pl.DataFrame(no_rows(BY_NAME, "guess", probabilities=True))
    assert columns.schema == {"guess": pl.String, "guess_a": pl.Float64, "guess_b": pl.Float64}


def test_a_model_without_probabilities_says_so() -> None:
    with pytest.raises(BlockFailed, match="gives no probabilities"):
        new_columns(MATRIX, "guess", probabilities=True)
