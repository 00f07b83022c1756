"""Unmodified supabase-py against the embedded auth service, through the front door."""

import time
from uuid import uuid4

import httpx
import jwt
import psycopg
import pytest
from supabase import AuthApiError, AuthWeakPasswordError

from tests.stack_fixture import RunningStack

pytestmark = pytest.mark.xdist_group("stack")

PASSWORD = "correct horse"


def new_email() -> str:
    return f"Person.{uuid4().hex}@Example.org"


def error_code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error_code"]


def test_sign_up_in_and_out(stack: RunningStack) -> None:
    email, client = new_email(), stack.client()
    made = client.auth.sign_up(
        {"email": email, "password": PASSWORD, "options": {"data": {"display_name": "Ada"}}}
    )
    assert made.user is not None
    assert made.session is not None
    assert made.user.email == email.lower()
    assert made.user.user_metadata == {"display_name": "Ada"}
    assert made.user.app_metadata["provider"] == "email"

    again = stack.client()
    session = again.auth.sign_in_with_password({"email": email, "password": PASSWORD}).session
    assert session is not None
    claims = jwt.decode(
        session.access_token,
        stack.variables["SUPABASE_JWT_SECRET"],
        algorithms=["HS256"],
        audience="authenticated",
    )
    assert claims["sub"] == made.user.id
    assert claims["role"] == "authenticated"
    assert claims["exp"] - time.time() == pytest.approx(3600, abs=60)

    found = again.auth.get_user()
    assert found is not None
    assert found.user.id == made.user.id
    again.auth.sign_out()
    with pytest.raises(AuthApiError) as ended:
        stack.client().auth.get_user(session.access_token)
    assert ended.value.code == "session_not_found"


def test_refresh_tokens_rotate_and_a_stolen_one_ends_the_session(stack: RunningStack) -> None:
    client = stack.client()
    first = client.auth.sign_up({"email": new_email(), "password": PASSWORD}).session
    assert first is not None
    second = client.auth.refresh_session(first.refresh_token).session
    assert second is not None
    assert second.refresh_token != first.refresh_token

    # A lost answer or a second tab: for a moment the old one still does.
    third = client.auth.refresh_session(first.refresh_token).session
    assert third is not None

    with psycopg.connect(stack.variables["DATABASE_URL"]) as connection:
        connection.execute(
            "update auth.refresh_tokens set created_at = created_at - interval '1 hour' "
            "where user_id = %s",
            (first.user.id,),
        )
    with pytest.raises(AuthApiError) as stolen:
        client.auth.refresh_session(first.refresh_token)
    assert stolen.value.code == "refresh_token_already_used"
    with pytest.raises(AuthApiError) as ended:
        client.auth.refresh_session(third.refresh_token)
    assert ended.value.code == "refresh_token_already_used"


def test_only_hashes_are_stored(stack: RunningStack) -> None:
    session = stack.client().auth.sign_up({"email": new_email(), "password": PASSWORD}).session
    assert session is not None
    with psycopg.connect(stack.variables["DATABASE_URL"]) as connection:
        row = connection.execute(
            "select encrypted_password, token from auth.users "
            "join auth.refresh_tokens on user_id = id where id = %s",
            (session.user.id,),
        ).fetchone()
    assert row is not None
    assert row[0].startswith("$argon2id$")
    assert row[1] != session.refresh_token
    assert len(row[1]) == 64


def test_signing_out_elsewhere_keeps_this_session(stack: RunningStack) -> None:
    email, here, there = new_email(), stack.client(), stack.client()
    here.auth.sign_up({"email": email, "password": PASSWORD})
    session = there.auth.sign_in_with_password({"email": email, "password": PASSWORD}).session
    assert session is not None
    here.auth.sign_out({"scope": "others"})
    assert here.auth.get_user() is not None
    with pytest.raises(AuthApiError):
        there.auth.refresh_session(session.refresh_token)


def test_admin_makes_and_lists_users(stack: RunningStack) -> None:
    email, admin = new_email(), stack.service().auth.admin
    made = admin.create_user(
        {
            "email": email,
            "password": PASSWORD,
            "email_confirm": True,
            "user_metadata": {"display_name": "Grace"},
        }
    )
    assert made.user.email_confirmed_at is not None
    assert made.user.id in {user.id for user in admin.list_users()}
    assert len(admin.list_users(page=1, per_page=1)) == 1
    session = stack.client().auth.sign_in_with_password({"email": email, "password": PASSWORD})
    assert session.user is not None
    with pytest.raises(AuthApiError) as twice:
        admin.create_user({"email": email, "password": PASSWORD})
    assert twice.value.code == "email_exists"


