"""What is written into a row about what runs."""

import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from constellation_dagster.domain.changes import Pool
from constellation_dagster.domain.deployments import DeploymentStatusSchema
from constellation_dagster.domain.reconciliation import Observed
from constellation_dagster.runtimes.aims import Aim
from constellation_dagster.runtimes.traffic import measure, to_json


def observed_json(
    row: DeploymentStatusSchema | None, aim: Aim, observed: Observed
) -> dict[str, Any]:
    """What there is, as the row's column `observed` has it.

    Args:
        row: The row as it was; what it knows about a canary's beginning is kept.
        aim: What the replicas are there for.
        observed: What there is.
    """
    parts = {(pool.runtime, pool.spec_hash): pool for pool in aim.desired.pools}
    champion = aim.champion
    told: dict[str, Any] = {
        "package": champion.package if champion else None,
        "digest": champion.digest if champion else None,
        "image": champion.image if champion else None,
        "runtime": champion.runtime if champion else None,
        # What the replicas were compared with, so that drift is seen without resolving anything.
        "pools": [asdict(pool) for pool in aim.desired.pools],
        "message": aim.desired.message,
        "replicas": [
            {
                "id": p.id,
                "pool": _part(parts.get((p.runtime, p.replica.spec_hash))),
                "runtime": p.runtime,
                "state": p.state,
                "address": p.address,
                "restarts": p.replica.restarts,
                "reason": p.replica.reason,
            }
            for p in observed.replicas
        ],
        "traffic": [
            {
                "pool": pool.name,
                "package": revision.package,
                "percent": pool.weight,
                "replicas": pool.replicas,
            }
            for pool, revision in aim.revisions.items()
        ],
    }
    if canary := next((pool for pool in aim.desired.pools if pool.name == "canary"), None):
        told["canary"] = _canary(row, aim, canary, observed)
    return told


def pools_of(row: DeploymentStatusSchema) -> tuple[Pool, ...]:
    """The pools that the reconciler has compared with last."""
    return tuple(Pool(**pool) for pool in row.observed.get("pools", ()))


def _part(pool: Pool | None) -> str | None:
    return pool.name if pool else None


def _canary(
    row: DeploymentStatusSchema | None, aim: Aim, canary: Pool, observed: Observed
) -> Mapping[str, Any]:
    """Since when it has traffic, and what had been counted by then."""
    revision = aim.revisions[canary]
    kept = row.observed.get("canary") if row else None
    if kept and kept["spec_hash"] == canary.spec_hash:
        return kept
    by_address = {p.address: p.id for p in observed.replicas}
    counted = measure(by_address)
    return {
        "package": revision.package,
        "digest": revision.digest,
        "spec_hash": canary.spec_hash,
        "since": time.time(),
        "baseline": {by_address[address]: to_json(t) for address, t in counted.items()},
    }
