"""A canary beside its champion: what both have counted since it began."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from constellation_dagster.domain.canary import Traffic
from constellation_dagster.domain.deployments import DeploymentStatusSchema, PoolName
from constellation_dagster.domain.reconciliation import Present
from constellation_dagster.runtimes.reports import pools_of
from constellation_dagster.runtimes.traffic import from_json, measure


@dataclass(frozen=True)
class Trial:
    """What there is to judge a canary by.

    Attributes:
        seconds: How long it has had traffic.
        traffic: What each pool has counted since it began.
        addresses: Where the replicas of each pool answer.
    """

    seconds: float
    traffic: Mapping[PoolName, Traffic]
    addresses: Mapping[PoolName, Sequence[str]]


def look_at_trial(row: DeploymentStatusSchema, replicas: Sequence[Present]) -> Trial | None:
    """Measures a deployment's pools, if a canary has traffic.

    Args:
        row: The deployment; it says what had been counted before.
        replicas: Its replicas; those that do not answer are left out.
    """
    canary = row.observed.get("canary")
    if row.canary is None or canary is None:
        return None
    counted = measure(p.address for p in replicas if p.state == "ready")
    traffic: dict[PoolName, Traffic] = {}
    addresses: dict[PoolName, list[str]] = {}
    for pool in pools_of(row):
        members = [
            p
            for p in replicas
            if (p.runtime, p.replica.spec_hash) == (pool.runtime, pool.spec_hash)
            and p.address in counted
        ]
        total = Traffic()
        for p in members:
            before = canary["baseline"].get(p.id)
            now = counted[p.address]
            total = total.plus(now.since(from_json(before)) if before else now)
        traffic[pool.name] = total
        addresses[pool.name] = [p.address for p in members]
    if "champion" not in traffic or "canary" not in traffic:
        return None
    return Trial(time.time() - canary["since"], traffic, addresses)
