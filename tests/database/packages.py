"""Rows of packages for the tests of the schema."""

import hashlib
import json
from typing import Any
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb

from tests.database.rows import value
from tests.roles import as_user

TENSOR = {"name": "x", "datatype": "FP64", "shape": [-1, 4]}
CONTENT: dict[str, Any] = {
    "format": 1,
    "flavor": "onnx",
    "artifact": "model.onnx",
    "onnx": None,
    "serve": "artifact",
    "signature": {"inputs": [TENSOR], "outputs": [TENSOR]},
    "classes": [],
    "tolerance": 0.0001,
    "python": "3.11",
    "requirements": ["onnxruntime==1.2.3"],
    "files": [{"path": "model.onnx", "size": 1, "sha256": "0" * 64}],
}


def manifest(**changes: object) -> str:
    """A manifest in canonical form."""
    return json.dumps(CONTENT | changes, sort_keys=True, separators=(",", ":"))


def digest(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def register(
    connection: psycopg.Connection,
    user: UUID,
    name: str = "penguins",
    version: str = "1",
    **changes: object,
) -> bool:
    """Registers a package as a person; returns whether it is new."""
    with as_user(connection, user):
        return value(
            connection,
            "select register_model_package(%s, %s, %s, 'A card', %s)",
            name,
            version,
            manifest(**changes),
            Jsonb({"seconds": 1}),
        )


def ask_for(
    connection: psycopg.Connection, user: UUID, name: str = "penguins", version: str = "1"
) -> UUID:
    """Has a model at an address packaged."""
    with as_user(connection, user):
        return value(
            connection,
            "insert into model_packages (name, version, source_url) "
            "values (%s, %s, 'model.onnx') returning id",
            name,
            version,
        )


def point(
    connection: psycopg.Connection, user: UUID, alias: str, version: str, name: str = "penguins"
) -> str | None:
    """Moves an alias as a person."""
    with as_user(connection, user):
        return value(connection, "select set_model_alias(%s, %s, %s)", name, alias, version)
