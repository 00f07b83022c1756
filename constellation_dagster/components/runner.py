"""Runs a compiled plan in one process, node by node; knows nothing of Dagster.

Values pass from node to node in memory. A failed node withholds its descendants; branches that
do not depend on it are finished first.
"""

import traceback
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from tenacity import Retrying, retry_if_not_exception_type, stop_after_attempt, wait_exponential

from constellation_dagster.domain.errors import ConstellationError
from constellation_dagster.domain.plan import OutputRef, Plan, PlanNode

Loader = Callable[[OutputRef], Any]
ResourceLender = Callable[[PlanNode], Mapping[str, Any]]
NodeCall = Callable[[PlanNode, Mapping[str, Any], Mapping[str, Any]], Mapping[str, Any]]
"""Calls a node's block with its inputs by port and the resources that it is lent."""


@dataclass(frozen=True)
class NodeStarted:
    """A node's function is about to be called."""

    node: PlanNode


@dataclass(frozen=True)
class NodeSucceeded:
    """A node returned.

    Attributes:
        node: The node.
        values: Its outputs by port.
        seconds: Wall time of the call that succeeded.
    """

    node: PlanNode
    values: Mapping[str, Any]
    seconds: float


@dataclass(frozen=True)
class NodeFailed:
    """A node raised, after its retries.

    Attributes:
        node: The node.
        message: What went wrong, for a person.
        traceback: The stack, for a block's author; None for a mistake of the pipeline's user.
    """

    node: PlanNode
    message: str
    traceback: str | None


@dataclass(frozen=True)
class NodeSkipped:
    """A node was not called, since something it depends on failed.

    Attributes:
        node: The node.
        because: The failed node it waits for.
    """

    node: PlanNode
    because: str


NodeEvent = NodeStarted | NodeSucceeded | NodeFailed | NodeSkipped


def call_here(
    node: PlanNode, inputs: Mapping[str, Any], resources: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Calls the block in this process."""
    return node.block.call(inputs, node.config, resources)


def run_plan(
    plan: Plan,
    selected: Set[str],
    load: Loader,
    lend: ResourceLender,
    call: NodeCall = call_here,
) -> Iterator[NodeEvent]:
    """Runs the selected nodes in the plan's order.

    Args:
        plan: A compiled plan; its nodes are in topological order.
        selected: Ids of the nodes to run.
        load: Gives a stored output of a node that is not selected.
        lend: Gives the resources that a node's block declares.
        call: Calls a block; it decides where.

    Yields:
        One `NodeStarted` and one outcome per node that ran, one `NodeSkipped` per withheld node.
    """
    values = _Values(plan, selected, load)
    failed: dict[str, str] = {}  # node → the failed node that it waits for
    for node in plan.nodes:
        if node.id not in selected:
            continue
        because = next((failed[parent] for parent in node.parents if parent in failed), None)
        if because is not None:
            failed[node.id] = because
            yield NodeSkipped(node, because)
            continue
        yield NodeStarted(node)
        started = perf_counter()
        try:
            outputs = _call(node, values, lend, call)
        except Exception as error:  # noqa: BLE001 - a block may raise anything; it is reported
            failed[node.id] = node.id
            yield _failure(node, error)
            continue
        yield NodeSucceeded(node, outputs, perf_counter() - started)
        values.keep(node, outputs)


def _call(
    node: PlanNode, values: "_Values", lend: ResourceLender, call: NodeCall
) -> Mapping[str, Any]:
    inputs = values.inputs_of(node)
    resources = lend(node)
    # A user's mistake stays one however often it is tried.
    attempts = Retrying(
        stop=stop_after_attempt(node.retries + 1),
        wait=wait_exponential(multiplier=0.5, max=30),
        retry=retry_if_not_exception_type(ConstellationError),
        reraise=True,
    )
    return attempts(call, node, inputs, resources)


def _failure(node: PlanNode, error: Exception) -> NodeFailed:
    if isinstance(error, ConstellationError):
        return NodeFailed(node, str(error), None)
    return NodeFailed(
        node,
        f"{type(error).__name__}: {error}",
        "".join(traceback.format_exception(error)),
    )


class _Values:
    """The outputs that some selected node still has to read."""

    def __init__(self, plan: Plan, selected: Set[str], load: Loader) -> None:
        self._load = load
        self._values: dict[OutputRef, Any] = {}
        self._readers: dict[OutputRef, int] = {}
        for node in plan.nodes:
            if node.id in selected:
                for ref in _refs(node):
                    self._readers[ref] = self._readers.get(ref, 0) + 1

    def keep(self, node: PlanNode, outputs: Mapping[str, Any]) -> None:
        for port, value in outputs.items():
            ref = OutputRef(node.id, port)
            if self._readers.get(ref):
                self._values[ref] = value

    def inputs_of(self, node: PlanNode) -> dict[str, Any]:
        """The node's inputs; forgets each value when its last reader has asked for it."""
        ports = {port.name: port for port in node.block.inputs}
        read = {
            name: [self._get(ref) for ref in refs] for name, refs in node.inputs.items() if refs
        }
        for ref in _refs(node):
            self._readers[ref] -= 1
            if not self._readers[ref]:
                self._values.pop(ref, None)
        return {name: got if ports[name].many else got[0] for name, got in read.items()}

    def _get(self, ref: OutputRef) -> Any:
        if ref not in self._values:
            self._values[ref] = self._load(ref)
        return self._values[ref]


def _refs(node: PlanNode) -> list[OutputRef]:
    return [ref for refs in node.inputs.values() for ref in refs]
