"""What replicas have counted: their `/metrics`, read where they listen."""

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx

from constellation_dagster.domain.canary import Traffic

_SECONDS = 2.0
_READERS = 8
_REQUESTS = "constellation_serving_requests"
_LATENCY = "constellation_serving_request_seconds"
# Answers to questions about the server itself are no traffic.
_ROUTES = ("/infer", "/invocations")


def replica_client(address: str, seconds: float = _SECONDS) -> httpx.Client:
    """A client of one replica, past the router.

    Args:
        address: Where it listens: `unix//path` or `host:port`.
        seconds: How long it may take to answer.
    """
    unix = address.startswith("unix/")
    transport = httpx.HTTPTransport(uds=address.removeprefix("unix/") if unix else None)
    base_url = "http://replica" if unix else f"http://{address}"
    return httpx.Client(transport=transport, base_url=base_url, timeout=seconds)


def measure(addresses: Iterable[str]) -> dict[str, Traffic]:
    """What each replica has counted since it started; those that do not answer are left out."""
    wanted = list(addresses)
    if not wanted:
        return {}
    with ThreadPoolExecutor(min(_READERS, len(wanted))) as pool:
        found = pool.map(_read, wanted)
    return {address: traffic for address, traffic in zip(wanted, found, strict=True) if traffic}


def parse(text: str) -> Traffic:
    """Traffic as the server's metrics tell it."""
    from prometheus_client.parser import text_string_to_metric_families

    requests, errors = 0, 0
    buckets: list[tuple[float, int]] = []
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if family.name == _REQUESTS and sample.labels.get("route", "").endswith(_ROUTES):
                requests += int(sample.value)
                errors += int(sample.value) if sample.labels["code"].startswith("5") else 0
            elif sample.name == f"{_LATENCY}_bucket":
                buckets.append((float(sample.labels["le"]), int(sample.value)))
    return Traffic(requests, errors, tuple(buckets))


def to_json(traffic: Traffic) -> dict[str, Any]:
    """As it is kept in a row; JSON has no infinity."""
    return {
        "requests": traffic.requests,
        "errors": traffic.errors,
        "buckets": [[str(bound), count] for bound, count in traffic.buckets],
    }


def from_json(kept: Mapping[str, Any]) -> Traffic:
    """The other way round."""
    buckets = tuple((float(bound), int(count)) for bound, count in kept["buckets"])
    return Traffic(kept["requests"], kept["errors"], buckets)


def _read(address: str) -> Traffic | None:
    try:
        with replica_client(address) as client:
            return parse(client.get("/metrics").raise_for_status().text)
    except httpx.HTTPError:
        return None
