"""Access tokens, and refresh tokens that are used once."""

import hashlib
import secrets
import time
from typing import Any
from uuid import UUID, uuid4

import jwt
from psycopg import AsyncConnection
from psycopg.rows import scalar_row, tuple_row
from pydantic import JsonValue

from constellation_dagster.local.auth.errors import AuthError
from constellation_dagster.local.auth.users import User

ACCESS_TOKEN_SECONDS = 3600
# A client whose answer was lost, or a second tab, may ask again this soon without being a thief.
REUSE_SECONDS = 10
_ALGORITHM = "HS256"


class Signer:
    """Signs and reads access tokens."""

    def __init__(self, secret: str, issuer: str) -> None:
        self._secret = secret
        self._issuer = issuer

    def sign(self, user: User, session_id: UUID) -> tuple[str, int]:
        """An access token and when it expires."""
        now = int(time.time())
        expires = now + ACCESS_TOKEN_SECONDS
        claims: dict[str, Any] = {
            "iss": self._issuer,
            "sub": str(user.id),
            "aud": user.aud,
            "role": user.role,
            "email": user.email,
            "phone": "",
            "session_id": str(session_id),
            "app_metadata": user.raw_app_meta_data,
            "user_metadata": user.raw_user_meta_data,
            "aal": "aal1",
            "amr": [{"method": "password", "timestamp": now}],
            "is_anonymous": False,
            "iat": now,
            "exp": expires,
        }
        return jwt.encode(claims, self._secret, algorithm=_ALGORITHM), expires

    def read(self, token: str) -> dict[str, Any]:
        """The claims of a token that was signed here and has not expired."""
        try:
            return jwt.decode(
                token,
                self._secret,
                algorithms=[_ALGORITHM],
                options={"verify_aud": False, "require": ["exp"]},
            )
        except jwt.InvalidTokenError as error:
            message = f"invalid JWT: unable to parse or verify signature, {error}"
            raise AuthError(403, "bad_jwt", message) from error


async def open_session(
    connection: AsyncConnection,
    signer: Signer,
    user: User,
    *,
    session_id: UUID | None = None,
    parent: str | None = None,
) -> dict[str, JsonValue]:
    """A new pair of tokens, in a new session unless one is given."""
    session_id = session_id or uuid4()
    refresh_token = secrets.token_urlsafe(24)
    await connection.execute(
        "insert into auth.refresh_tokens (token, user_id, session_id, parent) "
        "values (%s, %s, %s, %s)",
        (hashed(refresh_token), user.id, session_id, parent),
    )
    access_token, expires = signer.sign(user, session_id)
    return {
        "access_token": access_token,
        "token_type": "bearer",
        "expires_in": ACCESS_TOKEN_SECONDS,
        "expires_at": expires,
        "refresh_token": refresh_token,
        "user": user.public(),
    }


async def use_refresh_token(connection: AsyncConnection, token: str) -> tuple[UUID, UUID]:
    """Spend a refresh token; returns its user and session.

    One that was spent before ends its whole session, since one of its two users is not the owner.
    """
    async with connection.cursor(row_factory=tuple_row) as rows:
        await rows.execute(
            "update auth.refresh_tokens set revoked = true where token = %s and not revoked "
            "returning user_id, session_id",
            (token,),
        )
        if (spent := await rows.fetchone()) is not None:
            return spent
        await rows.execute(
            "select user_id, session_id, exists (select from auth.refresh_tokens as child "
            "where child.parent = spent.token and not child.revoked "
            "and child.created_at > now() - make_interval(secs => %s)) "
            "from auth.refresh_tokens as spent where token = %s",
            (REUSE_SECONDS, token),
        )
        found = await rows.fetchone()
    if found is None:
        message = "Invalid Refresh Token: Refresh Token Not Found"
        raise AuthError(400, "refresh_token_not_found", message)
    user_id, session_id, just_rotated = found
    if just_rotated:
        return user_id, session_id
    await close_sessions(connection, user_id, session_id, "local")
    # The refusal must not take the revocation back.
    await connection.commit()
    raise AuthError(400, "refresh_token_already_used", "Invalid Refresh Token: Already Used")


async def close_sessions(
    connection: AsyncConnection, user_id: UUID, session_id: UUID | None, scope: str
) -> None:
    """End the token's own session (`local`), all others of the user (`others`), or all (`global`)."""
    await connection.execute(
        "update auth.refresh_tokens set revoked = true where user_id = %(user)s and not revoked "
        "and case %(scope)s when 'local' then session_id = %(session)s "
        "when 'others' then session_id is distinct from %(session)s else true end",
        {"user": user_id, "session": session_id, "scope": scope},
    )


async def is_open(connection: AsyncConnection, session_id: UUID) -> bool:
    """Whether the session has not been ended."""
    async with connection.cursor(row_factory=scalar_row) as rows:
        await rows.execute(
            "select exists (select from auth.refresh_tokens where session_id = %s and not revoked)",
            (session_id,),
        )
        return bool(await rows.fetchone())


def hashed(token: str) -> str:
    """How a refresh token is stored: it is random, so a fast hash is enough."""
    return hashlib.sha256(token.encode()).hexdigest()
