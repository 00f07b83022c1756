"""Asking deployed models, as a client does and past the router."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from constellation_dagster.domain.canary import Agreement, compare, sample_request
from constellation_dagster.domain.packages import EXAMPLE, PackageManifest
from constellation_dagster.packaging.store import PackageStore
from constellation_dagster.runtimes.traffic import replica_client
from constellation_dagster.serving.example import differences, expected_outputs
from constellation_dagster.serving.integrity import read_manifest
from constellation_dagster.settings import Settings

# Longer than the front door tries, so that its word is heard.
ANSWER_SECONDS = 30.0
PROBES = 40


@dataclass(frozen=True)
class Example:
    """The example of a package, and what it is an example of."""

    manifest: PackageManifest
    request: Mapping[str, Any]
    response: Mapping[str, Any]


def read_example(settings: Settings, digest: str) -> Example:
    """The example of a package in the store.

    Raises:
        PackageError: There is no such package, or it is not what it was.
    """
    folder = PackageStore.of(settings).fetch(digest)
    manifest = PackageManifest.model_validate(read_manifest(folder, digest))
    example = json.loads((folder / EXAMPLE).read_bytes())
    return Example(manifest, example["request"], example["response"])


def front_door(settings: Settings, deployment: str) -> httpx.Client:
    """A client of an endpoint, as anybody with the anon key has it.

    Raises:
        SettingMissing: There is no front door, or no key for it.
    """
    _, key = settings.require_supabase()
    return httpx.Client(
        base_url=f"{settings.require_endpoints()}/{deployment}",
        headers={"apikey": key},
        timeout=ANSWER_SECONDS,
    )


def infer_path(deployment: str) -> str:
    """Where requests go, below an endpoint's address."""
    return f"/v2/models/{deployment}/infer"


def wrong_with_answer(answer: httpx.Response, example: Example) -> str:
    """How an answer to the example differs from the one in the package; empty when it does not."""
    if answer.is_error:
        return f"{answer.status_code}: {answer.text[:500]}"
    signature = example.manifest.signature
    try:
        found = expected_outputs(answer.json(), signature)
    except (ValueError, KeyError, TypeError) as error:
        return f"what it answers does not fit its signature: {error}"
    wanted = expected_outputs(example.response, signature)
    return "; ".join(differences(wanted, found, example.manifest.tolerance))


def latencies(client: httpx.Client, deployment: str, example: Example) -> list[float]:
    """How long an endpoint takes for its example, in milliseconds, one request after the other.

    Raises:
        httpx.HTTPError: It does not answer.
    """
    path = infer_path(deployment)
    body = json.dumps(example.request).encode()
    taken: list[float] = []
    for _ in range(PROBES):
        began = time.perf_counter()
        client.post(path, content=body).raise_for_status()
        taken.append((time.perf_counter() - began) * 1000)
    return taken


def agreement(deployment: str, champion: str, canary: str, example: Example) -> Agreement:
    """How a canary's replica answers a sample that one of the champion's answers.

    Args:
        deployment: The deployment's name.
        champion: Address of a champion's replica.
        canary: Address of a canary's replica.
        example: The champion's example, which the sample is made of.
    """
    body = json.dumps(sample_request(example.request, example.manifest.signature)).encode()
    path = infer_path(deployment)
    ours = _ask(champion, path, body)
    if isinstance(ours, str):
        return Agreement()
    theirs = _ask(canary, path, body)
    if isinstance(theirs, str):
        return Agreement(refusal=theirs)
    return compare(ours["outputs"], theirs["outputs"])


def _ask(address: str, path: str, body: bytes) -> dict[str, Any] | str:
    """The answer, or why there is none."""
    try:
        with replica_client(address, ANSWER_SECONDS) as client:
            answer = client.post(path, content=body)
    except httpx.HTTPError as error:
        return f"{type(error).__name__}: {error}"
    return f"{answer.status_code}: {answer.text[:500]}" if answer.is_error else answer.json()
