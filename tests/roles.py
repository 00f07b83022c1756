"""Acting on a database as PostgREST does: each transaction with a role and the claims of a token."""

import json
from collections.abc import Generator
from contextlib import contextmanager
from uuid import UUID, uuid4

import psycopg


def create_user(connection: psycopg.Connection, name: str = "somebody") -> UUID:
    """An account as the auth service makes it."""
    user = uuid4()
    connection.execute(
        "insert into auth.users (id, email, raw_user_meta_data) values (%s, %s, %s)",
        (user, f"{name}-{user.hex[:8]}@example.com", json.dumps({"display_name": name})),
    )
    return user


@contextmanager
def acting(
    connection: psycopg.Connection, role: str, claims: dict[str, str]
) -> Generator[psycopg.Connection]:
    """A transaction in a role; give it an autocommit connection."""
    with connection.transaction():
        connection.execute(
            "select set_config('role', %s, true), set_config('request.jwt.claims', %s, true)",
            (role, json.dumps({"role": role} | claims)),
        )
        yield connection


@contextmanager
def as_user(connection: psycopg.Connection, user_id: UUID) -> Generator[psycopg.Connection]:
    """A transaction of a signed-in person."""
    with acting(connection, "authenticated", {"sub": str(user_id)}):
        yield connection


@contextmanager
def as_anon(connection: psycopg.Connection) -> Generator[psycopg.Connection]:
    """A transaction of somebody who only has the public key."""
    with acting(connection, "anon", {}):
        yield connection


@contextmanager
def as_service(connection: psycopg.Connection) -> Generator[psycopg.Connection]:
    """A transaction of the platform itself."""
    with acting(connection, "service_role", {}):
        yield connection
