"""A real Postgres for every test that asks: one server a worker, one fresh database a test."""

import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from hypothesis import settings
from psycopg import sql

from constellation_dagster.local.migrations import apply_migrations, bootstrap
from constellation_dagster.local.postgres import PostgresServer, temporary_server
from tests.stack_fixture import stack

# Here and nowhere below: each conftest that imports a session fixture makes one of its own.
__all__ = ["stack"]

# How long an example takes says more about the machine than about the code.
settings.register_profile("constellation", deadline=None)
settings.load_profile("constellation")

TEMPLATE = "migrated"


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A server with the database `migrated`, which `database_url` copies."""
    with reachable_directory() as directory, temporary_server(directory) as server:
        _administer(server, sql.SQL("create database {}").format(sql.Identifier(TEMPLATE)))
        bootstrap(server.url(TEMPLATE), authenticator_password=server.password)
        apply_migrations(server.url(TEMPLATE))
        yield server


@pytest.fixture
def database_url(postgres: PostgresServer) -> Iterator[str]:
    """A fresh database with all migrations, as the superuser; gone after the test."""
    with migrated_database(postgres) as url:
        yield url


@contextmanager
def reachable_directory() -> Generator[Path]:
    """A directory that other accounts can reach, unlike tmp_path: root's server may run as one."""
    with tempfile.TemporaryDirectory(prefix="constellation-") as directory:
        Path(directory).chmod(0o711)
        yield Path(directory)


@contextmanager
def migrated_database(server: PostgresServer) -> Generator[str]:
    """A copy of the template; some 0.2 s."""
    name = f"test_{uuid4().hex}"
    create = sql.SQL("create database {} template {}")
    _administer(server, create.format(sql.Identifier(name), sql.Identifier(TEMPLATE)))
    yield server.url(name)
    _administer(server, sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


def _administer(server: PostgresServer, command: sql.Composed) -> None:
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute(command)
