"""People's tables as a block sees them: with the rights of one person, and no more."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Literal
from uuid import UUID

import polars as pl
import psycopg
import pytest
from polars.testing import assert_frame_equal

from constellation_dagster.domain.errors import BlockFailed
from constellation_dagster.resources.person_tables import PersonTables
from tests.roles import create_user

SCHEMA = """
create table notes (
  id bigint generated always as identity primary key,
  owner uuid not null default auth.uid(),
  note text,
  stars integer check (stars < 6)
);
alter table notes enable row level security;
create policy own on notes to authenticated
  using (is_member(owner)) with check (is_member(owner));
grant select, insert, delete on notes to authenticated;
create table readings (
  n bigint, small smallint, price numeric(10, 2), ratio float8, yes boolean, day date,
  hour time, at timestamptz, who uuid, data jsonb, tags text[], counts integer[]
);
grant select, insert, delete on readings to authenticated;
create table secret (word text);
revoke all on secret from authenticated;
insert into secret values ('sesame');
create table "odd ""name"" %s; drop table notes" ("a ""column"" %s" integer);
grant select, insert on "odd ""name"" %s; drop table notes" to authenticated;
"""
ODD_TABLE, ODD_COLUMN = 'odd "name" %s; drop table notes', 'a "column" %s'


@pytest.fixture
def connection(database_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(SCHEMA.encode())
        yield connection


@pytest.fixture
def tables(database_url: str, connection: psycopg.Connection) -> PersonTables:
    return PersonTables(database_url, create_user(connection, "owner"))


@pytest.fixture
def stranger(database_url: str, connection: psycopg.Connection) -> PersonTables:
    return PersonTables(database_url, create_user(connection, "stranger"))


def refusal(error: pytest.ExceptionInfo[BlockFailed]) -> str:
    return str(error.value)


def test_everybody_sees_and_replaces_their_own_rows_only(
    tables: PersonTables, stranger: PersonTables, connection: psycopg.Connection
) -> None:
    assert tables.write("notes", pl.DataFrame({"note": ["a", "b"], "stars": [1, None]})) == 2
    stranger.write("notes", pl.DataFrame({"note": ["theirs"]}))
    tables.write("notes", pl.DataFrame({"note": ["c"]}), mode="append")
    assert tables.read("notes", columns=["note", "stars"]).rows() == [
        ("a", 1),
        ("b", None),
        ("c", None),
    ]
    assert tables.read("notes", columns=["note"], limit=2).height == 2

    assert tables.write("notes", pl.DataFrame({"note": ["d"]}), mode="replace") == 1
    assert tables.read("notes", columns=["note"])["note"].to_list() == ["d"]
    tables.write("notes", pl.DataFrame({"note": []}, schema={"note": pl.String}), mode="replace")
    assert tables.read("notes").height == 0
    everything = connection.execute("select note from notes").fetchall()
    assert everything == [("theirs",)]


def test_nobody_writes_for_somebody_else(tables: PersonTables) -> None:
    other = "00000000-0000-0000-0000-000000000001"
    with pytest.raises(BlockFailed, match="row-level security") as error:
        tables.write("notes", pl.DataFrame({"note": ["x"], "owner": [other]}))
    assert "Table 'notes'" in refusal(error)


def test_a_failed_replacement_keeps_what_was_there(tables: PersonTables) -> None:
    tables.write("notes", pl.DataFrame({"note": ["kept"]}))
    with pytest.raises(BlockFailed, match="notes_stars_check"):
        tables.write("notes", pl.DataFrame({"note": ["x"], "stars": [6]}), mode="replace")
    assert tables.read("notes", columns=["note"])["note"].to_list() == ["kept"]


def test_values_keep_their_types(tables: PersonTables) -> None:
    frame = pl.DataFrame(
        {
            "n": [2**40, None],
            "small": [1, None],
            "price": [Decimal("12.50"), None],
            "ratio": [0.1, None],
            "yes": [True, None],
            "day": [date(2024, 2, 29), None],
            "hour": [time(6, 30), None],
            "at": [datetime(2024, 2, 29, 6, 30, tzinfo=UTC), None],
            "who": ["5f0c3b5e-7d0a-4c8b-9a51-0f1f4a6d6f10", None],
            "data": ['{"a": [1, null], "b": "ü"}', None],
            "tags": [["x", 'y "z", w'], None],
            "counts": [[1, 2], None],
        }
    )
    tables.write("readings", frame)
    back = tables.read("readings").sort("n", nulls_last=True)
    assert_frame_equal(back, frame, check_dtypes=False)
    assert back.schema["day"] == pl.Date
    assert back.schema["at"] == pl.Datetime("us", "UTC")
    assert isinstance(back.schema["price"], pl.Decimal)
    assert back.schema["who"] == pl.String
    assert back.schema["tags"] == pl.List(pl.String)


def test_json_is_written_from_what_polars_has_for_it_and_read_as_text(tables: PersonTables) -> None:
    tables.write("readings", pl.DataFrame({"n": [1], "data": [{"a": [1], "b": None}]}))
    tables.write("readings", pl.DataFrame({"n": [2], "data": [[1, 2]]}))
    tables.write("readings", pl.DataFrame({"n": [3], "data": ['"text"']}))
    back = tables.read("readings", columns=["n", "data"]).sort("n")
    assert back["data"].to_list() == ['{"a": [1], "b": null}', "[1, 2]", '"text"']


def test_a_decimal_that_is_no_number_is_nothing(
    tables: PersonTables, connection: psycopg.Connection
) -> None:
    connection.execute("insert into readings (price) values ('NaN'), (1.5)")
    prices = tables.read("readings", columns=["price"])["price"].to_list()
    assert prices == [None, Decimal("1.50")]


def test_what_polars_has_no_type_for_is_text(
    tables: PersonTables, connection: psycopg.Connection
) -> None:
    connection.execute(
        "create type mood as enum ('glad'); create table odd as select 'glad'::mood as mood, "
        "'10.0.0.1'::inet as address, '[1,3)'::int4range as range, '1 mon'::interval as span, "
        "array['5f0c3b5e-7d0a-4c8b-9a51-0f1f4a6d6f10'::uuid] as ids, '\\x01'::bytea as bytes;"
        "grant select on odd to authenticated"
    )
    [row] = tables.read("odd").rows(named=True)
    assert row == {
        "mood": "glad",
        "address": "10.0.0.1",
        "range": "[1,3)",
        "span": "1 mon",
        "ids": ["5f0c3b5e-7d0a-4c8b-9a51-0f1f4a6d6f10"],
        "bytes": b"\x01",
    }


def test_polars_own_types_can_be_written(tables: PersonTables) -> None:
    schema = {"n": pl.UInt8, "ratio": pl.Float32, "tags": pl.List(pl.String), "yes": pl.Boolean}
    tables.write("readings", pl.DataFrame([(1, float("nan"), [], None)], schema, orient="row"))
    back = tables.read("readings", columns=list(schema))
    assert str(back.rows()) == "[(1, nan, [], None)]"


def test_an_empty_table_has_columns(tables: PersonTables) -> None:
    schema = {"id": pl.Int64, "owner": pl.String, "note": pl.String, "stars": pl.Int64}
    assert tables.read("notes").schema == schema


def test_what_is_not_there_is_told_with_what_there_is(tables: PersonTables) -> None:
    with pytest.raises(BlockFailed) as error:
        tables.read("nots")
    assert "There is no table 'nots' that the pipeline's owner may use." in refusal(error)
    assert "Did you mean 'notes'?" in refusal(error)
    assert "'secret'" not in refusal(error)
    with pytest.raises(BlockFailed) as error:
        tables.write("notes", pl.DataFrame({"nte": ["x"]}))
    assert "Table 'notes'" in refusal(error)
    assert '"nte"' in refusal(error)
    assert "'id', 'owner', 'note' and 'stars'" in refusal(error)
    with pytest.raises(BlockFailed, match="'note'"):
        tables.read("notes", columns=["note", "nte"])


def test_what_one_may_not_use_is_as_if_it_were_not_there(tables: PersonTables) -> None:
    for table in ("secret", "pg_authid", "auth.users", "change_events"):
        with pytest.raises(BlockFailed, match="There is no table") as error:
            tables.read(table)
        assert "sesame" not in refusal(error)


@pytest.mark.parametrize("mode", ["append", "replace"])
def test_a_value_that_does_not_fit_is_told(
    tables: PersonTables, mode: Literal["append", "replace"]
) -> None:
    with pytest.raises(BlockFailed, match=r"Table 'notes': .*integer"):
        tables.write("notes", pl.DataFrame({"stars": ["many"]}), mode=mode)
    with pytest.raises(BlockFailed, match=r"Table 'notes': .*column \"id\""):
        tables.write("notes", pl.DataFrame({"id": [1]}), mode=mode)


def test_names_are_names_and_never_sql(
    tables: PersonTables, connection: psycopg.Connection
) -> None:
    tables.write(ODD_TABLE, pl.DataFrame({ODD_COLUMN: [1, 2]}))
    back = tables.read(ODD_TABLE, columns=[ODD_COLUMN], limit=1)
    assert back.columns == [ODD_COLUMN]
    for attack in ('notes"; drop table notes; --', "notes; select 1", "notes union select", "%s"):
        with pytest.raises(BlockFailed, match="There is no table"):
            tables.read(attack)
        with pytest.raises(BlockFailed, match="There is no table"):
            tables.write(attack, pl.DataFrame({"note": ["x"]}), mode="replace")
        with pytest.raises(BlockFailed, match="does not exist"):
            tables.read("notes", columns=[attack])
        with pytest.raises(BlockFailed, match="does not exist"):
            tables.write("notes", pl.DataFrame({attack: ["x"]}))
    tables.write("notes", pl.DataFrame({"note": ["'); drop table notes; --"]}))
    assert connection.execute("select count(*) from notes").fetchone() == (1,)


def test_a_name_with_a_nul_is_no_name(tables: PersonTables) -> None:
    with pytest.raises(BlockFailed):
        tables.read("no\x00tes")
    with pytest.raises(BlockFailed):
        tables.write("notes", pl.DataFrame({"note": ["a\x00b"]}))


def test_the_role_ends_with_the_transaction(
    database_url: str, connection: psycopg.Connection
) -> None:
    nobody = PersonTables(database_url, UUID(int=7))
    with pytest.raises(BlockFailed):
        nobody.read("secret")
    assert connection.execute("select current_user").fetchone() == ("postgres",)
