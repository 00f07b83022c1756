"""A deployment's route in the words of Caddy's configuration, and back."""

import json
import math
import re
from typing import Any, get_args

from constellation_dagster.domain.deployments import PoolName
from constellation_dagster.domain.packages import NAME_PATTERN
from constellation_dagster.domain.reconciliation import Route, RoutePool

_ID_PREFIX = "endpoint-"
_NAME = re.compile(NAME_PATTERN)
# Caddy takes any text for an address, and replaces what stands in braces.
_UNIX = re.compile(r"unix//[^\n{}|]+")
_TCP = re.compile(r"[A-Za-z0-9.-]+:(\d{1,5})")

# How much of a request is kept, to be sent again; more is passed on and sent once.
_BUFFERED_BYTES = 64 * 2**20
# Waits for a replica that can be reached. What a replica has got and not answered is not sent again
# from here: the front door does that, which can count (local/caddy/shared.Caddyfile).
_RETRIED = {"try_duration": "10s", "try_interval": "20ms"}
_HEALTH = {
    "active": {"uri": "/v2/health/ready", "interval": "500ms", "timeout": "2s", "fails": 2},
    "passive": {"fail_duration": "2s", "max_fails": 1},
}
_TRANSPORT = {
    "protocol": "http",
    "dial_timeout": "500ms",
    # A server answers 504 long before.
    "response_header_timeout": "120s",
    # Shorter than servers keep theirs.
    "keep_alive": {"idle_timeout": "2s", "max_idle_conns_per_host": 256},
}


def deployment_of(found: Any) -> str | None:
    """The deployment that a route of Caddy's is for, if it is for one."""
    name = str(found.get("@id", ""))
    return name.removeprefix(_ID_PREFIX) if name.startswith(_ID_PREFIX) else None


def caddy_route(deployment: str, route: Route) -> dict[str, Any]:
    """A route as Caddy wants it; `wrong_with` has found nothing."""
    base = f"/endpoints/{deployment}"
    return {
        "@id": f"{_ID_PREFIX}{deployment}",
        "match": [{"path": [base, f"{base}/*"]}],
        "handle": [
            # Nothing reads it but `read_route`.
            {"handler": "vars", "constellation": _told(route)},
            {"handler": "rewrite", "strip_path_prefix": base},
            _spread(route) if route.pools else _unavailable(deployment, route.message),
        ],
        "terminal": True,
    }


def read_route(found: Any) -> Route | None:
    """What `caddy_route` was given, or None when the route is not as it made it."""
    deployment = deployment_of(found)
    try:
        told = found["handle"][0]["constellation"]
        pools: tuple[tuple[PoolName, RoutePool], ...] = tuple(
            (pool["name"], RoutePool(pool["weight"], frozenset(pool["addresses"])))
            for pool in told["pools"]
        )
        route = Route(pools, told["message"])
    except (LookupError, TypeError):
        return None
    same = deployment is not None and found == caddy_route(deployment, route)
    return route if same else None


def wrong_with(deployment: str, route: Route) -> list[str]:
    """All the reasons why a route would lead nowhere; none when it is right."""
    problems: list[str] = []
    if not _NAME.fullmatch(deployment):
        problems.append(f"{deployment!r} is no name of a deployment")
    names = [name for name, _ in route.pools]
    problems += [f"there is no pool {name!r}" for name in names if name not in get_args(PoolName)]
    if len(set(names)) < len(names):
        problems.append("a pool is named twice")
    for name, pool in route.pools:
        if not pool.addresses:
            problems.append(f"pool {name!r} has no addresses")
        if pool.weight < 1:
            problems.append(f"the weight of pool {name!r} is {pool.weight}, less than 1")
        problems += [
            f"pool {name!r} has {address!r}, which is neither unix//PATH nor HOST:PORT"
            for address in sorted(pool.addresses)
            if not _is_address(address)
        ]
    addresses = [address for _, pool in route.pools for address in pool.addresses]
    if len(set(addresses)) < len(addresses):
        problems.append("an address is in two pools")
    return problems


def weights(route: Route) -> list[int]:
    """The weight of each address (pool by pool, each sorted), as small as they can be.

    A pool gets its part of the requests, however many replicas share it.
    """
    common = math.lcm(*(len(pool.addresses) for _, pool in route.pools))
    each = [pool.weight * common // len(pool.addresses) for _, pool in route.pools]
    smallest = math.gcd(*each)
    return [
        weight // smallest
        for weight, (_, pool) in zip(each, route.pools, strict=True)
        for _ in pool.addresses
    ]


def _spread(route: Route) -> dict[str, Any]:
    policy: dict[str, Any] = {"policy": "round_robin"}
    if len(route.pools) > 1:
        policy = {"policy": "weighted_round_robin", "weights": weights(route)}
    return {
        "handler": "reverse_proxy",
        "upstreams": [
            {"dial": address} for _, pool in route.pools for address in sorted(pool.addresses)
        ],
        "load_balancing": {"selection_policy": policy, **_RETRIED},
        "health_checks": _HEALTH,
        "transport": _TRANSPORT,
        "request_buffers": _BUFFERED_BYTES,
    }


def _unavailable(deployment: str, message: str) -> dict[str, Any]:
    told = message or f"Deployment {deployment!r} has no replicas now."
    # Without braces, in which Caddy would look for the names of things to put there.
    body = json.dumps(told).replace("{", "\\u007b").replace("}", "\\u007d")
    return {
        "handler": "static_response",
        "status_code": 503,
        "headers": {"Content-Type": ["application/json"], "Retry-After": ["5"]},
        "body": f'{{"error":{body}}}',
    }


def _told(route: Route) -> dict[str, Any]:
    pools = [
        {"name": name, "weight": pool.weight, "addresses": sorted(pool.addresses)}
        for name, pool in route.pools
    ]
    return {"pools": pools, "message": route.message}


def _is_address(address: str) -> bool:
    tcp = _TCP.fullmatch(address)
    return bool(_UNIX.fullmatch(address)) or bool(tcp and 0 < int(tcp[1]) < 65536)
