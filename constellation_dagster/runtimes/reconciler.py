"""Makes a deployment what its row says: looks, does the next thing, looks again.

It may be killed at any point. Nothing is remembered between two steps that is not in the row, in
a runtime or in the router, and whoever comes next goes on from there.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from constellation_dagster.domain.changes import Phase, Step, Work
from constellation_dagster.domain.deployments import (
    CANARY_ROLLED_BACK,
    NOT_READY,
    PACKAGE_REFUSED,
    REPAIR_FAILED,
    UNAVAILABLE,
    DeploymentStatusSchema,
    ResolvedPackage,
)
from constellation_dagster.domain.errors import ConstellationError
from constellation_dagster.domain.packages import PackageError
from constellation_dagster.domain.reconciliation import Observed, next_phase
from constellation_dagster.domain.replicas import Runtime, RuntimeName, RuntimeUnavailable
from constellation_dagster.domain.states import DeploymentStatus
from constellation_dagster.images.errors import ImageBuildFailed
from constellation_dagster.resources.deployment_rows import (
    DeploymentRows,
    PackageNotReady,
    Report,
)
from constellation_dagster.resources.locks import FencedLock
from constellation_dagster.resources.router import Router, RouterUnavailable
from constellation_dagster.runtimes.aims import Aim, aim_at
from constellation_dagster.runtimes.observing import observe, present_replicas
from constellation_dagster.runtimes.reports import observed_json
from constellation_dagster.runtimes.steps import NotReady, Steps

# An attempt that is under way elsewhere, such as a run for the generation before. It gives way.
LOCK_SECONDS = 90.0
# While replicas start, so often it is looked whether they are still wanted.
GLANCE_SECONDS = 1.0
# A change takes five rounds, with a rollback ten; more than this is no progress.
ROUNDS = 40

_S = DeploymentStatus


class DeploymentFailed(ConstellationError):
    """A deployment is not what its row says, and another attempt at once would not change that."""


class _Superseded(ConstellationError):
    """Something else is wanted by now."""


@dataclass(frozen=True)
class Outcome:
    """How far a deployment has come.

    Attributes:
        row: The row as it is, or None when there is none.
        aim: What was aimed at.
        observed: What there is.
        done: Whether nothing is left to do.
    """

    row: DeploymentStatusSchema | None
    aim: Aim
    observed: Observed
    done: bool


class Reconciler:
    """Brings deployments to what their rows say, one attempt at a time each."""

    def __init__(
        self,
        *,
        rows: DeploymentRows,
        runtimes: Mapping[RuntimeName, Runtime],
        router: Router,
        redis_url: str,
        endpoints_url: str,
        image_of: Callable[[ResolvedPackage], str],
        log: Callable[[str], object],
        after_step: Callable[[Step], object] = lambda _step: None,
    ) -> None:
        """A reconciler.

        Args:
            rows: What is wanted, and where it is told what is.
            runtimes: What runs replicas.
            router: Where requests go.
            redis_url: The server of the locks.
            endpoints_url: Base address of endpoints.
            image_of: Gives a package's image, building it where there is none.
            log: Gets a line for each step.
            after_step: Called after each step; tests end the reconciler there.
        """
        self._rows = rows
        self._runtimes = runtimes
        self._router = router
        self._redis_url = redis_url
        self._endpoints_url = endpoints_url.rstrip("/")
        self._image_of = image_of
        self._log = log
        self._after_step = after_step
        self._steps = Steps(runtimes, router, rows.secrets)

    def reconcile(self, name: str, until: Phase = Phase.REMOVE) -> Outcome:
        """Does what is due, up to and including a phase.

        Args:
            name: The deployment; one without a row is taken away.
            until: The last phase to go through.

        Returns:
            What there is then. The row says it too, once nothing is left to do.

        Raises:
            DeploymentFailed: A replica of what was healthy before cannot be replaced, or a
                package is not there yet; the row says so.
            ConstellationError: Something that is needed does not answer.
        """
        with FencedLock(self._redis_url, f"deployment:{name}", timeout=LOCK_SECONDS) as lock:
            for _ in range(ROUNDS):
                row = self._rows.by_name(name)
                outcome = self._advance(name, row, lock, until)
                if outcome is not None:
                    return outcome
        raise DeploymentFailed(f"Deployment {name!r} does not settle: it goes on changing.")

    def _advance(
        self, name: str, row: DeploymentStatusSchema | None, lock: FencedLock, until: Phase
    ) -> Outcome | None:
        """One round; None when another one has to follow."""
        try:
            self._announce(row, lock)
            aim = aim_at(name, row, self._rows, self._image_of)
            needed: set[RuntimeName] = {pool.runtime for pool in aim.revisions}
            observed = observe(self._runtimes, self._router, name, needed)
            work = next_phase(aim.desired, observed)
            if work is None:
                row = self._settle(row, aim, observed, lock)
                return Outcome(row, aim, observed, done=True)
            if work.phase > until:
                return Outcome(row, aim, observed, done=False)
            self._announce_repair(row, aim, work, lock)
            try:
                self._execute(work, aim, row, lock)
            except NotReady as error:
                self._not_ready(row, aim, error, lock)
            except _Superseded:
                self._log(f"{name}: something else is wanted by now.")
        except (PackageNotReady, PackageError, ImageBuildFailed) as error:
            self._refused(row, error, lock)
        except (RuntimeUnavailable, RouterUnavailable) as error:
            self._unavailable(row, error, lock)
            raise
        return None

    def _execute(
        self, work: Work, aim: Aim, row: DeploymentStatusSchema | None, lock: FencedLock
    ) -> None:
        name = aim.desired.deployment
        deployment = row.id if row else None
        for step in work.steps:
            lock.check()
            self._log(f"{name}: {step}")
            check = self._still_wanted(name, row, lock)
            self._steps.do(step, name, deployment, aim.revisions, check)
            self._after_step(step)

    def _still_wanted(
        self, name: str, row: DeploymentStatusSchema | None, lock: FencedLock
    ) -> Callable[[], None]:
        """What is called again and again while replicas start."""
        glanced = time.monotonic()

        def check() -> None:
            nonlocal glanced
            lock.check()
            if time.monotonic() - glanced < GLANCE_SECONDS:
                return
            glanced = time.monotonic()
            present = self._rows.by_name(name)
            if present is None or row is None or present.generation != row.generation:
                raise _Superseded

        return check

    # What is told while it goes on

    def _announce(self, row: DeploymentStatusSchema | None, lock: FencedLock) -> None:
        """Says that something is under way: before images are built, which takes a while."""
        if row is None or row.given_up or not row.wants_replicas or row.status == _S.STARTING:
            return
        settled = row.status in (_S.HEALTHY, _S.DEGRADED)
        if row.observed_generation != row.generation or not settled:
            self._tell(row, lock, Report(status=_S.STARTING))

    def _announce_repair(
        self, row: DeploymentStatusSchema | None, aim: Aim, work: Work, lock: FencedLock
    ) -> None:
        if row is None or aim.fallback or row.observed_generation != row.generation:
            return
        if row.status == _S.HEALTHY and work.phase in (Phase.PROTECT, Phase.START):
            self._tell(row, lock, Report(status=_S.DEGRADED))

    # What is told of how it ends

    def _settle(
        self,
        row: DeploymentStatusSchema | None,
        aim: Aim,
        observed: Observed,
        lock: FencedLock,
    ) -> DeploymentStatusSchema | None:
        """Says how it is, now that nothing is left to do."""
        if row is None:
            return None
        report = Report(
            observed=observed_json(row, aim, observed), url=f"{self._endpoints_url}/{row.name}"
        )
        if not aim.fallback:
            error = row.error or {}
            # It says why there is no canary any more, until something else is wanted.
            kept = error.get("code") == CANARY_ROLLED_BACK
            kept = kept and error.get("generation") == row.generation
            report = report.model_copy(
                update={
                    "status": _S.HEALTHY if row.wants_replicas else _S.STOPPED,
                    "generation": row.generation,
                    "error": error if kept else None,
                    "revision": aim.champion,
                }
            )
        self._tell(row, lock, report)
        return self._rows.by_name(row.name)

    def _not_ready(
        self, row: DeploymentStatusSchema | None, aim: Aim, error: NotReady, lock: FencedLock
    ) -> None:
        """A canary ends, a new generation is given up; what was healthy is repaired later."""
        assert row is not None  # without one nothing is started
        self._log(f"{row.name}: {error}")
        if error.pool.name == "canary":
            self._rows.end_canary(row.id, f"The canary did not start. {error}", row.generation)
        elif aim.untried:
            goes_on = "The previous revision goes on." if aim.proven else "Nothing runs."
            self._log(f"{row.name}: generation {row.generation} has failed. {goes_on}")
            self._tell(row, lock, _failure(row, NOT_READY, error))
        else:
            self._repair_failed(row, aim, error, lock)

    def _repair_failed(
        self, row: DeploymentStatusSchema, aim: Aim, error: NotReady, lock: FencedLock
    ) -> None:
        for p in present_replicas(self._runtimes, row.name):
            if p.state != "ready" and p.replica.spec_hash == error.pool.spec_hash:
                self._log(f"{row.name}: stop replica {p.id}: it did not become ready")
                self._runtimes[p.runtime].stop(p.id, 0)
        observed = observe(self._runtimes, self._router, row.name)
        told = observed_json(row, aim, observed)
        if aim.fallback:
            self._tell(row, lock, Report(observed=told))
        else:
            answering = any(p.state == "ready" for p in observed.replicas)
            attempts = (row.error or {}).get("attempts", 0) + 1
            report = _failure(row, REPAIR_FAILED, error, attempts=attempts, at=time.time())
            status = _S.DEGRADED if answering else _S.FAILED
            self._tell(row, lock, report.model_copy(update={"status": status, "observed": told}))
        raise DeploymentFailed(f"Deployment {row.name!r}: {error}") from error

    def _refused(
        self,
        row: DeploymentStatusSchema | None,
        error: PackageNotReady | PackageError | ImageBuildFailed,
        lock: FencedLock,
    ) -> None:
        assert row is not None  # nothing is resolved without one
        if isinstance(error, PackageNotReady) and not error.final:
            raise DeploymentFailed(f"Deployment {row.name!r} waits: {error}") from error
        self._log(f"{row.name}: {error}")
        self._tell(row, lock, _failure(row, PACKAGE_REFUSED, error))

    def _unavailable(
        self, row: DeploymentStatusSchema | None, error: ConstellationError, lock: FencedLock
    ) -> None:
        """Says that something is missing that may come back; it is tried again then."""
        if row is None or row.given_up:
            return
        runs = row.status in (_S.HEALTHY, _S.DEGRADED) and row.observed_generation == row.generation
        report = _failure(row, UNAVAILABLE, error)
        status = _S.DEGRADED if runs else _S.FAILED
        self._tell(row, lock, report.model_copy(update={"status": status, "generation": None}))

    def _tell(self, row: DeploymentStatusSchema, lock: FencedLock, report: Report) -> None:
        self._rows.report(row.id, lock.token, report)


def _failure(
    row: DeploymentStatusSchema, code: str, error: ConstellationError, **details: float
) -> Report:
    told = {"code": code, "message": str(error), "generation": row.generation, **details}
    return Report(status=_S.FAILED, generation=row.generation, error=told)
