"""What passes the front door, and as whom."""

from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from postgrest.exceptions import APIError
from supabase import Client

from constellation_dagster.domain.reconciliation import Route, RoutePool
from constellation_dagster.resources.router import Router
from tests.resources.router_process import small_server
from tests.stack_fixture import RunningStack

pytestmark = pytest.mark.xdist_group("stack")

PATHS = ("/rest/v1/pipelines", "/auth/v1/user", "/endpoints/iris/v2")


@pytest.mark.parametrize("path", PATHS)
def test_nothing_passes_without_a_key(stack: RunningStack, path: str) -> None:
    refused = httpx.get(f"{stack.url}{path}")
    assert refused.status_code == 401
    assert refused.json()["message"] == "No API key found in request"
    wrong = httpx.get(f"{stack.url}{path}", headers={"apikey": "wrong"})
    assert wrong.status_code == 401
    assert wrong.json()["message"] == "Invalid API key"


def test_the_key_may_stand_in_the_address(stack: RunningStack) -> None:
    key = stack.variables["SUPABASE_KEY"]
    answer = httpx.get(f"{stack.url}/auth/v1/health", params={"apikey": key})
    assert answer.status_code == 200
    assert httpx.get(f"{stack.url}/rest/v1/", params={"apikey": key}).status_code == 200


@pytest.mark.parametrize("path", PATHS)
def test_browsers_may_ask_from_any_origin(stack: RunningStack, path: str) -> None:
    answer = httpx.options(
        f"{stack.url}{path}",
        headers={
            "origin": "https://app.example.org",
            "access-control-request-method": "GET",
            "access-control-request-headers": "apikey,authorization",
        },
    )
    assert answer.status_code in {200, 204}
    assert answer.headers["access-control-allow-origin"] in {"*", "https://app.example.org"}


def test_health_and_unknown_paths(stack: RunningStack) -> None:
    assert httpx.get(f"{stack.url}/health").text == "ok"
    assert httpx.get(f"{stack.url}/auth/v1/health").status_code == 200
    unknown = httpx.get(f"{stack.url}/elsewhere")
    assert unknown.status_code == 404
    assert "no Route matched" in unknown.json()["message"]


def test_models_get_no_keys_and_requests_get_an_id(stack: RunningStack, tmp_path: Path) -> None:
    router = Router(stack.variables["CONSTELLATION_ROUTER_ADMIN"])
    key = stack.variables["SUPABASE_SERVICE_ROLE_KEY"]
    url = f"{stack.variables['CONSTELLATION_ENDPOINTS_URL']}/iris/v2?apikey={key}&x=1"
    with small_server(tmp_path, "a") as address:
        route = Route((("champion", RoutePool(100, frozenset({address}))),))
        router.set_route("iris", route)
        try:
            answer = httpx.post(url, headers={"apikey": key, "authorization": f"Bearer {key}"})
        finally:
            router.remove_route("iris")
    assert key not in answer.text
    told = answer.json()
    assert told["path"] == "/v2?x=1"
    assert told["headers"]["X-Request-Id"] == answer.headers["x-request-id"]
    assert answer.headers["access-control-allow-origin"] == "*"


def rows(client: Client, table: str, columns: str) -> list[dict[str, Any]]:
    return cast("list[dict[str, Any]]", client.table(table).select(columns).execute().data)


def test_people_see_only_their_own_rows(stack: RunningStack) -> None:
    ada, grace = stack.person(), stack.person()
    ada.table("pipelines").insert({"name": "adas_secret"}).execute()
    assert rows(ada, "pipelines", "name") == [{"name": "adas_secret"}]
    assert rows(grace, "pipelines", "name") == []
    assert {"name": "adas_secret"} in rows(stack.service(), "pipelines", "name")
    with pytest.raises(APIError):
        rows(stack.client(), "pipelines", "name")


def test_a_profile_follows_sign_up(stack: RunningStack) -> None:
    person = stack.person()
    user = person.auth.get_user()
    assert user is not None
    assert rows(person, "profiles", "id, email") == [{"id": user.user.id, "email": user.user.email}]
