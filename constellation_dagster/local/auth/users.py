"""People's accounts, in the tables that a hosted Supabase has for them."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg import AsyncConnection, errors
from psycopg.rows import class_row, scalar_row
from psycopg.types.json import Jsonb
from pydantic import JsonValue

_COLUMNS = (
    "id, aud, role, email, encrypted_password, raw_user_meta_data, raw_app_meta_data, "
    "email_confirmed_at, last_sign_in_at, created_at, updated_at"
)


@dataclass(frozen=True)
class User:
    """A row of auth.users."""

    id: UUID
    aud: str
    role: str
    email: str
    encrypted_password: str | None
    raw_user_meta_data: dict[str, JsonValue]
    raw_app_meta_data: dict[str, JsonValue]
    email_confirmed_at: datetime | None
    last_sign_in_at: datetime | None
    created_at: datetime
    updated_at: datetime

    def public(self) -> dict[str, JsonValue]:
        """What clients are told."""
        confirmed = _text(self.email_confirmed_at)
        return {
            "id": str(self.id),
            "aud": self.aud,
            "role": self.role,
            "email": self.email,
            "phone": "",
            "email_confirmed_at": confirmed,
            "confirmed_at": confirmed,
            "last_sign_in_at": _text(self.last_sign_in_at),
            "app_metadata": self.raw_app_meta_data,
            "user_metadata": self.raw_user_meta_data,
            "identities": [],
            "created_at": _text(self.created_at),
            "updated_at": _text(self.updated_at),
            "is_anonymous": False,
        }


async def insert_user(
    connection: AsyncConnection,
    email: str,
    password_hash: str | None,
    *,
    user_metadata: dict[str, JsonValue],
    app_metadata: dict[str, JsonValue],
    confirmed: bool,
) -> User | None:
    """Make an account; None when the address has one."""
    try:
        async with connection.transaction(), connection.cursor(row_factory=class_row(User)) as rows:
            await rows.execute(
                "insert into auth.users (email, encrypted_password, raw_user_meta_data, "
                "raw_app_meta_data, email_confirmed_at) values (%s, %s, %s, %s, "
                f"case when %s then now() end) returning {_COLUMNS}",
                (
                    email,
                    password_hash,
                    Jsonb(user_metadata),
                    Jsonb({"provider": "email", "providers": ["email"], **app_metadata}),
                    confirmed,
                ),
            )
            return await rows.fetchone()
    except errors.UniqueViolation:
        return None


async def user_by_email(connection: AsyncConnection, email: str) -> User | None:
    """The account of an address."""
    async with connection.cursor(row_factory=class_row(User)) as rows:
        await rows.execute(f"select {_COLUMNS} from auth.users where email = %s", (email,))
        return await rows.fetchone()


async def user_by_id(connection: AsyncConnection, user_id: UUID) -> User | None:
    """The account of an id."""
    async with connection.cursor(row_factory=class_row(User)) as rows:
        await rows.execute(f"select {_COLUMNS} from auth.users where id = %s", (user_id,))
        return await rows.fetchone()


async def record_sign_in(connection: AsyncConnection, user_id: UUID) -> User | None:
    """Note the time; returns the account as it is then."""
    async with connection.cursor(row_factory=class_row(User)) as rows:
        await rows.execute(
            f"update auth.users set last_sign_in_at = now() where id = %s returning {_COLUMNS}",
            (user_id,),
        )
        return await rows.fetchone()


async def list_users(connection: AsyncConnection, page: int, per_page: int) -> list[User]:
    """One page of accounts, newest first."""
    async with connection.cursor(row_factory=class_row(User)) as rows:
        await rows.execute(
            f"select {_COLUMNS} from auth.users order by created_at desc, id limit %s offset %s",
            (per_page, (page - 1) * per_page),
        )
        return await rows.fetchall()


async def count_users(connection: AsyncConnection) -> int:
    """How many accounts there are."""
    async with connection.cursor(row_factory=scalar_row) as rows:
        await rows.execute("select count(*) from auth.users")
        return int(await rows.fetchone() or 0)


def _text(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