def test_an_unconfirmed_address_cannot_sign_in(stack: RunningStack) -> None:
    email = new_email()
    stack.service().auth.admin.create_user({"email": email, "password": PASSWORD})
    with pytest.raises(AuthApiError) as refused:
        stack.client().auth.sign_in_with_password({"email": email, "password": PASSWORD})
    assert refused.value.code == "email_not_confirmed"


def test_only_the_service_key_administers(stack: RunningStack) -> None:
    for client in (stack.client(), stack.person()):
        session = client.auth.get_session()
        token = session.access_token if session else stack.variables["SUPABASE_KEY"]
        answer = httpx.get(
            f"{stack.url}/auth/v1/admin/users",
            headers={
                "apikey": stack.variables["SUPABASE_KEY"],
                "authorization": f"Bearer {token}",
            },
        )
        assert error_code(answer) == (403, "not_admin")


def test_mistakes_are_told_as_hosted(stack: RunningStack) -> None:
    email, client = new_email(), stack.client()
    client.auth.sign_up({"email": email, "password": PASSWORD})
    for credentials in (
        {"email": email, "password": "wrong"},
        {"email": new_email(), "password": PASSWORD},
    ):
        with pytest.raises(AuthApiError) as refused:
            client.auth.sign_in_with_password(
                {"email": credentials["email"], "password": credentials["password"]}
            )
        assert (refused.value.status, refused.value.code) == (400, "invalid_credentials")
    with pytest.raises(AuthApiError) as known:
        client.auth.sign_up({"email": email.upper(), "password": PASSWORD})
    assert known.value.code == "user_already_exists"
    with pytest.raises(AuthWeakPasswordError):
        client.auth.sign_up({"email": new_email(), "password": "short"})


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        ("signup", b"{", (400, "bad_json")),
        ("signup", b"[]", (400, "validation_failed")),
        ("signup", b'{"email": "nobody", "password": "long enough"}', (400, "validation_failed")),
        ("signup", b'{"email": "a@example.org"}', (400, "validation_failed")),
        ("token?grant_type=magic", b"{}", (400, "validation_failed")),
        ("token?grant_type=password", b"{}", (400, "invalid_credentials")),
        ("token?grant_type=refresh_token", b"{}", (400, "validation_failed")),
        (
            "token?grant_type=refresh_token",
            b'{"refresh_token": "made-up"}',
            (400, "refresh_token_not_found"),
        ),
        ("logout", b"", (401, "no_authorization")),
        ("nowhere", b"{}", (404, "not_found")),
    ],
)
def test_wrong_requests(
    stack: RunningStack, path: str, body: bytes, expected: tuple[int, str]
) -> None:
    answer = httpx.post(
        f"{stack.url}/auth/v1/{path}",
        content=body,
        headers={"apikey": stack.variables["SUPABASE_KEY"]},
    )
    assert error_code(answer) == expected


@pytest.mark.parametrize("token", ["not.a.token", "nothing", "e30.e30."])
def test_wrong_tokens(stack: RunningStack, token: str) -> None:
    answer = httpx.get(
        f"{stack.url}/auth/v1/user",
        headers={"apikey": stack.variables["SUPABASE_KEY"], "authorization": f"Bearer {token}"},
    )
    assert error_code(answer) in {(403, "bad_jwt"), (401, "no_authorization")}


def test_a_token_of_another_secret_is_refused(stack: RunningStack) -> None:
    forged = jwt.encode(
        {"sub": str(uuid4()), "role": "service_role", "exp": time.time() + 60},
        "somebody else's secret, as long as it has to be",
        algorithm="HS256",
    )
    headers = {"apikey": stack.variables["SUPABASE_KEY"], "authorization": f"Bearer {forged}"}
    assert httpx.get(f"{stack.url}/auth/v1/admin/users", headers=headers).status_code == 403
    assert httpx.get(f"{stack.url}/rest/v1/pipelines", headers=headers).status_code == 401
