"""A transaction with a person's rights: row-level security holds as for the person's client."""

import json
from collections.abc import Generator
from contextlib import contextmanager
from uuid import UUID

import psycopg


@contextmanager
def as_person(database_url: str, person: UUID) -> Generator[psycopg.Connection]:
    """Lend a transaction in the role `authenticated` with the person's claims.

    Args:
        database_url: A connection that may take that role.
        person: Whose rights it has.
    """
    claims = json.dumps({"sub": str(person), "role": "authenticated"})
    with psycopg.connect(database_url) as connection:
        connection.execute("set local role authenticated")
        connection.execute("select set_config('request.jwt.claims', %s, true)", (claims,))
        yield connection
