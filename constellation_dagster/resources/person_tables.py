"""People's tables, read and written as the person that a pipeline belongs to.

In a transaction with `SET LOCAL ROLE authenticated` and the person's claims, so that row-level
security decides what a block may see, as it does for the person's own client.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal, LiteralString
from uuid import UUID

import polars as pl
import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from constellation_dagster.domain.errors import BlockFailed
from constellation_dagster.domain.suggestions import did_you_mean, listing

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
            cursor = connection.execute(query)
            names = [column.name for column in cursor.description or ()]
            return pl.DataFrame(
                [[_plain(value) for value in row] for row in cursor],
                schema=names,
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
            if frame.width and frame.height:
                insert = sql.SQL("insert into public.{} ({}) values ({})").format(
                    target,
                    sql.SQL(", ").join(map(sql.Identifier, frame.columns)),
                    sql.SQL(", ").join(sql.Placeholder() * frame.width),
                )
                # COPY does not work on a table with row-level security.
                with connection.cursor() as cursor:
                    cursor.executemany(insert, (list(map(_bind, row)) for row in frame.iter_rows()))
        return frame.height

    @contextmanager
    def _transaction(self, table: str) -> Iterator[psycopg.Connection]:
        claims = json.dumps({"sub": str(self._person), "role": "authenticated"})
        try:
            with psycopg.connect(self._database_url) as connection:
                connection.execute("set local role authenticated")
                connection.execute("select set_config('request.jwt.claims', %s, true)", (claims,))
                yield connection
        except (psycopg.errors.UndefinedTable, psycopg.errors.InsufficientPrivilege) as error:
            raise self._no_table(table, error) from error
        except psycopg.errors.UndefinedColumn as error:
            raise self._no_column(table, error) from error
        except (psycopg.DataError, psycopg.IntegrityError) as error:
            raise BlockFailed(f"Table {table!r}: {error.diag.message_primary}.") from error

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


def _plain(value: object) -> object:
    """What polars has no type of its own for, as text."""
    return str(value) if isinstance(value, UUID) else value


def _bind(value: object) -> object:
    return Jsonb(value) if isinstance(value, dict | list) else value
