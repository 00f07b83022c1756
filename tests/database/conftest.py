"""Connections and people for the tests of the schema.

These tests leave rows behind but no tables, so they share a database and a warm connection.
"""

from collections.abc import Iterator
from uuid import UUID

import psycopg
import pytest
from psycopg import sql

from constellation_dagster.local.postgres import PostgresServer
from tests.conftest import migrated_database
from tests.roles import create_user


@pytest.fixture(scope="session")
def shared_connection(postgres: PostgresServer) -> Iterator[psycopg.Connection]:
    with (
        migrated_database(postgres) as url,
        psycopg.connect(url, autocommit=True) as connection,
    ):
        yield connection


@pytest.fixture
def connection(shared_connection: psycopg.Connection) -> Iterator[psycopg.Connection]:
    """The superuser, in autocommit; see `tests.roles` for how to become somebody else."""
    yield shared_connection
    with shared_connection.transaction():
        # Past all triggers.
        shared_connection.execute("set local session_replication_role = replica")
        tables = shared_connection.execute(
            "select relnamespace::regnamespace::text, relname from pg_class where relkind = 'r' "
            "and relnamespace::regnamespace::text in ('public', 'constellation', 'auth')"
        ).fetchall()
        for table in tables:
            shared_connection.execute(sql.SQL("delete from {}").format(sql.Identifier(*table)))


@pytest.fixture
def database_url(postgres: PostgresServer, connection: psycopg.Connection) -> str:
    """Where `connection` leads to, for tests that need several."""
    return postgres.url(connection.info.dbname)


@pytest.fixture
def owner(connection: psycopg.Connection) -> UUID:
    return create_user(connection, "owner")


@pytest.fixture
def stranger(connection: psycopg.Connection) -> UUID:
    return create_user(connection, "stranger")
