"""From what is wanted and what is there to the next thing to do.

`next_phase` is called again and again, each time with what was observed anew; when it has nothing
more to say, the deployment is as wanted. It keeps no memory, so whoever follows it may be killed
at any point and somebody else may go on.

The order makes no request fail: new replicas are ready before traffic goes to them, and old ones
are stopped after it has left them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from constellation_dagster.domain.changes import (
    AwaitReady,
    Drain,
    Phase,
    Pool,
    RemoveRoute,
    Route,
    RoutePool,
    SetRoute,
    StartReplica,
    Step,
    StopReplica,
    Work,
)
from constellation_dagster.domain.deployments import PoolName
from constellation_dagster.domain.replicas import Replica, ReplicaState, RuntimeName

# Between the last request that the router sends to a replica and SIGTERM.
DRAIN_SECONDS = 0.3

_UNWANTED = "it is not wanted any more"
_REASONS: Mapping[ReplicaState, str] = {"dead": "it has ended", "sick": "it does not answer"}


@dataclass(frozen=True)
class Desired:
    """What is wanted of one deployment.

    Attributes:
        deployment: Its name.
        pools: Champion first; none when it is stopped, given up or gone.
        exists: Whether there is a row; without one there is to be no route either.
        message: What the endpoint says while nothing runs.
    """

    deployment: str
    pools: tuple[Pool, ...]
    exists: bool = True
    message: str = ""

    @property
    def limit(self) -> int:
        """Most replicas that may exist on the way: old and new champions, and the canary."""
        champion = sum(pool.replicas for pool in self.pools if pool.name == "champion")
        return champion + sum(pool.replicas for pool in self.pools)


@dataclass(frozen=True)
class Present:
    """A replica that exists, and what runs it."""

    runtime: RuntimeName
    replica: Replica

    @property
    def id(self) -> str:
        """Unique in its runtime."""
        return self.replica.id

    @property
    def state(self) -> ReplicaState:
        """As the runtime says."""
        return self.replica.state

    @property
    def address(self) -> str:
        """Where it listens."""
        return self.replica.address


@dataclass(frozen=True)
class Observed:
    """What there is of one deployment: its replicas in all runtimes, and its route."""

    replicas: tuple[Present, ...]
    route: Route | None


def replica_id(deployment: str, spec_hash: str, number: int) -> str:
    """The name of a replica, unique in its runtime."""
    return f"{deployment}-{spec_hash}-{number}"


def next_phase(desired: Desired, observed: Observed) -> Work | None:
    """What brings a deployment nearer to what is wanted.

    Args:
        desired: What is wanted.
        observed: What there is; replicas of other deployments in it are left alone.

    Returns:
        The next steps, or None when there is nothing to do.
    """
    scene = _Scene.of(desired, observed)
    if not desired.pools:
        return _shut(scene)
    if scene.complete:
        return _shift(scene) or _stop(Phase.REMOVE, scene.old)
    return _protect(scene) or _shrink(scene) or _clean(scene) or _start(scene)


@dataclass(frozen=True)
class _Scene:
    """What the phases look at.

    Attributes:
        desired: What is wanted.
        own: The deployment's replicas.
        route: Where its requests go.
        chosen: Replicas that may stay, by pool: up to as many as are wanted.
    """

    desired: Desired
    own: tuple[Present, ...]
    route: Route | None
    chosen: Mapping[Pool, tuple[Present, ...]]

    @classmethod
    def of(cls, desired: Desired, observed: Observed) -> "_Scene":
        own = tuple(p for p in observed.replicas if p.replica.deployment == desired.deployment)
        routed = observed.route.addresses if observed.route else frozenset[str]()

        def chosen(pool: Pool) -> tuple[Present, ...]:
            fitting = [
                p
                for p in own
                if (p.runtime, p.replica.spec_hash) == (pool.runtime, pool.spec_hash)
                and p.state in ("ready", "starting")
            ]
            # Those that answer before the others, and of these those that have traffic.
            fitting.sort(key=lambda p: (p.state != "ready", p.address not in routed, p.id))
            return tuple(fitting[: pool.replicas])

        return cls(desired, own, observed.route, {pool: chosen(pool) for pool in desired.pools})

    @property
    def complete(self) -> bool:
        """Whether all that is wanted can answer."""
        return all(
            len(members) == pool.replicas and all(p.state == "ready" for p in members)
            for pool, members in self.chosen.items()
        )

    @property
    def routed(self) -> frozenset[str]:
        """Addresses that get requests."""
        return self.route.addresses if self.route else frozenset()

    @property
    def ready(self) -> frozenset[str]:
        """Addresses that answer."""
        return frozenset(p.address for p in self.own if p.state == "ready")

    @property
    def old(self) -> list[Present]:
        """Replicas that do not stay."""
        kept = {(p.runtime, p.id) for members in self.chosen.values() for p in members}
        return [p for p in self.own if (p.runtime, p.id) not in kept]


def _shut(scene: _Scene) -> Work | None:
    """Nothing is to run: no traffic first, then no replicas."""
    nothing = Route((), scene.desired.message)
    if scene.desired.exists and scene.route != nothing:
        return Work(Phase.SHIFT, (SetRoute(nothing),))
    if not scene.desired.exists and scene.route is not None:
        return Work(Phase.SHIFT, (RemoveRoute(),))
    return _stop(Phase.REMOVE, scene.own)


def _protect(scene: _Scene) -> Work | None:
    """Takes what cannot answer out of the route, while something can.

    When nothing can, the route stays: a replica that comes back under its address answers then,
    and requests wait for it that long.
    """
    ready = scene.ready
    pools = scene.route.pools if scene.route else ()
    if not ready or (pools and scene.routed <= ready):
        return None
    left: list[tuple[PoolName, RoutePool]] = [
        (name, RoutePool(pool.weight, pool.addresses & ready))
        for name, pool in pools
        if pool.addresses & ready
    ]
    if not left:
        # The route was lost: until all is in order again, whatever can answer does.
        left = [("champion", RoutePool(100, ready))]
    return Work(Phase.PROTECT, (SetRoute(_route(left)),))


def _shrink(scene: _Scene) -> Work | None:
    """Leaves no more of the old replicas in the route than the new size needs."""
    size = sum(pool.replicas for pool in scene.desired.pools if pool.name == "champion")
    old = [p for p in scene.old if p.address in scene.routed and p.state != "dead"]
    surplus = len(old) - size
    if surplus <= 0:
        return None
    if not scene.ready:
        return _stop(Phase.CLEAN, old[:surplus])
    assert scene.route is not None  # something is in it
    addresses = {name: pool.addresses for name, pool in scene.route.pools}
    leaving = {p.address for p in old}
    for _ in range(surplus):
        # The largest part first, so that no part loses all of its replicas before the others.
        name = max(addresses, key=lambda name: len(addresses[name] & leaving))
        addresses[name] -= {max(addresses[name] & leaving)}
    left: list[tuple[PoolName, RoutePool]] = [
        (name, RoutePool(pool.weight, addresses[name]))
        for name, pool in scene.route.pools
        if addresses[name]
    ]
    return Work(Phase.CLEAN, (SetRoute(_route(left)),))


def _clean(scene: _Scene) -> Work | None:
    """Removes replicas that have ended, and those that neither stay nor have traffic."""
    useless = [p for p in scene.old if p.state == "dead" or p.address not in scene.routed]
    return _stop(Phase.CLEAN, useless)


def _start(scene: _Scene) -> Work:
    """Starts what is missing, and waits until all that is wanted can answer."""
    taken = {p.id for p in scene.own}
    starts: list[Step] = []
    waits: list[Step] = []
    for pool, members in scene.chosen.items():
        numbers = range(len(taken) + pool.replicas)
        ids = (replica_id(scene.desired.deployment, pool.spec_hash, n) for n in numbers)
        missing = pool.replicas - len(members)
        new = [name for name in ids if name not in taken][:missing]
        waiting = [*(p.id for p in members if p.state != "ready"), *new]
        starts += [StartReplica(pool, name) for name in new]
        waits += [AwaitReady(pool, tuple(waiting))] if waiting else []
    return Work(Phase.START, (*starts, *waits))


def _shift(scene: _Scene) -> Work | None:
    """Sends requests to what is wanted, which is all ready."""
    wanted = Route(
        tuple(
            (pool.name, RoutePool(pool.weight, frozenset(p.address for p in members)))
            for pool, members in scene.chosen.items()
        )
    )
    return None if scene.route == wanted else Work(Phase.SHIFT, (SetRoute(wanted),))


def _stop(phase: Phase, replicas: Sequence[Present]) -> Work | None:
    if not replicas:
        return None
    draining = [Drain(DRAIN_SECONDS)] if any(p.state == "ready" for p in replicas) else []
    stops = [StopReplica(p.runtime, p.id, _REASONS.get(p.state, _UNWANTED)) for p in replicas]
    return Work(phase, (*draining, *stops))


def _route(pools: Sequence[tuple[PoolName, RoutePool]]) -> Route:
    """A route of what is left of one, with weights that make up the whole again."""
    if len(pools) == 1:
        [(name, pool)] = pools
        return Route(((name, RoutePool(100, pool.addresses)),))
    return Route(tuple(pools))
