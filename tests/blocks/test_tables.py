"""Blocks that shape, order, clean, group, join, query and sum up tables."""

from collections.abc import Callable
from typing import Any

import polars as pl
import pytest

from constellation_dagster import blocks as b
from constellation_dagster.domain.errors import BlockFailed

T = pl.DataFrame(
    {"id": [2, 1, 3, 1], "kind": ["a", "b", "a", "b"], "x": [1.0, None, float("nan"), 4.0]}
)
OTHER = pl.DataFrame({"id": [1, 4], "word": ["one", "four"]})


def test_shaping() -> None:
    assert b.rename_columns(T, names={"x": "y"}).columns == ["id", "kind", "y"]
    assert b.derive_column(T, name="twice", expression="id * 2")["twice"].to_list() == [4, 2, 6, 2]
    wide = b.pivot(T, index=["kind"], columns="id", values="x", aggregate="count")
    assert wide.rows() == [("a", None, 1, 1), ("b", 2, None, None)]


def test_ordering() -> None:
    assert b.sort_rows(T, by=["id"], descending=True)["id"].to_list() == [3, 2, 1, 1]
    assert b.limit_rows(T, count=2).height == 2
    assert b.sample_rows(T, count=2).equals(b.sample_rows(T, fraction=0.5))
    assert b.deduplicate(T, columns=["kind"], keep="last")["id"].to_list() == [3, 1]


def test_cleaning() -> None:
    assert b.drop_missing(T)["x"].to_list() == [1.0, 4.0]
    assert b.cast_columns(T, types={"id": "text"})["id"].to_list() == ["2", "1", "3", "1"]
    days = b.cast_columns(pl.DataFrame({"d": ["2026-01-31", None]}), types={"d": "date"})
    assert days.schema["d"] == pl.Date


def test_grouping() -> None:
    figures = {"n": "count()", "m": "mean(x)", "k": "count_distinct(id)", "f": "first(x)"}
    grouped = b.aggregate(T, by=["kind"], aggregates=figures)
    assert grouped.rows() == [("a", 2, 1.0, 2, 1.0), ("b", 2, 4.0, 1, 4.0)]
    assert b.aggregate(T, aggregates={"most": "max(id)"}).rows() == [(3,)]


@pytest.mark.parametrize(
    ("how", "rows"), [("inner", 2), ("left", 4), ("full", 5), ("semi", 2), ("anti", 2)]
)
def test_join_tables(how: Any, rows: int) -> None:
    assert b.join_tables(T, OTHER, keys=["id"], how=how).height == rows


def test_concatenate_and_sql() -> None:
    assert b.concatenate([T, OTHER]).shape == (6, 4)
    joined = b.sql([T, OTHER], query="select t1.id from t1 join t2 using (id) union select 9")
    assert sorted(joined["id"].to_list()) == [1, 9]


def test_summaries() -> None:
    rows = b.describe_table(T).rows_by_key("column")
    assert rows["x"][0][1:3] == (2, 2)
    assert b.count_values(T, columns=["id"]).rows() == [(1, 2), (2, 1), (3, 1)]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: b.rename_columns(T, names={"x": "id"}), "two columns would be named 'id'"),
        (lambda: b.derive_column(T, name="n", expression="idd + 1"), "there is no column 'idd'"),
        (lambda: b.sample_rows(T), "Either count or fraction"),
        (lambda: b.cast_columns(T, types={"kind": "integer"}), "'kind' has 'a' (4 such)"),
        (lambda: b.aggregate(T, aggregates={"n": "mena(x)"}), "there is no function 'mena'"),
        (lambda: b.aggregate(T, aggregates={"n": "mean(kind)"}), "mean needs numbers"),
        (lambda: b.join_tables(T, OTHER, keys=["kind"]), "keys, right: the table does not have"),
        (
            lambda: b.concatenate([T, pl.DataFrame({"id": [[1]]})]),
            "'id' (",
        ),
        (lambda: b.sql([T], query="select * from read_csv('/etc/passwd')"), "file system"),
        (lambda: b.sql([T], query="set threads = 1"), "locked"),
        (lambda: b.sql([T], query="select nope from t"), "nope"),
    ],
)
def test_mistakes(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(BlockFailed) as caught:
        call()
    assert message in str(caught.value)
