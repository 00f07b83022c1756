"""People's tables, read and written as the person that a pipeline belongs to.

Row-level security decides what a block may see, as it does for the person's own client.
"""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import Literal, LiteralString, cast
from uuid import UUID

import polars as pl
import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb
from psycopg.types.string import TextLoader

from constellation_dagster.domain.errors import BlockFailed
from constellation_dagster.domain.suggestions import did_you_mean, listing
from constellation_dagster.resources.person_sql import as_person

_VISIBLE = """
select relname from pg_class
where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'v', 'm', 'f')
    and has_table_privilege(oid, 'select')
order by relname
"""
_COLUMNS = """
select column_name from information_schema.columns
where table_schema = 'public' and table_name = %s order by ordinal_position
"""
_COLUMN_TYPES = """
select column_name, data_type from information_schema.columns
where table_schema = 'public' and table_name = %s
"""
# What polars has no type for comes as Postgres writes it; JSON too, whose values in a column need
# not be alike, nor of a type that Parquet can hold.
_RANGES = ("int4", "int8", "num", "ts", "tstz", "date")
_AS_TEXT = (
    *("uuid", "json", "jsonb", "inet", "cidr", "interval"),
    *(f"{name}{kind}" for name in _RANGES for kind in ("range", "multirange")),
)
# Known without looking at values, so that an empty column and one of NULLs have their types too.
_TYPES: Mapping[str, pl.DataType] = {
    "int2": pl.Int64(),
    "int4": pl.Int64(),
    "int8": pl.Int64(),
    "float4": pl.Float64(),
    "float8": pl.Float64(),
    "bool": pl.Boolean(),
    "text": pl.String(),
    "varchar": pl.String(),
    "bpchar": pl.String(),
    "date": pl.Date(),
    "time": pl.Time(),
    "timestamp": pl.Datetime("us"),
    "timestamptz": pl.Datetime("us", "UTC"),
    "bytea": pl.Binary(),
    **dict.fromkeys(_AS_TEXT, pl.String()),
}
# A mistake in what is written, not in how.
_UNFIT = (
    psycopg.DataError,
    psycopg.IntegrityError,
    psycopg.NotSupportedError,
    psycopg.errors.DatatypeMismatch,
    psycopg.errors.GeneratedAlways,
    psycopg.errors.ObjectNotInPrerequisiteState,
    psycopg.errors.RaiseException,
)

_NO_CONFLICT = sql.SQL("")


