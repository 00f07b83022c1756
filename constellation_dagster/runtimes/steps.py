"""Steps of a plan, done."""

import time
from collections.abc import Callable, Mapping
from uuid import UUID

from constellation_dagster.domain.changes import (
    AwaitReady,
    Drain,
    Pool,
    RemoveRoute,
    SetRoute,
    StartReplica,
    Step,
    StopReplica,
)
from constellation_dagster.domain.deployments import Revision, replica_spec
from constellation_dagster.domain.errors import ConstellationError
from constellation_dagster.domain.replicas import ReplicaFailed, Runtime, RuntimeName
from constellation_dagster.resources.router import Router

GRACE_SECONDS = 30.0
POLL_SECONDS = 0.1
LOG_LINES = 20


class NotReady(ConstellationError):
    """A replica of a pool did not become ready; the message has the last lines that it said."""

    def __init__(self, pool: Pool, message: str) -> None:
        self.pool = pool
        super().__init__(message)


class Steps:
    """Does the steps of deployments. Each may be done again."""

    def __init__(
        self,
        runtimes: Mapping[RuntimeName, Runtime],
        router: Router,
        secrets: Callable[[UUID], Mapping[str, str]],
    ) -> None:
        """What steps are done with.

        Args:
            runtimes: Start and stop replicas.
            router: Knows where requests go.
            secrets: Gives the secrets of a deployment.
        """
        self._runtimes = runtimes
        self._router = router
        self._secrets = secrets

    def do(
        self,
        step: Step,
        name: str,
        deployment: UUID | None,
        revisions: Mapping[Pool, Revision],
        check: Callable[[], None],
    ) -> None:
        """Does one.

        Args:
            step: What to do.
            name: The deployment.
            deployment: Its row; without one nothing is started.
            revisions: What replicas of each pool are made from.
            check: Called while it waits; raises when there is nothing to wait for any more.

        Raises:
            NotReady: A replica cannot be started, or does not become ready in its time.
            RuntimeUnavailable: A runtime does not answer.
            RouterUnavailable: The router does not answer.
        """
        match step:
            case StartReplica(pool, replica):
                assert deployment is not None
                self._start(name, pool, replica, revisions[pool], deployment)
            case AwaitReady(pool, replicas):
                timeout = revisions[pool].ready_timeout_s
                self._await_ready(name, pool, frozenset(replicas), timeout, check)
            case SetRoute(route):
                self._router.set_route(name, route)
            case RemoveRoute():
                self._router.remove_route(name)
            case Drain(seconds):
                time.sleep(seconds)
            case StopReplica(runtime, replica, _):
                self._runtimes[runtime].stop(replica, GRACE_SECONDS)

    def _start(
        self, name: str, pool: Pool, replica: str, revision: Revision, deployment: UUID
    ) -> None:
        spec = replica_spec(name, revision)
        try:
            self._runtimes[pool.runtime].start(spec, replica, self._secrets(deployment))
        except ReplicaFailed as error:
            raise NotReady(pool, str(error)) from error

    def _await_ready(
        self,
        name: str,
        pool: Pool,
        replicas: frozenset[str],
        timeout: float,
        check: Callable[[], None],
    ) -> None:
        runtime = self._runtimes[pool.runtime]
        deadline = time.monotonic() + timeout
        while True:
            found = [r for r in runtime.replicas(name) if r.id in replicas]
            for replica in found:
                if replica.state in ("dead", "sick"):
                    raise self._explained(pool, replica.id, replica.reason)
            waiting = [r.id for r in found if r.state != "ready"]
            # One that somebody has removed meanwhile is started again in the next round.
            if not waiting:
                return
            if time.monotonic() > deadline:
                raise self._explained(pool, min(waiting), f"was not ready within {timeout:g} s")
            check()
            time.sleep(POLL_SECONDS)

    def _explained(self, pool: Pool, replica: str, reason: str) -> NotReady:
        said = self._runtimes[pool.runtime].logs(replica, LOG_LINES).strip()
        # Runtimes put the last lines into their reason; here are more of them.
        short = reason.partition("; it said last")[0] or "has ended"
        ending = f". It said last:\n{said}" if said else " and said nothing."
        return NotReady(pool, f"Replica {replica} {short}{ending}")
