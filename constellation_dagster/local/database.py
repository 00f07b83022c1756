"""Brings a database to where the platform's programs can start."""

import psycopg
from psycopg import sql

from constellation_dagster.local.environment import DAGSTER_DATABASE
from constellation_dagster.local.migrations import apply_migrations, bootstrap


def prepare_embedded(url: str, authenticator_password: str) -> list[str]:
    """Roles, schema and Dagster's own database; returns the migrations that were applied."""
    bootstrap(url, authenticator_password)
    applied = apply_migrations(url)
    with psycopg.connect(url, autocommit=True) as connection:
        found = connection.execute(
            "select from pg_database where datname = %s", (DAGSTER_DATABASE,)
        ).fetchone()
        if found is None:
            name = sql.Identifier(DAGSTER_DATABASE)
            connection.execute(sql.SQL("create database {}").format(name))
    return applied


def prepare_hosted(url: str) -> list[str]:
    """The schema, and one for Dagster's tables; returns the migrations that were applied."""
    applied = apply_migrations(url)
    with psycopg.connect(url, autocommit=True) as connection:
        name = sql.Identifier(DAGSTER_DATABASE)
        connection.execute(sql.SQL("create schema if not exists {}").format(name))
    return applied
