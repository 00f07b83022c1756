"""Passwords and keys of one home: made at its first start, then kept."""

import secrets
import time
from pathlib import Path
from typing import Self

import jwt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from constellation_dagster.local.errors import StackError
from constellation_dagster.local.home import write_private

_TEN_YEARS = 10 * 365 * 24 * 3600


class Secrets(BaseModel):
    """What must stay the same between two starts, and nobody else may read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    jwt_secret: str = Field(description="Signs people's tokens and the two keys.")
    anon_key: str = Field(description="The key that every client may know.")
    service_role_key: str = Field(description="The key that passes row level security.")
    postgres_password: str = Field(description="Password of the database's superuser.")
    authenticator_password: str = Field(description="Password of PostgREST's database role.")
    person_password: str = Field(description="Password of the user that the command line acts as.")

    @classmethod
    def generate(cls) -> Self:
        """New ones."""
        jwt_secret = secrets.token_hex(32)
        return cls(
            jwt_secret=jwt_secret,
            anon_key=_key("anon", jwt_secret),
            service_role_key=_key("service_role", jwt_secret),
            postgres_password=secrets.token_hex(24),
            authenticator_password=secrets.token_hex(24),
            person_password=secrets.token_urlsafe(24),
        )


def load_secrets(path: Path) -> Secrets:
    """The secrets in a file, which is made when there is none."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        made = Secrets.generate()
        write_private(path, made.model_dump_json(indent=2))
        return made
    path.chmod(0o600)
    try:
        return Secrets.model_validate_json(text)
    except ValidationError as error:
        raise StackError(
            f"{str(path)!r} is damaged. Restore it from a copy; without it the database in "
            f"{str(path.parent)!r} cannot be opened."
        ) from error


def _key(role: str, jwt_secret: str) -> str:
    now = int(time.time())
    claims = {"iss": "constellation", "role": role, "iat": now, "exp": now + _TEN_YEARS}
    return jwt.encode(claims, jwt_secret, algorithm="HS256")
