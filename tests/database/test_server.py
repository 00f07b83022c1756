"""The embedded Postgres, and bringing its schema up to date."""

import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from constellation_dagster.local import migrations
from constellation_dagster.local.migrations import MigrationFailed, apply_migrations, bootstrap
from constellation_dagster.local.postgres import (
    PostgresFailed,
    PostgresServer,
    initialise,
    server_command,
    temporary_server,
    wait_ready,
)
from tests.conftest import reachable_directory
from tests.database.rows import column, value


@pytest.fixture
def empty_database(postgres: PostgresServer) -> str:
    name = f"empty_{uuid4().hex}"
    with psycopg.connect(postgres.url(), autocommit=True) as connection:
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    return postgres.url(name)


@pytest.fixture
def directory() -> Iterator[Path]:
    with reachable_directory() as made:
        yield made


def test_a_killed_server_starts_again_although_its_number_is_taken(directory: Path) -> None:
    with temporary_server(directory) as first:
        pass
    owner = first.data.stat()
    # A dead server's number, taken by a process of the same user.
    with subprocess.Popen(["sleep", "60"], user=owner.st_uid, group=owner.st_gid) as other:
        lock = first.data / "postmaster.pid"
        lock.write_text(f"{other.pid}\n{first.data}\n1\n{first.port}\n\n127.0.0.1\n\nready\n")
        with temporary_server(directory) as again, psycopg.connect(again.url()) as connection:
            assert value(connection, "select 1") == 1
            initialise(again.data, "unused")
            assert lock.exists(), "the lock of a living server stays"
        other.kill()


def test_initialise_starts_over_after_an_interruption(directory: Path) -> None:
    data = directory / "home" / "postgres"
    (data.parent / "postgres.unfinished").mkdir(parents=True)
    (data.parent / "postgres.unfinished" / "PG_VERSION").write_text("18")
    initialise(data, "it's: secret/@?")
    initialise(data, "another one that is not used")
    server = PostgresServer(data=data, port=_free_port(), password="it's: secret/@?")
    assert server.password not in repr(server)
    with subprocess.Popen(server_command(data, server.port), stderr=subprocess.DEVNULL) as process:
        try:
            wait_ready(server.url(), timeout=20)
            with pytest.raises(PostgresFailed, match="password authentication failed"):
                wait_ready(server.url(user="nobody"), timeout=20)
            with psycopg.connect(server.url()) as connection:
                assert value(connection, "show wal_level") == "logical"
        finally:
            process.send_signal(2)
    assert process.returncode == 0
    with pytest.raises(PostgresFailed, match=r"not ready after 0\.1 s"):
        wait_ready(server.url(), timeout=0.1)


def test_migrations_and_bootstrap_apply_twice_harmlessly(empty_database: str) -> None:
    bootstrap(empty_database, "temporary")
    applied = apply_migrations(empty_database)
    assert applied == sorted(file.stem for file in migrations.MIGRATIONS.glob("*.sql"))
    with psycopg.connect(empty_database) as connection:
        recorded = "select version || '_' || name from supabase_migrations.schema_migrations"
        assert sorted(column(connection, recorded)) == applied
    bootstrap(empty_database, "temporary")
    assert apply_migrations(empty_database) == []


def test_two_at_once_apply_each_migration_once(empty_database: str) -> None:
    bootstrap(empty_database, "temporary")
    applied: list[str] = []
    threads = [
        threading.Thread(target=lambda: applied.extend(apply_migrations(empty_database)))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(applied) == sorted(file.stem for file in migrations.MIGRATIONS.glob("*.sql"))


def test_a_failed_migration_names_itself_and_leaves_nothing(
    empty_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrations, "MIGRATIONS", tmp_path)
    with pytest.raises(MigrationFailed, match="no migrations"):
        apply_migrations(empty_database)
    (tmp_path / "1_good.sql").write_text("create table good ();")
    (tmp_path / "2_bad.sql").write_text("create table bad (); select 1 / 0;")
    with pytest.raises(MigrationFailed, match=r"2_bad\.sql failed: division by zero"):
        apply_migrations(empty_database)
    with psycopg.connect(empty_database) as connection:
        present = value(connection, "select array[to_regclass('good'), to_regclass('bad')]::text")
        assert present == "{good,NULL}"


def test_migrations_need_no_superuser(empty_database: str, postgres: PostgresServer) -> None:
    """On a hosted Supabase they run as a role that owns schema public, but not schema auth."""
    bootstrap(empty_database, "temporary")
    role = f"hosted_{uuid4().hex}"
    with psycopg.connect(empty_database) as connection:
        for command in (
            "create role {} login createrole createdb bypassrls password 'temporary'",
            "grant anon, authenticated, service_role to {}",
            "grant create on database {database} to {}",
            "alter schema public owner to {}",
            "grant usage on schema auth to {} with grant option",
            "grant all on all tables in schema auth to {}",
            "alter default privileges for role {} grant all on tables to anon, authenticated",
            "alter default privileges for role {} grant all on functions to anon, authenticated",
        ):
            database = sql.Identifier(connection.info.dbname)
            connection.execute(sql.SQL(command).format(sql.Identifier(role), database=database))
    name = empty_database.rpartition("/")[2]
    url = postgres.url(name, user=role)
    assert apply_migrations(url)
    with psycopg.connect(url) as connection:
        user = value(
            connection, "insert into auth.users (email) values ('a@example.com') returning id"
        )
        connection.execute("select set_config('role', 'authenticated', true)")
        claims = f'{{"sub": "{user}"}}'
        connection.execute("select set_config('request.jwt.claims', %s, true)", (claims,))
        pipeline = value(
            connection, """select save_pipeline('{"name": "x", "nodes": [], "edges": []}')"""
        )
        assert value(connection, "select approve_pipeline(%s)", pipeline) == 1
        connection.execute("set local role service_role")
        answer = "select publish_result(%s, 1, true)"
        assert value(connection, answer, pipeline) == "published"
        assert value(connection, "select count(*) from change_events") > 0
        connection.execute("select * from change_cursor()")
        assert value(connection, "select count(*) from read_changes()") == 0  # not committed yet


def test_the_extensions_of_later_migrations_are_there(empty_database: str) -> None:
    with psycopg.connect(empty_database) as connection:
        available = column(connection, "select name from pg_available_extensions")
    assert {"vector", "pg_trgm"} <= set(available)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
