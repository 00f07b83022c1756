"""The block that brings a table of the database up to date, on a real database."""

from collections.abc import Iterator
from typing import Any

import polars as pl
import psycopg
import pytest

from constellation_dagster.blocks.database import upsert_table
from constellation_dagster.domain.errors import BlockFailed
from constellation_dagster.resources.person_tables import PersonTables
from tests.roles import create_user

SCHEMA = """
create table houses (
  owner uuid not null default auth.uid(),
  id integer,
  "the %s price" numeric,
  tags text[],
  note text default 'new',
  primary key (owner, id)
);
create unique index on houses (id);
alter table houses enable row level security;
create policy own on houses to authenticated
  using (is_member(owner)) with check (is_member(owner));
grant select, insert, update, delete on houses to authenticated;
create table log (id integer primary key);
grant select, insert on log to authenticated;
"""
PRICE = "the %s price"
HOUSES = pl.DataFrame({"id": [1, 2], PRICE: [10, 20], "tags": [["a"], None]})


@pytest.fixture
def connection(database_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(SCHEMA.encode())
        yield connection


@pytest.fixture
def tables(database_url: str, connection: psycopg.Connection) -> PersonTables:
    return PersonTables(database_url, create_user(connection, "owner"))


def _rows(tables: PersonTables) -> list[tuple[Any, ...]]:
    return sorted(tables.read("houses", columns=["id", PRICE, "tags", "note"]).rows())


def test_rows_are_added_and_put_in_place(tables: PersonTables) -> None:
    assert upsert_table(HOUSES, name="houses", keys=["id"], tables=tables) == {"rows": 2}
    tables.write("houses", pl.DataFrame({"id": [9], "note": ["kept"]}))
    newer = pl.DataFrame({"id": [2, 3], PRICE: [25, 30]})
    for _ in range(2):
        assert upsert_table(newer, name="houses", keys=["id", "id"], tables=tables) == {"rows": 2}
        assert _rows(tables) == [
            (1, 10, ["a"], "new"),
            (2, 25, None, "new"),
            (3, 30, None, "new"),
            (9, None, None, "kept"),
        ]


def test_rows_of_nothing_but_keys(tables: PersonTables) -> None:
    for ids in ([1, 2], [2, 3], []):
        frame = pl.DataFrame({"id": ids}, schema={"id": pl.Int64})
        upsert_table(frame, name="log", keys=["id"], tables=tables)
    assert sorted(tables.read("log")["id"]) == [1, 2, 3]


def test_nobody_overwrites_what_is_somebody_elses(
    tables: PersonTables, connection: psycopg.Connection, database_url: str
) -> None:
    stranger = PersonTables(database_url, create_user(connection, "stranger"))
    upsert_table(HOUSES, name="houses", keys=["id"], tables=tables)
    with pytest.raises(BlockFailed, match="row-level security"):
        upsert_table(HOUSES, name="houses", keys=["id"], tables=stranger)
    assert stranger.read("houses").height == 0
    assert len(_rows(tables)) == 2


@pytest.mark.parametrize(
    ("table", "config", "message"),
    [
        (HOUSES, {"name": "housse", "keys": ["id"]}, "Did you mean 'houses'"),
        (HOUSES, {"name": "houses", "keys": ["di"]}, "keys: the table does not have"),
        (HOUSES, {"name": "houses", "keys": [PRICE]}, "nothing keeps 'the %s price' unique"),
        (
            HOUSES.with_columns(color=pl.lit("red")),
            {"name": "houses", "keys": ["id"]},
            "The columns are",
        ),
        (pl.DataFrame({"id": [1, 1]}), {"name": "log", "keys": ["id"]}, r"such as \(1,\)"),
        (pl.DataFrame({"id": [1, None]}), {"name": "log", "keys": ["id"]}, "missing in 'id'"),
        (pl.DataFrame({"id": ["x"]}), {"name": "log", "keys": ["id"]}, "Table 'log'"),
    ],
)
def test_mistakes(
    tables: PersonTables, table: pl.DataFrame, config: dict[str, Any], message: str
) -> None:
    with pytest.raises(BlockFailed, match=message):
        upsert_table(table, **config, tables=tables)
    assert tables.read("houses").height == tables.read("log").height == 0


def test_a_failed_row_leaves_all_as_it_was(tables: PersonTables) -> None:
    upsert_table(HOUSES, name="houses", keys=["id"], tables=tables)
    before = _rows(tables)
    wrong = pl.DataFrame({"id": [1, 2], PRICE: ["11", "dear"]})
    with pytest.raises(BlockFailed, match="dear"):
        upsert_table(wrong, name="houses", keys=["id"], tables=tables)
    assert _rows(tables) == before
