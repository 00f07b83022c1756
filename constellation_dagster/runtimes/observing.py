"""What there is of deployments: replicas in all runtimes, and routes."""

from collections.abc import Iterable, Mapping

from constellation_dagster.domain.reconciliation import Observed, Present
from constellation_dagster.domain.replicas import Runtime, RuntimeName, RuntimeUnavailable
from constellation_dagster.resources.router import Router


def present_replicas(
    runtimes: Mapping[RuntimeName, Runtime],
    deployment: str | None = None,
    needed: Iterable[RuntimeName] = (),
) -> tuple[Present, ...]:
    """The replicas of one deployment, or of all.

    Args:
        runtimes: Where to look.
        deployment: Its name.
        needed: Runtimes that must answer; others that cannot be used have nothing to be seen.

    Raises:
        RuntimeUnavailable: One that is needed does not answer.
    """
    found: list[Present] = []
    for name, runtime in runtimes.items():
        try:
            found += [Present(name, replica) for replica in runtime.replicas(deployment)]
        except RuntimeUnavailable:
            if name in needed:
                raise
    return tuple(found)


def observe(
    runtimes: Mapping[RuntimeName, Runtime],
    router: Router,
    deployment: str,
    needed: Iterable[RuntimeName] = (),
) -> Observed:
    """What there is of one deployment.

    Raises:
        RuntimeUnavailable: A runtime that is needed does not answer.
        RouterUnavailable: The router does not answer.
    """
    replicas = present_replicas(runtimes, deployment, needed)
    return Observed(replicas, router.routes().get(deployment))
