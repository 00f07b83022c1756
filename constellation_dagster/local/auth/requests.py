"""What clients send."""

import re
from typing import Annotated, Self

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, JsonValue, ValidationError
from starlette.requests import Request

from constellation_dagster.local.auth.errors import AuthError, validation_failed

SHORTEST_PASSWORD = 6
LONGEST_PASSWORD = 72
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,255}")

JsonObject = dict[str, JsonValue]


class _Body(BaseModel):
    # Clients send more than is understood here, such as `gotrue_meta_security`.
    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    @classmethod
    async def read(cls, request: Request) -> Self:
        """The body of a request, or a `validation_failed` that says what is wrong with it."""
        try:
            return cls.model_validate_json(await request.body())
        except ValidationError as error:
            first = error.errors()[0]
            if first["type"] == "json_invalid":
                raise AuthError(400, "bad_json", "Could not parse request body as JSON") from error
            place = ".".join(str(part) for part in first["loc"])
            raise validation_failed(f"{place}: {first['msg']}") from error


class Credentials(_Body):
    """POST /signup and /token?grant_type=password."""

    email: str | None = None
    password: str | None = None
    user_metadata: Annotated[
        JsonObject,
        Field(default_factory=dict, validation_alias=AliasChoices("data", "user_metadata")),
    ]


class NewUser(_Body):
    """POST /admin/users."""

    email: str | None = None
    password: str | None = None
    email_confirm: bool = False
    user_metadata: JsonObject = Field(default_factory=dict)
    app_metadata: JsonObject = Field(default_factory=dict)


class RefreshGrant(_Body):
    """POST /token?grant_type=refresh_token."""

    refresh_token: str = ""


def checked_email(email: str | None) -> str:
    """The address as it is stored."""
    if email is None or not _EMAIL.fullmatch(email.strip()):
        raise validation_failed("Unable to validate email address: invalid format")
    return email.strip().lower()


def checked_password(password: str | None) -> str:
    """The password, if it may be used for a new account."""
    if not password:
        raise validation_failed("Signup requires a valid password")
    if len(password) < SHORTEST_PASSWORD:
        message = f"Password should be at least {SHORTEST_PASSWORD} characters."
        raise AuthError(422, "weak_password", message)
    if len(password.encode()) > LONGEST_PASSWORD:
        message = f"Password cannot be longer than {LONGEST_PASSWORD} characters"
        raise validation_failed(message)
    return password
