"""Where the requests of each deployment go: the routes of the inner Caddy, changed while it runs.

Each deployment has a route of its own. A change is made on the condition that the list of routes is
still as it was read, so that two who change different deployments at once never undo each other's
work.
"""

import random
import ssl
import time
from collections.abc import Callable
from typing import Any, TypeAlias

import httpx

from constellation_dagster.domain.errors import ConstellationError
from constellation_dagster.domain.reconciliation import Route
from constellation_dagster.resources.caddy_routes import (
    caddy_route,
    deployment_of,
    read_route,
    wrong_with,
)

# The list in local/caddy/router.json.
_ROUTES = "/id/endpoints/handle/0/routes"
# The router closes its connections at each change, and is back within seconds when it was killed.
_PATIENCE_SECONDS = 10.0
_REQUEST_SECONDS = 10.0

# What to send, given the routes that there are; None when nothing has to be changed.
_Change: TypeAlias = Callable[[list[Any]], tuple[str, str, Any] | None]


class RouterUnavailable(ConstellationError):
    """The router does not answer, or is not one of ours."""


class RouteInvalid(ConstellationError):
    """A route that would lead nowhere; the message lists all that is wrong with it."""


class Router:
    """Client of the router's admin API. Each method may be called again after a failure."""

    def __init__(self, admin: str) -> None:
        """A router.

        Args:
            admin: Path of a unix socket, or a URL (`Settings.require_router_admin`).
        """
        self._admin = admin

    def routes(self) -> dict[str, Route]:
        """Routes by deployment; one that is not as `set_route` makes it is left out: set it again.

        Raises:
            RouterUnavailable: The router does not answer.
        """
        found: dict[str, Route] = {}

        def look(routes: list[Any]) -> None:
            read = {deployment_of(route): read_route(route) for route in routes}
            found.update({name: route for name, route in read.items() if name and route})

        self._change(look)
        return found

    def set_route(self, deployment: str, route: Route) -> None:
        """Sends a deployment's requests where a route says, from now on.

        Args:
            deployment: Its name.
            route: Where to; without pools, requests get 503 and its message.

        Raises:
            RouteInvalid: The route would lead nowhere.
            RouterUnavailable: The router does not answer.
        """
        problems = wrong_with(deployment, route)
        if problems:
            raise RouteInvalid(f"The route of {deployment!r} was not set: {'; '.join(problems)}.")
        wanted = caddy_route(deployment, route)

        def put(routes: list[Any]) -> tuple[str, str, Any] | None:
            number = _number(routes, deployment)
            if number is None:
                return "POST", _ROUTES, wanted
            return ("PATCH", f"{_ROUTES}/{number}", wanted) if routes[number] != wanted else None

        self._change(put)

    def remove_route(self, deployment: str) -> None:
        """Forgets a deployment, so that its requests get 404; one that is not there is fine.

        Raises:
            RouterUnavailable: The router does not answer.
        """

        def remove(routes: list[Any]) -> tuple[str, str, Any] | None:
            number = _number(routes, deployment)
            return ("DELETE", f"{_ROUTES}/{number}", None) if number is not None else None

        self._change(remove)

    def _change(self, change: _Change) -> None:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        with self._client() as client:
            while not self._changed(client, change, last=time.monotonic() > deadline):
                # Others may be waiting for the same moment.
                time.sleep(random.uniform(0.005, 0.05))  # noqa: S311

    def _changed(self, client: httpx.Client, change: _Change, *, last: bool) -> bool:
        """One attempt; False when it has to be made again, with what there is then."""
        try:
            listed = client.get(_ROUTES)
            if listed.is_error or "Etag" not in listed.headers:
                raise RouterUnavailable(
                    f"What answers at {self._admin!r} is no router of ours: {listed.text.strip()}"
                )
            routes: list[Any] = listed.json()
            request = change(routes)
            if request is None:
                return True
            method, path, body = request
            headers = {"If-Match": listed.headers["Etag"]}
            answer = client.request(method, path, json=body, headers=headers)
        except httpx.TransportError as error:
            if last:
                raise RouterUnavailable(
                    f"The router at {self._admin!r} does not answer ({error}). `constellation "
                    "status` says whether it runs."
                ) from error
            return False  # whether it was done is seen when the routes are read again
        if answer.status_code == 412 and not last:
            return False
        if answer.is_error:
            raise RouterUnavailable(
                f"The router at {self._admin!r} refuses a route: {answer.text.strip()}"
            )
        return True

    def _client(self) -> httpx.Client:
        if self._admin.startswith(("http://", "https://")):
            return httpx.Client(base_url=self._admin, timeout=_REQUEST_SECONDS)
        # Nothing is encrypted on a socket, and reading the certificates takes longer than a change.
        unused = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        transport = httpx.HTTPTransport(uds=self._admin, verify=unused)
        return httpx.Client(transport=transport, base_url="http://router", timeout=_REQUEST_SECONDS)


def _number(routes: list[Any], deployment: str) -> int | None:
    names = [deployment_of(route) for route in routes]
    return names.index(deployment) if deployment in names else None
