"""Routes of a real Caddy: where requests go, and what survives."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from constellation_dagster.domain.deployments import PoolName
from constellation_dagster.domain.reconciliation import Route, RoutePool
from constellation_dagster.resources.caddy_routes import weights, wrong_with
from constellation_dagster.resources.router import RouteInvalid, Router, RouterUnavailable
from tests.resources.router_process import RunningRouter, running_router, small_server


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRouter]:
    # Characters that mean something to Caddy, to URLs or to a shell.
    with running_router(tmp_path_factory.mktemp("r") / "100% # 'of' it") as running:
        yield running


@pytest.fixture(autouse=True)
def _no_routes(router: RunningRouter) -> Iterator[None]:
    yield
    for deployment in router.client.routes():
        router.client.remove_route(deployment)


@pytest.fixture
def abc(tmp_path: Path) -> Iterator[list[str]]:
    """Three servers, named a, b and c."""
    folder = tmp_path / "with space"
    folder.mkdir()
    with ExitStack() as stack:
        yield [stack.enter_context(small_server(folder, name)) for name in "abc"]


def one_pool(*addresses: str) -> Route:
    return Route((("champion", RoutePool(100, frozenset(addresses))),))


def canary(champion: list[str], canary: list[str], percent: int) -> Route:
    return Route(
        (
            ("champion", RoutePool(100 - percent, frozenset(champion))),
            ("canary", RoutePool(percent, frozenset(canary))),
        )
    )


def test_requests_take_turns(router: RunningRouter, abc: list[str]) -> None:
    router.client.set_route("iris", one_pool(*abc))
    assert router.answered_by("iris", 30) == {"a": 10, "b": 10, "c": 10}


def test_a_canary_gets_its_percent_whatever_the_replicas(
    router: RunningRouter, abc: list[str]
) -> None:
    route = canary(abc[:2], abc[2:], 20)
    router.client.set_route("iris", route)
    assert router.answered_by("iris", 50) == {"a": 20, "b": 20, "c": 10}
    assert router.client.routes() == {"iris": route}
    router.client.set_route("iris", canary(abc[2:], abc[:2], 50))
    assert router.answered_by("iris", 20) == {"a": 5, "b": 5, "c": 10}


@pytest.mark.parametrize(
    ("champions", "canaries", "percent"), [(1, 1, 1), (3, 1, 10), (16, 2, 7), (5, 16, 33)]
)
def test_weights_are_exact(champions: int, canaries: int, percent: int) -> None:
    found = weights(
        canary(
            [f"h:{n + 1}" for n in range(champions)],
            [f"i:{n + 1}" for n in range(canaries)],
            percent,
        )
    )
    assert len(found) == champions + canaries
    assert sum(found[champions:]) * 100 == sum(found) * percent
    assert len(set(found[:champions])) == len(set(found[champions:])) == 1


def test_a_model_sees_paths_below_its_own_and_an_id(router: RunningRouter, abc: list[str]) -> None:
    router.client.set_route("iris", one_pool(abc[0]))
    _, told = router.ask("/endpoints/iris/v2/models/iris/infer?x=1", b'{"a": 1}')
    assert (told["path"], told["body"]) == ("/v2/models/iris/infer?x=1", '{"a": 1}')
    assert told["headers"]["X-Request-Id"]
    _, told = router.ask("/endpoints/iris/v2", headers={"X-Request-Id": "mine"})
    assert told["headers"]["X-Request-Id"] == "mine"
    assert router.ask("/endpoints/iris")[1]["path"] == "/"


def test_what_is_not_there_is_told_so(router: RunningRouter, abc: list[str]) -> None:
    status, told = router.ask("/endpoints/unheard_of/v2")
    assert status == 404
    assert "'unheard_of'" in told["error"]
    router.client.set_route("iris", one_pool(abc[0]))
    assert router.ask("/endpoints/iris_2/v2")[0] == 404
    for path in ("/elsewhere", "/endpoints/", "/endpoints/%7Benv.PATH%7D/v2"):
        status, told = router.ask(path)
        assert status == 404
        assert "/bin" not in told["error"]

    router.client.set_route("iris", Route((), "It was stopped on Monday."))
    assert router.ask("/endpoints/iris/v2") == (503, {"error": "It was stopped on Monday."})
    # A message may quote anything, and nothing in it is looked up.
    odd = '{env.PATH} "quoted" \\ {http.request.uri}'
    router.client.set_route("iris", Route((), odd))
    assert router.ask("/endpoints/iris/v2") == (503, {"error": odd})
    assert router.client.routes() == {"iris": Route((), odd)}


def test_repeating_is_harmless(router: RunningRouter, abc: list[str]) -> None:
    for _ in range(3):
        router.client.set_route("iris", one_pool(*abc))
    assert router.client.routes() == {"iris": one_pool(*abc)}
    for _ in range(3):
        router.client.remove_route("iris")
    assert router.client.routes() == {}


def test_many_may_change_routes_at_once(router: RunningRouter, abc: list[str]) -> None:
    """Each of eight deployments is made, changed and in part removed while the others are."""

    def work(number: int) -> None:
        client, name = router.client, f"model_{number}"
        for turn in range(6):
            client.set_route(name, one_pool(abc[turn % 3]))
            if turn % 2:
                client.remove_route(name)
        client.set_route(name, one_pool(abc[number % 3]))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert router.client.routes() == {f"model_{n}": one_pool(abc[n % 3]) for n in range(8)}
    assert router.answered_by("model_4", 3) == Counter(b=3)


def test_routes_survive_a_kill(router: RunningRouter, abc: list[str]) -> None:
    router.client.set_route("iris", one_pool(*abc))
    router.kill()
    router.start()
    assert router.client.routes() == {"iris": one_pool(*abc)}
    assert router.answered_by("iris", 6) == {"a": 2, "b": 2, "c": 2}

    # Killed while it wrote them down: none, until somebody sets them again.
    router.kill()
    saved = router.home.router / "caddy" / "autosave.json"
    saved.write_text(saved.read_text()[:100])
    router.start()
    assert router.client.routes() == {}


def test_what_somebody_has_changed_by_hand_is_not_taken_for_ours(
    router: RunningRouter, abc: list[str]
) -> None:
    router.client.set_route("iris", one_pool(abc[0]))
    admin = router.client._client()  # pyright: ignore[reportPrivateUsage]
    with admin:
        path = "/id/endpoint-iris/handle/2/upstreams/0/dial"
        assert admin.patch(path, json="localhost:1").is_success
    assert router.client.routes() == {}
    router.client.set_route("iris", one_pool(abc[0]))
    assert router.answered_by("iris", 2) == {"a": 2}


@pytest.mark.parametrize(
    ("deployment", "route", "said"),
    [
        ("Iris/..", one_pool("h:1"), "no name of a deployment"),
        ("iris", one_pool(), "has no addresses"),
        ("iris", one_pool("unix//a b|0600"), "neither unix//PATH nor HOST:PORT"),
        ("iris", one_pool("unix/relative"), "'unix/relative'"),
        ("iris", one_pool("127.0.0.1"), "'127.0.0.1'"),
        ("iris", one_pool("127.0.0.1:0"), "'127.0.0.1:0'"),
        ("iris", one_pool("127.0.0.1:65536"), "'127.0.0.1:65536'"),
        ("iris", one_pool("{env.HOME}:80"), "HOST:PORT"),
        ("iris", canary(["h:1"], ["h:1"], 10), "in two pools"),
        ("iris", canary(["h:1"], ["h:2"], 0), "less than 1"),
    ],
)
def test_routes_that_lead_nowhere(deployment: str, route: Route, said: str) -> None:
    with pytest.raises(RouteInvalid, match=said):
        Router("/nowhere").set_route(deployment, route)


def test_all_that_is_wrong_is_said_at_once() -> None:
    names: tuple[PoolName, PoolName] = ("canary", "canary")
    route = Route(tuple((name, RoutePool(0, frozenset())) for name in names))
    assert len(wrong_with("?", route)) == 6


def test_no_router(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("constellation_dagster.resources.router._PATIENCE_SECONDS", 0.1)
    with pytest.raises(RouterUnavailable, match="does not answer"):
        Router(str(tmp_path / "none.sock")).routes()


def test_something_else_is_no_router(tmp_path: Path) -> None:
    with (
        small_server(tmp_path, "a") as address,
        pytest.raises(RouterUnavailable, match="no router of ours"),
    ):
        Router(address.removeprefix("unix/")).routes()
