"""The auth service of the embedded stack: the part of Supabase Auth that its clients need here.

It stands behind the front door, which takes `/auth/v1` off and checks the `apikey` header.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib.metadata import version
from uuid import UUID

import anyio.to_thread
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from psycopg import AsyncConnection, OperationalError
from psycopg_pool import AsyncConnectionPool, PoolTimeout
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from constellation_dagster.local.auth import requests, sessions, users
from constellation_dagster.local.auth.errors import (
    AuthError,
    invalid_credentials,
    validation_failed,
)
from constellation_dagster.settings import Settings, get_settings

_LARGEST_PAGE = 1000
# OWASP's smallest recommended parameters: sign-in must stay quick on two cores.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
# Verified for unknown addresses, so that the time of an answer does not tell which ones are known.
_NOBODYS_HASH = _HASHER.hash("nobody has this password")


class AuthService:
    """The handlers, with the pool and the key that they share."""

    def __init__(self, pool: AsyncConnectionPool[AsyncConnection], signer: sessions.Signer) -> None:
        self._pool = pool
        self._signer = signer
        # Each hash takes 19 MB and a core: more at once would only starve the rest.
        self._hashing = anyio.CapacityLimiter(2)

    @asynccontextmanager
    async def lifespan(self, _app: Starlette) -> AsyncGenerator[None]:
        """Keeps the pool open while the service runs."""
        async with self._pool:
            yield

    async def health(self, _request: Request) -> Response:
        """GET /health: answers once the database does."""
        async with self._pool.connection() as connection:
            await connection.execute("select 1")
        name = "GoTrue"  # what clients of a hosted Supabase find here
        return JSONResponse(
            {
                "name": name,
                "version": f"constellation-{version('constellation-dagster')}",
                "description": "Embedded subset of Supabase Auth",
            }
        )

    async def signup(self, request: Request) -> Response:
        """POST /signup: a new account, confirmed at once."""
        body = await requests.Credentials.read(request)
        email = requests.checked_email(body.email)
        password_hash = await self._hash(requests.checked_password(body.password))
        async with self._pool.connection() as connection:
            user = await users.insert_user(
                connection,
                email,
                password_hash,
                user_metadata=body.user_metadata,
                app_metadata={},
                confirmed=True,
            )
            if user is None:
                raise AuthError(422, "user_already_exists", "User already registered")
            return JSONResponse(await self._sign_in(connection, user))

    async def token(self, request: Request) -> Response:
        """POST /token: a session for a password or a refresh token."""
        match request.query_params.get("grant_type"):
            case "password":
                return await self._password_grant(request)
            case "refresh_token":
                return await self._refresh_grant(request)
            case _:
                raise AuthError(400, "validation_failed", "unsupported_grant_type")

    async def user(self, request: Request) -> Response:
        """GET /user: who the bearer is."""
        user_id, session_id = self._bearer(request)
        async with self._pool.connection() as connection:
            if session_id is not None and not await sessions.is_open(connection, session_id):
                message = "Session from session_id claim in JWT does not exist"
                raise AuthError(403, "session_not_found", message)
            user = await users.user_by_id(connection, user_id)
        if user is None:
            message = "User from sub claim in JWT does not exist"
            raise AuthError(403, "user_not_found", message)
        return JSONResponse(user.public())

    async def logout(self, request: Request) -> Response:
        """POST /logout?scope=global|local|others."""
        scope = request.query_params.get("scope", "global")
        if scope not in ("global", "local", "others"):
            raise validation_failed(f"Unsupported logout scope {scope!r}")
        user_id, session_id = self._bearer(request)
        async with self._pool.connection() as connection:
            await sessions.close_sessions(connection, user_id, session_id, scope)
        return Response(status_code=204)

    async def create_user(self, request: Request) -> Response:
        """POST /admin/users."""
        self._require_service(request)
        body = await requests.NewUser.read(request)
        email = requests.checked_email(body.email)
        password_hash = None
        if body.password is not None:
            password_hash = await self._hash(requests.checked_password(body.password))
        async with self._pool.connection() as connection:
            user = await users.insert_user(
                connection,
                email,
                password_hash,
                user_metadata=body.user_metadata,
                app_metadata=body.app_metadata,
                confirmed=body.email_confirm,
            )
        if user is None:
            message = "A user with this email address has already been registered"
            raise AuthError(422, "email_exists", message)
        return JSONResponse(user.public())

    async def list_users(self, request: Request) -> Response:
        """GET /admin/users?page=1&per_page=50."""
        self._require_service(request)
        page = _positive(request, "page", 1)
        per_page = min(_positive(request, "per_page", 50), _LARGEST_PAGE)
        async with self._pool.connection() as connection:
            found = await users.list_users(connection, page, per_page)
            total = await users.count_users(connection)
        body = {"users": [user.public() for user in found], "aud": "authenticated"}
        return JSONResponse(body, headers={"x-total-count": str(total)})

    async def _password_grant(self, request: Request) -> Response:
        body = await requests.Credentials.read(request)
        email = (body.email or "").strip().lower()
        async with self._pool.connection() as connection:
            user = await users.user_by_email(connection, email)
        # The connection goes back first: hashing takes longer than everything else here.
        known = user.encrypted_password if user else None
        matches = await self._verify(known or _NOBODYS_HASH, body.password or "")
        if user is None or known is None or not matches:
            raise invalid_credentials()
        if user.email_confirmed_at is None:
            raise AuthError(400, "email_not_confirmed", "Email not confirmed")
        async with self._pool.connection() as connection:
            return JSONResponse(await self._sign_in(connection, user))

    async def _refresh_grant(self, request: Request) -> Response:
        body = await requests.RefreshGrant.read(request)
        if not body.refresh_token:
            raise validation_failed("refresh_token required")
        token = sessions.hashed(body.refresh_token)
        async with self._pool.connection() as connection:
            user_id, session_id = await sessions.use_refresh_token(connection, token)
            user = await users.user_by_id(connection, user_id)
            if user is None:
                raise AuthError(403, "user_not_found", "User not found")
            return JSONResponse(
                await sessions.open_session(
                    connection, self._signer, user, session_id=session_id, parent=token
                )
            )

    async def _sign_in(self, connection: AsyncConnection, user: users.User) -> dict[str, object]:
        current = await users.record_sign_in(connection, user.id)
        if current is None:
            raise invalid_credentials()
        return dict(await sessions.open_session(connection, self._signer, current))

    def _bearer(self, request: Request) -> tuple[UUID, UUID | None]:
        claims = self._signer.read(_bearer_token(request))
        try:
            user_id = UUID(claims["sub"])
            session = claims.get("session_id")
            return user_id, UUID(session) if session else None
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise AuthError(403, "bad_jwt", "invalid claim: missing sub claim") from error

    def _require_service(self, request: Request) -> None:
        if self._signer.read(_bearer_token(request)).get("role") != "service_role":
            raise AuthError(403, "not_admin", "User not allowed")

    async def _hash(self, password: str) -> str:
        return await anyio.to_thread.run_sync(_HASHER.hash, password, limiter=self._hashing)

    async def _verify(self, known: str, password: str) -> bool:
        try:
            return await anyio.to_thread.run_sync(
                _HASHER.verify, known, password, limiter=self._hashing
            )
        except (VerificationError, InvalidHashError):
            return False


def build_app(settings: Settings) -> Starlette:
    """The service for one database and one signing key."""
    secret = settings.supabase_jwt_secret or ""
    pool: AsyncConnectionPool[AsyncConnection] = AsyncConnectionPool(
        settings.require_database(),
        min_size=1,
        max_size=8,
        open=False,
        # After Postgres was restarted the pool is full of dead connections.
        check=AsyncConnectionPool.check_connection,
    )
    signer = sessions.Signer(secret, f"{settings.supabase_url}/auth/v1")
    service = AuthService(pool, signer)
    return Starlette(
        lifespan=service.lifespan,
        routes=[
            Route("/health", service.health, methods=["GET"]),
            Route("/signup", service.signup, methods=["POST"]),
            Route("/token", service.token, methods=["POST"]),
            Route("/user", service.user, methods=["GET"]),
            Route("/logout", service.logout, methods=["POST"]),
            Route("/admin/users", service.create_user, methods=["POST"]),
            Route("/admin/users", service.list_users, methods=["GET"]),
        ],
        middleware=[
            Middleware(
                CORSMiddleware,
                allow_origins=["*"],
                allow_methods=["GET", "POST", "PUT", "DELETE", "PATCH"],
                allow_headers=["*"],
                expose_headers=["x-total-count", "link"],
            )
        ],
        exception_handlers={
            AuthError: _refused,
            HTTPException: _unknown,
            OperationalError: _unavailable,
            PoolTimeout: _unavailable,
        },
    )


def create_app() -> Starlette:
    """For `uvicorn --factory`."""
    return build_app(get_settings())


def _bearer_token(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        message = "This endpoint requires a valid Bearer token"
        raise AuthError(401, "no_authorization", message)
    return token.strip()


def _positive(request: Request, name: str, default: int) -> int:
    # Clients send an empty value where their caller gave none.
    text = request.query_params.get(name) or str(default)
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 2**31:
        raise validation_failed(f"{name} must be a positive number, not {text!r}")
    return int(text)


def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, AuthError)
    return error.response()


def _unknown(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = "not_found" if error.status_code == 404 else "method_not_allowed"
    return AuthError(error.status_code, code, error.detail).response()


def _unavailable(_request: Request, _error: Exception) -> Response:
    message = "The database is not reachable at the moment"
    return AuthError(503, "unexpected_failure", message).response()
