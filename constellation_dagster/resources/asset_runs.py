"""Asks a running Dagster to materialize one partition, and follows what becomes of it."""

import time
from collections.abc import Iterator, Mapping
from typing import Any

import httpx

from constellation_dagster.domain.errors import ConstellationError
from constellation_dagster.settings import get_settings

ANSWER_SECONDS = 60.0
POLL_SECONDS = 0.3

_LOCATIONS = """{ workspaceOrError { __typename ... on Workspace { locationEntries { name
  locationOrLoadError { ... on RepositoryLocation { repositories { name } } } } } } }"""

_ADD_PARTITION = """mutation Add($repository: RepositorySelector!, $set: String!, $key: String!) {
  addDynamicPartition(repositorySelector: $repository, partitionsDefName: $set, partitionKey: $key)
  { __typename ... on UnauthorizedError { message } ... on PythonError { message } } }"""

_LAUNCH = """mutation Launch($parameters: ExecutionParams!) {
  launchRun(executionParams: $parameters) { __typename ... on LaunchRunSuccess { run { runId } }
  ... on Error { message } } }"""

_FOLLOW = """query Follow($run: ID!, $after: String) {
  runOrError(runId: $run) { ... on Run { status } }
  logsForRun(runId: $run, afterCursor: $after) { ... on EventConnection { cursor hasMore events {
    __typename ... on LogMessageEvent { message level }
    ... on ExecutionStepFailureEvent { error { message errorChain { error { message } } } }
    ... on RunFailureEvent { message } } } } }"""

_FINAL = {"SUCCESS", "FAILURE", "CANCELED"}


class LaunchFailed(ConstellationError):
    """Dagster did not start a run, or the run failed."""


def launch_partition(asset: str, partitions: str, partition: str) -> str:
    """Starts a run that materializes one partition of an asset.

    Args:
        asset: Its key, of one part.
        partitions: Name of its dynamic partitions definition; the partition is added to it.
        partition: The partition.

    Returns:
        The run's id.

    Raises:
        SettingMissing: No webserver is known.
        LaunchFailed: It does not answer, or refuses.
    """
    location, repository = _location()
    selector = {"repositoryLocationName": location, "repositoryName": repository}
    # One that is there already is fine.
    _ask(_ADD_PARTITION, {"repository": selector, "set": partitions, "key": partition})
    parameters = {
        "selector": {**selector, "jobName": "__ASSET_JOB", "assetSelection": [{"path": [asset]}]},
        "runConfigData": {},
        "executionMetadata": {"tags": [{"key": "dagster/partition", "value": partition}]},
    }
    answer = _ask(_LAUNCH, {"parameters": parameters})["launchRun"]
    if answer["__typename"] != "LaunchRunSuccess":
        raise LaunchFailed(
            f"Dagster does not materialize {asset} of {partition}: "
            f"{answer.get('message', answer['__typename'])}"
        )
    return answer["run"]["runId"]


def follow_run(run: str) -> Iterator[str]:
    """The lines that a run logs, until its end.

    Raises:
        LaunchFailed: It failed or was cancelled; the message is why.
    """
    after: str | None = None
    failure = ""
    while True:
        answer = _ask(_FOLLOW, {"run": run, "after": after})
        logs = answer["logsForRun"]
        for event in logs["events"]:
            if event["__typename"] == "LogMessageEvent":
                yield event["message"]
            elif event["__typename"] == "ExecutionStepFailureEvent":
                failure = _told(event["error"])
        after = logs["cursor"]
        status = answer["runOrError"]["status"]
        if status in _FINAL and not logs["hasMore"]:
            break
        if not logs["hasMore"]:
            time.sleep(POLL_SECONDS)
    if status != "SUCCESS":
        raise LaunchFailed(failure or f"Run {run} ended with {status}. See it in the Dagster UI.")


def _told(error: Mapping[str, Any]) -> str:
    """What a step's failure says without Dagster's words around it."""
    return error["message"].strip().removeprefix("dagster._core.definitions.events.Failure: ")


def _location() -> tuple[str, str]:
    entries: list[dict[str, Any]] = _ask(_LOCATIONS, {})["workspaceOrError"]["locationEntries"]
    for entry in entries:
        loaded: dict[str, Any] = entry["locationOrLoadError"] or {}
        if repositories := loaded.get("repositories"):
            return entry["name"], repositories[0]["name"]
    raise LaunchFailed("Dagster has no definitions loaded. See `constellation status`.")


def _ask(query: str, variables: Mapping[str, object]) -> dict[str, Any]:
    url = f"{get_settings().require_dagster_webserver()}/graphql"
    try:
        response = httpx.post(
            url, json={"query": query, "variables": variables}, timeout=ANSWER_SECONDS
        )
        response.raise_for_status()
    except httpx.HTTPError as error:
        raise LaunchFailed(
            f"Dagster's webserver at {url} does not answer as it should "
            f"({type(error).__name__}: {error}). See `constellation status`."
        ) from error
    answer = response.json()
    if errors := answer.get("errors"):
        raise LaunchFailed("; ".join(str(error["message"]) for error in errors))
    return answer["data"]
