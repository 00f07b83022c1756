"""Brings a database's schema up to date: `supabase/migrations` in order, each of them once.

The record is the Supabase CLI's own, so that `supabase db push` and this one can take turns.
"""

from pathlib import Path

import psycopg
from psycopg import sql

from constellation_dagster.domain.errors import ConstellationError
from constellation_dagster.settings import PROJECT_ROOT

MIGRATIONS = PROJECT_ROOT / "supabase" / "migrations"
BOOTSTRAP = Path(__file__).with_name("bootstrap.sql")

# Two processes that start at once must not both apply a migration; any constant number does.
_LOCK = 4_817_623_905

_RECORD = """
create schema if not exists supabase_migrations;
create table if not exists supabase_migrations.schema_migrations (
  version text not null primary key,
  statements text[],
  name text
);
"""


class MigrationFailed(ConstellationError):
    """A migration could not be applied; the ones before it stay applied."""


def bootstrap(url: str, authenticator_password: str) -> None:
    """Gives a plain Postgres what a hosted Supabase brings: roles, and the auth schema.

    Args:
        url: The database, as a superuser.
        authenticator_password: The password that PostgREST logs in with.
    """
    with psycopg.connect(url) as connection:
        _lock(connection)
        connection.execute(BOOTSTRAP.read_bytes())
        connection.execute(
            sql.SQL("alter role authenticator password {}").format(authenticator_password)
        )


def apply_migrations(url: str) -> list[str]:
    """Applies what the database does not have yet, each file in a transaction of its own.

    Args:
        url: The database, as the owner of schema public.

    Returns:
        The files that were applied, without their suffix.

    Raises:
        MigrationFailed: There are no migrations, or one of them failed.
    """
    files = sorted(MIGRATIONS.glob("*.sql"))
    if not files:
        raise MigrationFailed(f"There are no migrations in {MIGRATIONS}. Is the package whole?")
    with psycopg.connect(url, autocommit=True) as connection:
        with connection.transaction():
            _lock(connection)
            connection.execute(_RECORD)
        return [file.stem for file in files if _apply(connection, file)]


def _apply(connection: psycopg.Connection, file: Path) -> bool:
    version, _, name = file.stem.partition("_")
    text = file.read_text(encoding="utf-8")
    try:
        with connection.transaction():
            _lock(connection)
            recorded = connection.execute(
                "insert into supabase_migrations.schema_migrations (version, statements, name) "
                "values (%s, %s, %s) on conflict (version) do nothing",
                (version, [text], name),
            )
            if recorded.rowcount == 0:
                return False
            connection.execute(text.encode())
    except psycopg.Error as error:
        raise MigrationFailed(f"Migration {file.name} failed: {error}") from error
    return True


def _lock(connection: psycopg.Connection) -> None:
    """Holds off every other process that changes the schema until the transaction ends."""
    connection.execute("select pg_advisory_xact_lock(%s)", (_LOCK,))