class PersonTables:
    """The `TableStore` of one person."""

    def __init__(self, database_url: str, person: UUID) -> None:
        self._database_url = database_url
        self._person = person

    def read(
        self, table: str, *, columns: Sequence[str] | None = None, limit: int | None = None
    ) -> pl.DataFrame:
        """All rows of a table that the person may see.

        Raises:
            BlockFailed: No such table or column, or not for this person.
        """
        chosen = sql.SQL(", ").join(map(sql.Identifier, columns)) if columns else sql.SQL("*")
        query = sql.SQL("select {} from public.{}").format(chosen, sql.Identifier(table))
        if limit is not None:
            query += sql.SQL(" limit {}").format(sql.Literal(limit))
        with self._transaction(table) as connection:
            for name in _AS_TEXT:
                connection.adapters.register_loader(name, TextLoader)
            cursor = connection.execute(query)
            return pl.DataFrame(
                [list(map(_plain, row)) for row in cursor],
                schema={column.name: _dtype(column) for column in cursor.description or ()},
                orient="row",
                infer_schema_length=None,
            )

    def write(
        self, table: str, frame: pl.DataFrame, *, mode: Literal["append", "replace"] = "append"
    ) -> int:
        """Adds rows, or puts them in the place of all rows that the person may delete.

        Raises:
            BlockFailed: No such table or column, or not for this person, or a value does not fit.
        """
        target = sql.Identifier(table)
        with self._transaction(table) as connection:
            if mode == "replace":
                connection.execute(sql.SQL("delete from public.{}").format(target))
            _insert(connection, table, frame)
        return frame.height

    def upsert(self, table: str, frame: pl.DataFrame, *, keys: Sequence[str]) -> int:
        """Writes each row in place of the one with the same keys, or adds it if there is none.

        Raises:
            BlockFailed: No such table or column, or not for this person, or a value does not fit,
                or nothing makes the keys unique in the table.
        """
        try:
            with self._transaction(table) as connection:
                _insert(connection, table, frame, _in_place(frame.columns, keys))
        except psycopg.errors.InvalidColumnReference as error:
            raise BlockFailed(
                f"Table {table!r}: nothing keeps {listing(keys)} unique, so it is not known which "
                "row to put one in place of.",
                "Give the keys of its primary key or of a unique constraint.",
            ) from error
        return frame.height

    @contextmanager
    def _transaction(self, table: str) -> Generator[psycopg.Connection]:
        try:
            with as_person(self._database_url, self._person) as connection:
                yield connection
        except (psycopg.errors.UndefinedTable, psycopg.errors.InsufficientPrivilege) as error:
            raise self._no_table(table, error) from error
        except psycopg.errors.UndefinedColumn as error:
            raise self._no_column(table, error) from error
        except _UNFIT as error:
            raise BlockFailed(
                f"Table {table!r}: {error.diag.message_primary or error}.", error.diag.message_hint
            ) from error

    def _no_table(self, table: str, error: psycopg.Error) -> BlockFailed:
        tables = self._ask(_VISIBLE)
        if table in tables:
            return BlockFailed(f"Table {table!r}: {error.diag.message_primary}.")
        return BlockFailed(
            f"There is no table {table!r} that the pipeline's owner may use.",
            did_you_mean(table, tables, there_are="The tables are"),
        )

    def _no_column(self, table: str, error: psycopg.Error) -> BlockFailed:
        columns = self._ask(_COLUMNS, table)
        return BlockFailed(
            f"Table {table!r}: {error.diag.message_primary}.",
            f"The columns are {listing(columns)}.",
        )

    def _ask(self, query: LiteralString, *parameters: str) -> list[str]:
        with psycopg.connect(self._database_url) as connection:
            connection.execute("set local role authenticated")
            return [row[0] for row in connection.execute(query, parameters)]


def _insert(
    connection: psycopg.Connection,
    table: str,
    frame: pl.DataFrame,
    on_conflict: sql.Composable = _NO_CONFLICT,
) -> None:
    if not frame.width or not frame.height:
        return
    insert = sql.SQL("insert into public.{} ({}) values ({}) {}").format(
        _beside_placeholders(table),
        sql.SQL(", ").join(map(_beside_placeholders, frame.columns)),
        sql.SQL(", ").join(sql.Placeholder() * frame.width),
        on_conflict,
    )
    types = dict(connection.execute(_COLUMN_TYPES, (table,)).fetchall())
    arrays = [types.get(column) == "ARRAY" for column in frame.columns]
    # COPY does not work on a table with row-level security.
    with connection.cursor() as cursor:
        cursor.executemany(insert, (list(map(_bind, row, arrays)) for row in frame.iter_rows()))


def _in_place(columns: Sequence[str], keys: Sequence[str]) -> sql.Composable:
    """What to do about a row that is there already."""
    changes = [
        sql.SQL("{0} = excluded.{0}").format(_beside_placeholders(name))
        for name in columns
        if name not in keys
    ]
    update = sql.SQL("update set ") + sql.SQL(", ").join(changes)
    action = update if changes else sql.SQL("nothing")
    names = sql.SQL(", ").join(map(_beside_placeholders, keys))
    return sql.SQL("on conflict ({}) do ").format(names) + action


def _dtype(column: psycopg.Column) -> pl.DataType | None:
    known = psycopg.adapters.types.get(column.type_code)
    # An array is known under the name of its elements, and may have any number of dimensions.
    return _TYPES.get(known.name) if known and known.oid == column.type_code else None


def _plain(value: object) -> object:
    """A numeric NaN, which polars' decimals have not, as nothing."""
    return None if isinstance(value, Decimal) and not value.is_finite() else value


def _bind(value: object, array: bool) -> object:
    as_json = isinstance(value, dict) or (isinstance(value, list) and not array)
    return Jsonb(value) if as_json else cast("object", value)


def _beside_placeholders(name: str) -> sql.SQL:
    """A quoted name for a statement with parameters, where psycopg reads % as one."""
    return sql.SQL(cast("LiteralString", sql.Identifier(name).as_string().replace("%", "%%")))
