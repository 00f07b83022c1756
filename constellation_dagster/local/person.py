"""The user that the command line acts as on the embedded stack."""

from collections.abc import Mapping

import httpx

from constellation_dagster.local.errors import StackError


def make_person(environment: Mapping[str, str]) -> None:
    """Signs the user up, unless an earlier start did."""
    key = environment["SUPABASE_SERVICE_ROLE_KEY"]
    answer = httpx.post(
        f"{environment['SUPABASE_URL']}/auth/v1/admin/users",
        headers={"apikey": key, "Authorization": f"Bearer {key}"},
        json={
            "email": environment["CONSTELLATION_EMAIL"],
            "password": environment["CONSTELLATION_PASSWORD"],
            "email_confirm": True,
        },
    )
    exists = answer.status_code == 422
    if not (answer.is_success or exists):
        raise StackError(f"The command line's user could not be made: {answer.text}")
