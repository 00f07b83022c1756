"""The Dagster webserver's GraphQL, as far as publishing needs it."""

from typing import Any

import dagster as dg
import httpx

from constellation_dagster.domain.errors import ConstellationError
from constellation_dagster.settings import get_settings

# A refresh recompiles and loads every published pipeline.
REFRESH_SECONDS = 120.0

_REFRESH = """
mutation Refresh($location: String!, $key: String!) {
  refreshComponentState(locationName: $location, defsStateKey: $key) {
    __typename
    ... on RefreshComponentStateError { message }
    ... on PythonError { message }
    ... on UnauthorizedError { message }
  }
}
"""


class RefreshFailed(ConstellationError):
    """The code location did not take up the new state."""


class WebserverResource(dg.ConfigurableResource[Any]):
    """The webserver that serves this location; `CONSTELLATION_DAGSTER_URL` says where it is."""

    def refresh_component_state(self, location: str, key: str) -> None:
        """Makes a state-backed component fetch its state anew and serve what follows from it.

        Args:
            location: Name of the code location in the workspace.
            key: The component's state key.

        Raises:
            RefreshFailed: The webserver or the code location refused, or did not answer.
        """
        url = f"{get_settings().require_dagster_webserver()}/graphql"
        variables = {"location": location, "key": key}
        try:
            response = httpx.post(
                url, json={"query": _REFRESH, "variables": variables}, timeout=REFRESH_SECONDS
            )
            response.raise_for_status()
        except httpx.HTTPError as error:
            raise RefreshFailed(
                f"Dagster's webserver at {url} does not answer as it should "
                f"({type(error).__name__}: {error}). See `constellation status`."
            ) from error
        answer = response.json()
        if errors := answer.get("errors"):
            raise RefreshFailed("; ".join(str(error["message"]) for error in errors))
        result = answer["data"]["refreshComponentState"]
        if result["__typename"] != "RefreshComponentStateSuccess":
            raise RefreshFailed(
                f"Code location {location!r} did not take up its new state: "
                f"{result.get('message', result['__typename'])}"
            )
