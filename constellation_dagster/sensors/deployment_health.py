"""Deployments that are not as they were left, and canaries that can be judged → runs."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

from constellation_dagster.assets.deployments import DEPLOYMENTS_KEY
from constellation_dagster.domain.canary import worth_judging
from constellation_dagster.domain.changes import Route
from constellation_dagster.domain.deployments import CANARY_ROLLED_BACK, DeploymentStatusSchema
from constellation_dagster.domain.errors import ConstellationError
from constellation_dagster.domain.reconciliation import Desired, Observed, Present, next_phase
from constellation_dagster.domain.replicas import RuntimeName, RuntimeUnavailable
from constellation_dagster.domain.states import DeploymentStatus
from constellation_dagster.resources.deployment_rows import DeploymentRows, Report
from constellation_dagster.resources.rest import SupabaseError
from constellation_dagster.resources.supabase import SupabaseResource
from constellation_dagster.runtimes.installation import open_router, open_runtimes
from constellation_dagster.runtimes.reports import pools_of
from constellation_dagster.runtimes.trial import look_at_trial
from constellation_dagster.sensors.deployments import (
    can_remove,
    can_start,
    removal,
    request,
    with_partitions,
)
from constellation_dagster.sensors.feed import Due
from constellation_dagster.settings import get_settings

# One tick looks several times, since the daemon starts none more often than each 5 s.
WATCH_SECONDS = 20.0
LOOK_SECONDS = 2.0
# A replica that its runtime starts again needs no run.
PATIENCE_SECONDS = 4.0
# Repairs that failed are tried again after this long, doubled with each attempt.
RETRY_SECONDS, LONGEST_RETRY_SECONDS = 30.0, 900.0

_S = DeploymentStatus


@dataclass(frozen=True)
class _Scene:
    """What there is of all deployments at one moment.

    Attributes:
        rows: Those that somebody wants.
        replicas: All replicas, of the runtimes that answer.
        routes: By deployment.
        silent: Runtimes that should have replicas and do not answer.
    """

    rows: Sequence[DeploymentStatusSchema]
    replicas: Sequence[Present]
    routes: Mapping[str, Route]
    silent: frozenset[RuntimeName]

    @classmethod
    def look(cls, rows: Sequence[DeploymentStatusSchema]) -> "_Scene":
        settings = get_settings()
        # An engine that nothing needs is left alone.
        asked: set[RuntimeName] = {"process"}
        asked.update(pool.runtime for row in rows for pool in pools_of(row))
        replicas: list[Present] = []
        silent: set[RuntimeName] = set()
        for name, runtime in open_runtimes(settings).items():
            if name not in asked:
                continue
            try:
                replicas += [Present(name, replica) for replica in runtime.replicas()]
            except RuntimeUnavailable:
                silent.add(name)
        return cls(rows, replicas, open_router(settings).routes(), frozenset(silent))

    def of(self, name: str) -> tuple[Present, ...]:
        """The replicas of one deployment."""
        return tuple(p for p in self.replicas if p.replica.deployment == name)

    def is_off(self, row: DeploymentStatusSchema) -> bool:
        """Whether something is missing, broken or too much."""
        pools = pools_of(row)
        if any(pool.runtime in self.silent for pool in pools):
            return True
        desired = Desired(row.name, pools, message=row.observed.get("message", ""))
        observed = Observed(self.of(row.name), self.routes.get(row.name))
        return next_phase(desired, observed) is not None

    def is_whole(self, row: DeploymentStatusSchema) -> bool:
        """Whether as many replicas as are wanted can answer."""
        ready = [(p.runtime, p.replica.spec_hash) for p in self.of(row.name) if p.state == "ready"]
        return all(
            ready.count((pool.runtime, pool.spec_hash)) >= pool.replicas for pool in pools_of(row)
        )

    def may_recover(self, row: DeploymentStatusSchema) -> bool:
        """Whether what is missing may be starting again by itself."""
        alive = [p for p in self.of(row.name) if p.state != "dead"]
        return len(alive) >= sum(pool.replicas for pool in pools_of(row))

    def strays(self) -> list[str]:
        """Deployments that nobody wants, but that have replicas or a route."""
        found = {p.replica.deployment for p in self.replicas} | self.routes.keys()
        return sorted(found - {row.name for row in self.rows})


@dg.sensor(
    name="deployment_health",
    description="Repairs deployments: replaces what is dead or sick, makes anew what somebody "
    "removed, and looks at canaries.",
    asset_selection=dg.AssetSelection.assets(DEPLOYMENTS_KEY),
    minimum_interval_seconds=1,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def deployment_health(
    context: dg.SensorEvaluationContext, supabase: SupabaseResource
) -> dg.SensorResult | dg.SkipReason:
    """Looks until something is due, or its time is over."""
    if not supabase.configured or get_settings().router_admin is None:
        return dg.SkipReason("No stack that deploys: run `constellation up`.")
    deadline = time.monotonic() + WATCH_SECONDS
    off_since: dict[str, float] = {}
    while True:
        try:
            due = _due(context, supabase.deployments, off_since)
        except ConstellationError as error:
            return dg.SkipReason(str(error))
        if due:
            return dg.SensorResult(
                run_requests=[item for item in due if isinstance(item, dg.RunRequest)],
                dynamic_partitions_requests=[
                    item for item in due if isinstance(item, dg.AddDynamicPartitionsRequest)
                ],
            )
        if time.monotonic() > deadline:
            return dg.SkipReason("All deployments are as they should be, or are being seen to.")
        time.sleep(LOOK_SECONDS)


def _due(
    context: dg.SensorEvaluationContext, rows: DeploymentRows, off_since: dict[str, float]
) -> list[Due]:
    rows.delete_expired()
    scene = _Scene.look(rows.all())
    requests = [removal(name) for name in scene.strays() if can_remove(context, name)]
    for row in scene.rows:
        if row.generation != row.observed_generation:
            continue  # `deployment_changes` sees to it
        off = scene.is_off(row)
        _mark(rows, row, scene, off=off)
        if not off:
            off_since.pop(row.name, None)
        since = off_since.setdefault(row.name, time.monotonic()) if off else 0.0
        patient = off and scene.may_recover(row) and time.monotonic() - since < PATIENCE_SECONDS
        if patient or _retry_later(row):
            continue
        if (off or _unsettled(row) or _canary_due(row, scene)) and can_start(context, row):
            requests.append(request(row))
    return with_partitions(context, requests)


def _unsettled(row: DeploymentStatusSchema) -> bool:
    """Whether the row still says what was true in the middle of a change."""
    return row.status not in (_S.HEALTHY, _S.DEGRADED, _S.STOPPED) and not row.given_up


def _retry_later(row: DeploymentStatusSchema) -> bool:
    """Whether the last repair has failed not long ago."""
    error: dict[str, Any] = row.error or {}
    if "attempts" not in error:
        return False
    pause = min(LONGEST_RETRY_SECONDS, RETRY_SECONDS * 2 ** (error["attempts"] - 1))
    return time.time() - error["at"] < pause


def _mark(rows: DeploymentRows, row: DeploymentStatusSchema, scene: _Scene, *, off: bool) -> None:
    """Says at once that not all is well, or is again: that needs no run."""
    whole = scene.is_whole(row)
    if row.status == _S.HEALTHY and not whole:
        report = Report(status=_S.DEGRADED)
    elif row.status == _S.DEGRADED and whole and not off:
        kept = row.error if (row.error or {}).get("code") == CANARY_ROLLED_BACK else None
        report = Report(status=_S.HEALTHY, error=kept)
    else:
        return
    try:
        # With the token that is there: whoever holds the lock now has a greater one.
        rows.report(row.id, row.fence, report)
    except SupabaseError:
        return  # somebody has written since; the next look sees what


def _canary_due(row: DeploymentStatusSchema, scene: _Scene) -> bool:
    trial = look_at_trial(row, scene.of(row.name))
    return trial is not None and worth_judging(trial.traffic["canary"], trial.seconds)
