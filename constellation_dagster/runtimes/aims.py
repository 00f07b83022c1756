"""What is to be aimed at for a row, with its packages resolved."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from constellation_dagster.domain.changes import Pool
from constellation_dagster.domain.deployments import (
    DeploymentStatusSchema,
    PoolName,
    ResolvedPackage,
    Revision,
    canary_replicas,
    replica_spec,
    revision_of,
)
from constellation_dagster.domain.reconciliation import Desired
from constellation_dagster.resources.deployment_rows import DeploymentRows


@dataclass(frozen=True)
class Aim:
    """What the reconciler works towards.

    Attributes:
        desired: Pools and their sizes.
        revisions: What the replicas of each pool are made from, by pool.
        proven: What was healthy last.
        fallback: Whether it is `proven`, since what the row wants has failed.
    """

    desired: Desired
    revisions: Mapping[Pool, Revision] = field(default_factory=dict[Pool, Revision])
    proven: Revision | None = None
    fallback: bool = False

    @property
    def champion(self) -> Revision | None:
        """What most of the traffic gets."""
        return next((r for p, r in self.revisions.items() if p.name == "champion"), None)

    @property
    def untried(self) -> bool:
        """Whether it has never been healthy as it is, so that it may be at fault itself."""
        return self.champion is not None and self.champion != self.proven


def aim_at(
    name: str,
    row: DeploymentStatusSchema | None,
    rows: DeploymentRows,
    image_of: Callable[[ResolvedPackage], str],
) -> Aim:
    """What a row amounts to now.

    Args:
        name: The deployment.
        row: Its row, or None when there is none.
        rows: To resolve packages with.
        image_of: Gives the image of a package, building it where there is none.

    Raises:
        PackageNotReady: One of its packages cannot be deployed (yet).
        ImageBuildFailed: There is no image, and none can be built.
        RuntimeUnavailable: No engine answers that would build one.
    """
    if row is None:
        return Aim(Desired(name, (), exists=False))
    proven = rows.last_revision(row.id)
    if not row.wants_replicas:
        message = f"Deployment {name!r} is stopped."
        return Aim(Desired(name, (), message=message), proven=proven)
    if row.given_up:
        if proven is None:
            message = f"Deployment {name!r} has failed; it never was healthy."
            return Aim(Desired(name, (), message=message), fallback=True)
        return _aim(name, {"champion": proven}, {"champion": 100}, proven, fallback=True)

    def made(ref: str) -> Revision:
        package = rows.resolve(ref, row.owner)
        if row.runtime == "docker":
            package = package.model_copy(update={"image": image_of(package)})
        return revision_of(row, package)

    champion = made(row.package)
    canary = made(row.canary.package) if row.canary else None
    if row.canary is None or canary is None or canary == champion:
        # An alias may have moved to the champion itself: then there is nothing to compare.
        return _aim(name, {"champion": champion}, {"champion": 100}, proven)
    percent = row.canary.percent
    revisions: dict[PoolName, Revision] = {"champion": champion, "canary": canary}
    return _aim(name, revisions, {"champion": 100 - percent, "canary": percent}, proven)


def _aim(
    name: str,
    revisions: Mapping[PoolName, Revision],
    weights: Mapping[PoolName, int],
    proven: Revision | None,
    *,
    fallback: bool = False,
) -> Aim:
    def pool(part: PoolName, revision: Revision) -> Pool:
        size = revision.replicas
        if part == "canary":
            size = canary_replicas(size, weights[part])
        spec_hash = replica_spec(name, revision).spec_hash
        return Pool(part, revision.runtime, spec_hash, size, weights[part])

    made = {pool(part, revision): revision for part, revision in revisions.items()}
    return Aim(Desired(name, tuple(made)), made, proven, fallback)
