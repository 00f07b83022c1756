"""What is wanted and what is there → steps: whatever happens on the way, it gets there."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
)
from constellation_dagster.domain.reconciliation import (
    Desired,
    Observed,
    Present,
    next_phase,
    replica_id,
)
from constellation_dagster.domain.replicas import Replica, ReplicaState, RuntimeName

NAME = "penguins"
MESSAGE = "It is stopped."
HASHES = ("aaa", "bbb", "ccc")


def address(runtime: str, name: str) -> str:
    return f"{runtime}:{name}"


def present(
    spec_hash: str,
    number: int,
    state: ReplicaState = "ready",
    *,
    runtime: RuntimeName = "process",
    deployment: str = NAME,
) -> Present:
    name = replica_id(deployment, spec_hash, number)
    return Present(
        runtime, Replica(name, deployment, spec_hash, state, address(runtime, name), started_at=0)
    )


def champion(spec_hash: str, replicas: int = 1, weight: int = 100) -> Pool:
    return Pool("champion", "process", spec_hash, replicas, weight)


def canary(spec_hash: str, replicas: int = 1, weight: int = 10) -> Pool:
    return Pool("canary", "process", spec_hash, replicas, weight)


def routed(*replicas: Present) -> Route:
    return Route((("champion", RoutePool(100, frozenset(p.address for p in replicas))),))


@dataclass
class World:
    """Replicas and a route, and what steps do to them."""

    desired: Desired
    replicas: dict[tuple[RuntimeName, str], Present]
    route: Route | None
    log: list[Step] = field(default_factory=list[Step])

    @classmethod
    def of(cls, desired: Desired, *replicas: Present, route: Route | None = None) -> "World":
        return cls(desired, {(p.runtime, p.id): p for p in replicas}, route)

    @property
    def own(self) -> list[Present]:
        return [p for p in self.replicas.values() if p.replica.deployment == NAME]

    @property
    def ready(self) -> set[str]:
        return {p.address for p in self.own if p.state == "ready"}

    def observe(self) -> Observed:
        return Observed(tuple(self.replicas.values()), self.route)

    def set_state(self, key: tuple[RuntimeName, str], state: ReplicaState) -> None:
        found = self.replicas[key]
        self.replicas[key] = replace(found, replica=replace(found.replica, state=state))

    def execute(self, step: Step) -> None:
        """Does a step, and looks at what must hold while all goes well."""
        self.log.append(step)
        match step:
            case StartReplica(pool, name):
                key = (pool.runtime, name)
                assert key not in self.replicas, "a name is given once"
                number = int(name.rpartition("-")[2])
                self.replicas[key] = present(
                    pool.spec_hash, number, "starting", runtime=pool.runtime
                )
                assert len(self.own) <= self.desired.limit
            case AwaitReady(pool, names):
                for name in names:
                    key = (pool.runtime, name)
                    if key in self.replicas and self.replicas[key].state == "starting":
                        self.set_state(key, "ready")
            case SetRoute(route):
                self.route = route
                assert all(pool.addresses for _, pool in route.pools)
                assert sum(pool.weight for _, pool in route.pools) in (0, 100)
            case RemoveRoute():
                self.route = None
            case Drain():
                pass
            case StopReplica(runtime, name, _):
                stopped = self.replicas.pop((runtime, name), None)
                assert stopped is None or stopped.replica.deployment == NAME

    def steps(self) -> Iterator[Step]:
        """The steps until nothing is left to do, each planned from what is there then."""
        for _ in range(30):
            work = next_phase(self.desired, self.observe())
            if work is None:
                return
            self.check(work.steps)
            yield from work.steps
        raise AssertionError(f"no end: {[str(step) for step in self.log[-12:]]}")

    def check(self, steps: tuple[Step, ...]) -> None:
        """What must hold of a plan, by what it was made from."""
        for step in steps:
            if isinstance(step, SetRoute) and self.desired.pools:
                assert step.route.addresses, "requests go somewhere while something can answer"
                assert step.route.addresses <= self.ready, "requests go to what can answer"
            if isinstance(step, StopReplica) and self.desired.pools:
                stopped = self.replicas[step.runtime, step.id]
                in_use = self.route is not None and stopped.address in self.route.addresses
                assert not (in_use and stopped.state == "ready"), "traffic leaves first"

    def converge(self) -> "World":
        for step in self.steps():
            self.execute(step)
        return self

    def phases(self) -> list[Phase]:
        """All phases on the way, in their order."""
        found: list[Phase] = []
        while work := next_phase(self.desired, self.observe()):
            found.append(work.phase)
            for step in work.steps:
                self.execute(step)
        return found

    def is_as_wanted(self) -> None:
        wanted = {(pool.runtime, pool.spec_hash): pool.replicas for pool in self.desired.pools}
        counted: dict[tuple[RuntimeName, str], int] = {}
        for p in self.own:
            assert p.state == "ready"
            key = (p.runtime, p.replica.spec_hash)
            counted[key] = counted.get(key, 0) + 1
        assert counted == wanted
        if not self.desired.exists:
            assert self.route is None
            return
        assert self.route is not None
        assert self.route.addresses == self.ready
        weights = [(pool.name, pool.weight) for pool in self.desired.pools]
        assert [(name, pool.weight) for name, pool in self.route.pools] == weights
        assert self.desired.pools or self.route.message == MESSAGE


# What a person sees


def test_the_first_replicas() -> None:
    world = World.of(Desired(NAME, (champion("aaa", 2),)))
    assert world.phases() == [Phase.START, Phase.SHIFT]
    assert [str(step) for step in world.log] == [
        "start champion replica penguins-aaa-0",
        "start champion replica penguins-aaa-1",
        "wait until penguins-aaa-0, penguins-aaa-1 can answer",
        "send 100 % to 2 champion replica(s)",
    ]
    world.is_as_wanted()


def test_an_update_starts_the_new_before_it_stops_the_old() -> None:
    old = present("aaa", 0)
    world = World.of(Desired(NAME, (champion("bbb"),)), old, route=routed(old))
    assert world.phases() == [Phase.START, Phase.SHIFT, Phase.REMOVE]
    assert [type(step) for step in world.log] == [
        StartReplica, AwaitReady, SetRoute, Drain, StopReplica,
    ]  # fmt: skip
    world.is_as_wanted()


def test_another_runtime_is_an_update() -> None:
    old = present("aaa", 0, runtime="docker")
    world = World.of(Desired(NAME, (champion("aaa"),)), old, route=routed(old)).converge()
    world.is_as_wanted()
    assert StopReplica("docker", old.id, "it is not wanted any more") in world.log


def test_scaling() -> None:
    one = present("aaa", 0)
    world = World.of(Desired(NAME, (champion("aaa", 3),)), one, route=routed(one)).converge()
    assert one in world.own
    world.desired = Desired(NAME, (champion("aaa", 1),))
    assert world.phases() == [Phase.SHIFT, Phase.REMOVE]
    world.is_as_wanted()


def test_to_zero_and_away() -> None:
    one = present("aaa", 0)
    world = World.of(Desired(NAME, (), message=MESSAGE), one, route=routed(one))
    assert world.phases() == [Phase.SHIFT, Phase.REMOVE]
    assert world.route == Route((), MESSAGE)
    world.desired = Desired(NAME, (), exists=False)
    world.converge().is_as_wanted()
    assert world.route is None


def test_a_canary_and_its_promotion_and_its_end() -> None:
    one, two = present("aaa", 0), present("aaa", 1)
    desired = Desired(NAME, (champion("aaa", 2, 90), canary("bbb")))
    world = World.of(desired, one, two, route=routed(one, two)).converge()
    world.is_as_wanted()
    after_canary = dict(world.replicas)
    trial = present("bbb", 0)

    world.desired = Desired(NAME, (champion("bbb", 2),))
    world.converge().is_as_wanted()
    assert trial in world.own, "what has proved itself stays"

    world = World.of(Desired(NAME, (champion("aaa", 2),)), route=world.route)
    world.replicas = after_canary
    world.converge().is_as_wanted()
    assert [str(step) for step in world.log][-1] == (
        "stop replica penguins-bbb-0: it is not wanted any more"
    )


def test_other_weights_move_no_replica() -> None:
    pools = (champion("aaa", 1, 90), canary("bbb"))
    world = World.of(Desired(NAME, pools)).converge()
    world.log.clear()
    world.desired = Desired(NAME, (champion("aaa", 1, 50), canary("bbb", 1, 50)))
    assert world.phases() == [Phase.SHIFT]
    assert [str(step) for step in world.log] == [
        "send 50 % to 1 champion replica(s), 50 % to 1 canary replica(s)"
    ]


@pytest.mark.parametrize("state", ["dead", "sick"])
def test_repair(state: ReplicaState) -> None:
    broken, well = present("aaa", 0, state), present("aaa", 1)
    world = World.of(Desired(NAME, (champion("aaa", 2),)), broken, well, route=routed(broken, well))
    assert world.phases()[0] == Phase.PROTECT
    assert world.log[0] == SetRoute(routed(well))
    assert broken not in world.own
    world.is_as_wanted()


def test_the_route_waits_for_a_replica_that_may_come_back() -> None:
    only = present("aaa", 0, "starting")
    world = World.of(Desired(NAME, (champion("aaa"),)), only, route=routed(only))
    assert world.phases() == [Phase.START]
    assert [type(step) for step in world.log] == [AwaitReady]


def test_a_lost_route_is_made_anew() -> None:
    one = present("aaa", 0)
    world = World.of(Desired(NAME, (champion("aaa"),)), one)
    assert world.phases() == [Phase.SHIFT]
    world.is_as_wanted()


def test_another_new_package_on_the_way_to_one() -> None:
    """Never three generations at a time."""
    old = [present("aaa", n) for n in range(4)]
    new = [present("bbb", n, "starting") for n in range(4)]
    world = World.of(Desired(NAME, (champion("ccc", 4),)), *old, *new, route=routed(*old))
    world.converge().is_as_wanted()


def test_a_smaller_and_newer_one_keeps_within_its_limit() -> None:
    old = [present("aaa", n) for n in range(6)]
    world = World.of(Desired(NAME, (champion("bbb", 2),)), *old, route=routed(*old))
    world.converge().is_as_wanted()


def test_others_are_left_alone() -> None:
    foreign = present("aaa", 0, "dead", deployment="other")
    world = World.of(Desired(NAME, (), exists=False), foreign)
    assert next_phase(world.desired, world.observe()) is None


# Whatever there is, and whatever happens


@st.composite
def desires(draw: st.DrawFn) -> Desired:
    kind = draw(st.sampled_from(["run", "run", "run", "canary", "stop", "gone"]))
    if kind in ("stop", "gone"):
        return Desired(NAME, (), exists=kind == "stop", message=MESSAGE if kind == "stop" else "")
    runtime: RuntimeName = draw(st.sampled_from(["process", "docker"]))
    spec, other = draw(st.permutations(HASHES))[:2]
    size = draw(st.integers(1, 4))
    if kind == "run":
        return Desired(NAME, (Pool("champion", runtime, spec, size, 100),))
    weight = draw(st.integers(1, 99))
    trial = draw(st.integers(1, size))
    return Desired(
        NAME,
        (
            Pool("champion", runtime, spec, size, 100 - weight),
            Pool("canary", runtime, other, trial, weight),
        ),
    )


@st.composite
def scenes(draw: st.DrawFn) -> list[Present]:
    keys = draw(
        st.lists(
            st.tuples(
                st.sampled_from(HASHES), st.integers(0, 5), st.sampled_from(["process", "docker"])
            ),
            unique=True,
            max_size=10,
        )
    )
    state = st.sampled_from(["ready", "ready", "ready", "starting", "sick", "dead"])
    found = [present(h, n, draw(state), runtime=r) for h, n, r in keys]  # pyright: ignore[reportArgumentType]
    foreign = [present("aaa", 0, deployment="other")] if draw(st.booleans()) else []
    return found + foreign


@st.composite
def routes(draw: st.DrawFn, replicas: list[Present]) -> Route | None:
    if draw(st.booleans()):
        return draw(st.sampled_from([None, Route((), MESSAGE), Route((), "something else")]))
    known = [p.address for p in replicas if p.replica.deployment == NAME] or ["process:gone-0"]
    address = st.sampled_from([*known, "process:removed-1"])
    pools = draw(st.lists(st.frozensets(address, min_size=1, max_size=6), min_size=1, max_size=2))
    if len(pools) == 1:
        return Route((("champion", RoutePool(100, pools[0])),))
    only = pools[1] - pools[0]
    if not only:
        return Route((("champion", RoutePool(100, pools[0])),))
    return Route((("champion", RoutePool(90, pools[0])), ("canary", RoutePool(10, only))))


@st.composite
def worlds(draw: st.DrawFn) -> World:
    replicas = draw(scenes())
    return World.of(draw(desires()), *replicas, route=draw(routes(replicas)))


@given(worlds())
def test_it_converges_from_anything(world: World) -> None:
    foreign = [p for p in world.replicas.values() if p.replica.deployment != NAME]
    world.converge().is_as_wanted()
    assert [p for p in world.replicas.values() if p.replica.deployment != NAME] == foreign
    assert next_phase(world.desired, world.observe()) is None


@given(worlds(), st.data())
def test_it_converges_whatever_happens_on_the_way(world: World, data: st.DataObject) -> None:
    """Killed after any step, while replicas die and vanish and people change their minds."""
    for _ in range(data.draw(st.integers(1, 5), "lives")):
        survives = data.draw(st.integers(0, 6), "steps")
        for _, step in zip(range(survives), world.steps(), strict=False):
            world.execute(step)
        for key in data.draw(st.lists(st.sampled_from(sorted(world.replicas)), max_size=3)
                             if world.replicas else st.just([]), "struck"):  # fmt: skip
            fault = data.draw(st.sampled_from(["dead", "sick", "starting", "gone"]), "fault")
            if world.replicas.get(key) and world.replicas[key].replica.deployment == NAME:
                if fault == "gone":
                    del world.replicas[key]
                else:
                    world.set_state(key, fault)  # pyright: ignore[reportArgumentType]
        if data.draw(st.booleans(), "another wish"):
            world.desired = data.draw(desires())
    world.converge().is_as_wanted()


@given(worlds())
def test_an_endpoint_that_answers_goes_on_answering(world: World) -> None:
    answering = False
    for step in world.steps():
        world.execute(step)
        reached = world.route.addresses & world.ready if world.route else frozenset[str]()
        if world.desired.pools:
            assert reached or not answering
        answering = bool(reached)
